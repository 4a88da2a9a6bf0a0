"""Recognisers in one file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_model
from torch import Tensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import create_model
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.recognition import Recognizer, save
from pyg_stgcn.sparsity import load_sparse, save_sparse, sparsify

OPTIONS = {"in_channels": 3, "base_channels": 8, "graph": "random"}
PREPROCESSING = {"stream": "joint", "clip_frames": 12, "has_score": False}


def model_of(name: str = "stgcn", sparsity: float = 0.95) -> Backbone:
    model = create_model(name, 3, "coco17", **OPTIONS)
    assert isinstance(model, Backbone)
    sparsify(model, sparsity, exclude="head.*").finalize()
    return model.eval()


def write(path: Path, model: Backbone, name: str = "stgcn", half: bool = False) -> Path:
    options = [{"name": name, **OPTIONS}]
    save(
        path,
        model,
        options=options,
        classes=["a", "b", "c"],
        preprocessing=PREPROCESSING,
        half=half,
    )
    return path


def clips() -> tuple[Tensor, Tensor]:
    return torch.randn(3 * 17, 12, 3), torch.tensor([0, 1, 1]).repeat_interleave(17)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", ["stgcn", "dgstgcn"])
def test_round_trip(name: str, half: bool, tmp_path: Path) -> None:
    model = model_of(name)
    found = Recognizer.load(write(tmp_path / "model.safetensors", model, name, half))
    assert found.classes == ["a", "b", "c"]
    assert found.skeleton == model.skeleton
    batch = clips()
    with torch.no_grad():
        tolerance = 2e-2 if half else 1e-5
        torch.testing.assert_close(
            found.model.module(*batch),
            model(*batch),
            rtol=tolerance,
            atol=tolerance / 10,
        )


def test_an_assembly(tmp_path: Path) -> None:
    names = ("stgcn", "stgcnpp")
    assembly = Assembly([model_of(name) for name in names], learned_weights=True).eval()
    path = tmp_path / "assembly.safetensors"
    options = [{"name": name, **OPTIONS} for name in names]
    save(path, assembly, options=options, classes=["a", "b", "c"], preprocessing=PREPROCESSING)
    batch = clips()
    with torch.no_grad():
        torch.testing.assert_close(
            Recognizer.load(path).model.module(*batch),
            assembly(*batch),
            rtol=1e-5,
            atol=1e-6,
        )


def test_size(tmp_path: Path) -> None:
    model = create_model("stgcn", 60, "ntu25")
    assert isinstance(model, Backbone)
    sparsify(model, 0.95, exclude="head.*").finalize()
    save_model(model, str(tmp_path / "dense.safetensors"))
    dense = (tmp_path / "dense.safetensors").stat().st_size
    for half, fraction in ((False, 0.08), (True, 0.06)):
        path = tmp_path / "model.safetensors"
        names = [str(number) for number in range(60)]
        save(
            path,
            model,
            options=[{"name": "stgcn"}],
            classes=names,
            preprocessing=PREPROCESSING,
            half=half,
        )
        assert path.stat().st_size < fraction * dense


def test_loads_without_the_training_stack(tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors", model_of())
    code = (
        "import sys; from pyg_stgcn.recognition import Recognizer; Recognizer.load(sys.argv[1]); "
        "wrong = {'pytorch_lightning', 'torchmetrics', 'pyg_stgcn.training', 'pyg_stgcn.datasets'} "
        "& set(sys.modules); sys.exit(str(wrong) if wrong else 0)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors", model_of())
    state, description = load_sparse(path, kind="recognizer")

    def rewritten(**changes: object) -> Path:
        other = tmp_path / "other.safetensors"
        save_sparse(other, state, {**description, **changes}, kind="recognizer")
        return other

    save_sparse(tmp_path / "weights.safetensors", state)
    with pytest.raises(InputError, match="is sparse weights, not an exported model; read them"):
        Recognizer.load(tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match=r"is an exported model, .*Recognizer\.load"):
        load_sparse(path)
    with pytest.raises(InputError, match="describes no model"):
        Recognizer.load(rewritten(backbones=[]))
    with pytest.raises(InputError, match=r"describes no model.*'resnet': there is no such model"):
        Recognizer.load(rewritten(backbones=[{"name": "resnet"}]))
    with pytest.raises(InputError, match="the weights are not those of the model"):
        Recognizer.load(rewritten(backbones=[{"name": "stgcn"}]))
    for steps, message in (
        ({"x": 1}, "preprocessing has unknown options 'x'"),
        ({"stream": 1}, "preprocessing.stream is 1, not"),
        ({"stream": "bonne"}, "stream 'bonne'"),
        ({"stream": "joint+bone"}, "has 6 channels, but the model reads 3"),
        ({"clip_frames": 0}, "clip_frames: 0 is too few"),
        ({"num_persons": 0}, "num_persons: 0 is too few"),
    ):
        with pytest.raises(InputError, match=message):
            Recognizer.load(rewritten(preprocessing=PREPROCESSING | steps))
    with pytest.raises(InputError, match=r"there is no entry preprocessing\.stream"):
        Recognizer.load(rewritten(preprocessing={}))
    content = path.read_bytes()
    for broken in (content[: len(content) // 2], content[:-1] + b"\x01", b"", b"{}"):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"damaged|cannot be read"):
            Recognizer.load(path)
    with pytest.raises(InputError, match=r"no such file|cannot be read"):
        Recognizer.load(tmp_path / "nothing")


def test_no_pickle(tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors", model_of())
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["pyg_stgcn.content"])["metadata"]["classes"]


def test_options_of_another_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the weights are not those of the model"):
        write(tmp_path / "model.safetensors", model_of(), name="stgcnpp")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="Linear: give a backbone"):
        write(tmp_path / "model.safetensors", torch.nn.Linear(3, 3))
