"""The reference implementation is the published one, and equals the models of this package."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from pyg_stgcn.models import create_model, list_models, pyskl_state_dict

GRAPHS = {"stgcn": "stgcn_spatial", "dgstgcn": "random"}


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    file = Path(__file__).with_name("reference_models.py")
    spec = importlib.util.spec_from_file_location("reference_models", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", list_models())
@pytest.mark.parametrize("training", [False, True])
def test_equals_ours(reference: ModuleType, name: str, training: bool) -> None:
    torch.manual_seed(0)
    graph = GRAPHS.get(name, "spatial")
    ours = create_model(name, 5, "coco17", base_channels=8, graph=graph)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.rand_like(parameter))
    dense = reference.ReferenceModel(name, 5, "coco17", graph, width=8)
    dense.load_state_dict(pyskl_state_dict(ours))
    clips = torch.randn(3, 2, 12, 17, 3, dtype=torch.float64)
    batch = torch.arange(3).repeat_interleave(2 * 17)
    expected = dense.double().train(training)(clips)
    actual = ours.double().train(training)(clips.transpose(2, 3).flatten(0, 2), batch)
    torch.testing.assert_close(actual, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("record", "name", "skeleton", "graph"),
    [
        ("stgcn_ntu25", "stgcn", "ntu25", "stgcn_spatial"),
        ("stgcn_random_ntu25", "stgcn", "ntu25", "random"),
        ("stgcnpp_ntu25", "stgcnpp", "ntu25", "spatial"),
        ("aagcn_ntu25", "aagcn", "ntu25", "spatial"),
        ("ctrgcn_ntu25", "ctrgcn", "ntu25", "spatial"),
        ("dgstgcn_coco17", "dgstgcn", "coco17", "random"),
    ],
)
def test_equals_the_records(
    reference: ModuleType, shared_data: Path, record: str, name: str, skeleton: str, graph: str
) -> None:
    with np.load(shared_data / "golden" / "models" / f"{record}.npz") as content:
        width = json.loads(str(content["meta"]))["base_channels"]
        values = {part: torch.from_numpy(content[part]) for part in content.files if part != "meta"}
    state = {
        part.removeprefix("state/"): value
        for part, value in values.items()
        if part.startswith("state/")
    }
    dense = reference.ReferenceBackbone(name, skeleton, graph, width)
    dense.load_state_dict(state)
    x = values["input"].double()
    evaluated = dense.double().eval()(x)
    torch.testing.assert_close(evaluated, values["features"], rtol=0, atol=1e-8)
    trained = dense.train()(x)
    torch.testing.assert_close(trained, values["features_train_mode"], rtol=0, atol=1e-8)
