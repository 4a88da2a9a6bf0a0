"""The engine's file holds the program of the model, its description and its preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Assembly, create_model
from pyg_stgcn.nn import PersonNorm
from pyg_stgcn.program_file import read_program
from pyg_stgcn.recognition import describe, engine_bytes, save_engine
from pyg_stgcn.recognition.input_section import input_section
from pyg_stgcn.runtime.program_compiler import compile_program
from pyg_stgcn.skeletons import Skeleton

CLASSES = ["wave", "Größe", "walk"]
STEPS: dict[str, Any] = {"stream": "joint", "clip_frames": 24, "has_score": True}


def small(name: str = "stgcn", **options: Any) -> Any:
    torch.manual_seed(0)
    options = {"base_channels": 4, "num_stages": 2, **options}
    return create_model(name, 3, options.pop("skeleton", "coco17"), **options)


def test_a_file_has_program_description_and_preprocessing(tmp_path: Path) -> None:
    model = small("ctrgcn")
    model(torch.randn(2 * 17, 5, 3), torch.arange(2).repeat_interleave(17))  # statistics
    path = tmp_path / "model.stgcn"
    save_engine(path, model, CLASSES, STEPS, temperature=1.5)
    assert path.read_bytes() == engine_bytes(model, CLASSES, STEPS, 1.5)
    program, metadata = read_program(path)
    about = describe(model, CLASSES, STEPS, 1.5)
    assert metadata["about"] == about
    assert metadata["input"] == input_section(about)
    assert metadata["temperature"] == 1.5
    assert isinstance(model.data_norm, PersonNorm)
    norm = model.data_norm.slots[0]
    np.testing.assert_allclose(metadata["mean"].ravel(), norm.running_mean, rtol=1e-5)
    expected = compile_program(model)
    for one, other in zip(program.networks, expected.networks, strict=True):
        assert one.slots == other.slots and one.result == other.result
        for found, wanted in zip(one.instructions, other.instructions, strict=True):
            assert (found.op, found.numbers) == (wanted.op, wanted.numbers)
            for name, array in wanted.arrays.items():
                assert np.array_equal(found.arrays[name], array), name


def test_untrained_models_have_no_statistics() -> None:
    _, metadata = read_program(engine_bytes(small(), CLASSES, STEPS))
    assert set(metadata) == {"about", "input", "temperature"}


def test_experts_have_networks_of_their_own() -> None:
    assembly = Assembly([small(), small("stgcnpp")], learned_weights=True)
    with torch.no_grad():
        assembly.expert_factors.copy_(torch.tensor([0.5, 3.0]))
    program, _ = read_program(engine_bytes(assembly, CLASSES, STEPS))
    assert len(program.networks) == 2
    assert program.factors.tolist() == [0.25, 1.5]
    assert np.array_equal(program.head_weight, assembly.head.linear.weight.detach())


def test_what_the_engine_cannot_run_is_refused(tmp_path: Path) -> None:
    bones = tuple((v, v - 1) for v in range(1, 64))
    large = Skeleton(name="large", joints=tuple(map(str, range(64))), bones=bones, center=9)
    path = tmp_path / "model.stgcn"
    with pytest.raises(InputError, match=r"64 joints, more than the 48 lanes .* as ONNX"):
        save_engine(path, small(skeleton=large), CLASSES, STEPS)
    with pytest.raises(InputError, match="Linear: give a backbone or an assembly"):
        save_engine(path, torch.nn.Linear(2, 3), CLASSES, STEPS)
    with pytest.raises(InputError, match="2 names, but the model has 3 classes"):
        save_engine(path, small(), CLASSES[:2], STEPS)
    for temperature in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="temperature"):
            save_engine(path, small(), CLASSES, STEPS, temperature)
    with pytest.raises(InputError, match="there is no folder"):
        save_engine(tmp_path / "none" / "model.stgcn", small(), CLASSES, STEPS)
    assert not path.exists()
