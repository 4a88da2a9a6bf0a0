"""Files for other runtimes give the outputs of the model."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import CTRGCN, create_model, list_models
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.runtime import save_onnx, save_pt2
from pyg_stgcn.sparsity import sparsify

#: Persons of every clip, and frames: one clip of one person, and sizes other than the traced one.
SIZES = [((1,), 7), ((1, 3, 2), 37), ((2,), 100), ((1, 1), 16)]


def trained(name: str, **options: Any) -> Backbone:
    """A masked model with statistics and factors as after a training.

    It has one stage, which doubles the channels and halves the frames; exporters are slow.
    """
    torch.manual_seed(0)
    # An input as wide as the model leaves the first stage out.
    options = {"in_channels": 8, "num_stages": 2, **options}
    options |= {"inflate_stages": [2], "down_stages": [2]}
    model = create_model(name, 5, "ntu25", base_channels=8, **options)
    assert isinstance(model, Backbone)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith(("alpha", "beta", "joint_factor")):
                parameter.fill_(0.3)
        for key, buffer in model.named_buffers():
            if key.endswith("running_mean"):
                buffer.normal_(std=0.1)
            if key.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
            if key.endswith("num_batches_tracked"):
                buffer.fill_(1)
    sparsify(model, 0.7, exclude="head.*", edge_sparsity=0.3)
    return model.eval()


def assembly() -> Assembly:
    model = Assembly([trained("stgcn"), trained("stgcnpp")], learned_weights=True).eval()
    assert model.expert_factors is not None
    with torch.no_grad():
        model.expert_factors.copy_(torch.tensor([0.4, 1.7]))
    return model


def clips(model: nn.Module, persons: tuple[int, ...], frames: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(sum(persons) * 25, frames, model.in_channels)
    return x, torch.arange(len(persons)).repeat_interleave(25 * torch.tensor(persons))


@torch.no_grad()
def check(run: Callable[[Tensor, Tensor], Tensor], model: nn.Module, min_persons: int = 1) -> None:
    for persons, frames in SIZES:
        if sum(persons) < min_persons:
            continue
        x, batch = clips(model, persons, frames)
        torch.testing.assert_close(run(x, batch), model(x, batch), rtol=1e-5, atol=1e-5)


def save_and_keep(save: Callable[..., None], path: Path, model: nn.Module) -> None:
    """Write the file, and check that the model is as it was."""
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    save(path, model, {"classes": ["ä"]})
    assert model.training
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    model.eval()


def check_pt2(path: Path, model: nn.Module) -> None:
    save_and_keep(save_pt2, path, model)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    about = {"pyg_stgcn": ""}
    program = torch.export.load(path, extra_files=about)
    assert json.loads(about["pyg_stgcn"]) == {"classes": ["ä"]}
    check(program.module(), model, min_persons=2 if isinstance(model, CTRGCN) else 1)


def check_onnx(path: Path, model: nn.Module) -> None:
    pytest.importorskip("onnxscript", reason="needs pyg-stgcn[onnx]")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs pyg-stgcn[onnx]")
    save_and_keep(save_onnx, path, model)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["pyg_stgcn"]) == {"classes": ["ä"]}
    assert [given.name for given in session.get_inputs()] == ["x", "batch"]

    def run(x: Tensor, batch: Tensor) -> Tensor:
        (logits,) = session.run(["logits"], {"x": x.numpy(), "batch": batch.numpy()})
        return torch.from_numpy(logits)

    check(run, model)


# The contract of the backbones exports all of them in memory.
def test_pt2_of_a_model_with_graphs_of_its_own(tmp_path: Path) -> None:
    check_pt2(tmp_path / "model.pt2", trained("ctrgcn"))


@pytest.mark.parametrize("name", sorted({*list_models()} - {"stgcnpp"}))  # which is in the assembly
def test_onnx(
    name: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    # One of them as all of them are by default: with a first stage, for three channels.
    options = {"in_channels": 3} if name == "stgcn" else {}
    check_onnx(tmp_path / "model.onnx", trained(name, **options))
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("check_file", [check_pt2, check_onnx])
def test_assemblies(check_file: Callable[[Path, nn.Module], None], tmp_path: Path) -> None:
    check_file(tmp_path / "model", assembly())


@pytest.mark.parametrize("save", [save_onnx, save_pt2])
def test_other_models_are_refused(save: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Linear: give a backbone or an assembly"):
        save(tmp_path / "model", nn.Linear(3, 3))


def test_onnx_names_missing_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyg_stgcn.runtime.export_files.find_spec", lambda name: None)
    with pytest.raises(InputError, match="onnx, onnxscript, not installed here; run 'pip install"):
        save_onnx(tmp_path / "model.onnx", trained("stgcn"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("save", [save_onnx, save_pt2])
def test_a_missing_folder(save: Callable[..., None], tmp_path: Path) -> None:
    if save is save_onnx:
        pytest.importorskip("onnxscript", reason="needs pyg-stgcn[onnx]")
    with pytest.raises(InputError, match=r"there is no folder .*missing; make it"):
        save(tmp_path / "missing" / "model", trained("stgcn"))
