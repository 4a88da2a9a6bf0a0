from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import create_model, list_models
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.runtime import PortableModel, save_onnx, save_pt2
from pyg_stgcn.sparsity import sparsify

FRAMES = 7


def trained(name: str, **options: Any) -> Backbone:
    """A masked model with statistics and factors that are not those of a fresh one."""
    torch.manual_seed(0)
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
    sparsify(model, 0.7, exclude="head.*", edge_sparsity=0.3)
    return model.eval()


def short(model: Backbone) -> Backbone:
    """Two of ten stages, one with more channels and fewer frames; exporters take their time."""
    model.stages = nn.ModuleList([model.stages[0], model.stages[4]])
    model.num_features = 16
    model.reset_classifier(5)
    return model


def clips(*num_persons: int, places: int = 0, frames: int = FRAMES) -> tuple[Batch, Tensor, Tensor]:
    """The same clips as a batch, and padded to some number of persons."""
    places = max(places, *num_persons)
    padded = torch.randn(len(num_persons), places, frames, 25, 3)
    samples = [
        Data(x=clip[:number].transpose(1, 2).flatten(0, 1), num_persons=number)
        for clip, number in zip(padded, num_persons, strict=True)
    ]
    return Batch.from_data_list(samples), padded, torch.tensor(num_persons)


def close(out: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", list_models())
@torch.no_grad()
def test_says_what_the_model_says(name: str) -> None:
    model = trained(name, **({"person_slots": 2} if name in ("aagcn", "ctrgcn") else {}))
    portable = PortableModel(model)
    for given in (clips(1, 3, 2), clips(1), clips(2, 1, places=4, frames=1)):
        close(portable(*given[1:]), model(given[0].x, given[0].batch))


@pytest.mark.parametrize("name", ["aagcn", "ctrgcn"])
@torch.no_grad()
def test_a_slot_that_was_never_trained(name: str) -> None:
    model = trained(name, person_slots=3).train()
    batch = clips(1, 1, 1)[0]
    model(batch.x, batch.batch)
    model.eval()
    assert model.data_norm.trained_slots().tolist() == [0, 0, 0]
    batch, x, num_persons = clips(1, 3, 2)
    close(PortableModel(model)(x, num_persons), model(batch.x, batch.batch))


@torch.no_grad()
def test_assemblies() -> None:
    model = Assembly([trained("stgcn"), trained("dgstgcn")], learned_weights=True).eval()
    assert model.expert_factors is not None
    model.expert_factors.copy_(torch.tensor([0.4, 1.7]))
    batch, x, num_persons = clips(1, 2)
    close(PortableModel(model)(x, num_persons), model(batch.x, batch.batch))


def test_of_other_models_nothing_is_made() -> None:
    with pytest.raises(InputError, match="Linear: give a backbone or an assembly"):
        PortableModel(torch.nn.Linear(3, 3))


@pytest.mark.parametrize("name", list_models())
@torch.no_grad()
def test_pt2(name: str, tmp_path: Path) -> None:
    model, path = short(trained(name)), tmp_path / "model.pt2"
    save_pt2(path, model, FRAMES, {"classes": ["ä"]})
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt2"]
    about = {"pyg_stgcn": ""}
    program = torch.export.load(path, extra_files=about)
    assert json.loads(about["pyg_stgcn"]) == {"classes": ["ä"]}
    for given in (clips(1, 3, 2), clips(1), clips(1, places=2)):
        close(program.module()(*given[1:]), model(given[0].x, given[0].batch))


@pytest.mark.parametrize("name", list_models())
def test_onnx(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs pyg-stgcn[onnx]")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs pyg-stgcn[onnx]")
    model, path = short(trained(name)), tmp_path / "model.onnx"
    save_onnx(path, model, FRAMES, {"classes": ["ä"]})
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["pyg_stgcn"]) == {"classes": ["ä"]}
    for batch, x, num_persons in (clips(1, 3, 2), clips(1), clips(1, places=2)):
        (out,) = session.run(["logits"], {"x": x.numpy(), "num_persons": num_persons.numpy()})
        with torch.no_grad():
            close(torch.from_numpy(out), model(batch.x, batch.batch))


def test_onnx_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyg_stgcn.runtime.portable.find_spec", lambda name: None)
    with pytest.raises(InputError, match="onnx, onnxscript, not installed here; run 'pip install"):
        save_onnx(tmp_path / "model.onnx", trained("stgcn"), FRAMES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("save", [save_onnx, save_pt2])
def test_a_folder_that_is_not_there(save: Callable[..., None], tmp_path: Path) -> None:
    if save is save_onnx:
        pytest.importorskip("onnxscript", reason="needs pyg-stgcn[onnx]")
    with pytest.raises(OSError, match="No such file or directory"):
        save(tmp_path / "missing" / "model", short(trained("stgcn")), FRAMES)
