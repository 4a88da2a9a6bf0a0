"""ST-GCN against recorded numbers in float64: of the published form, and of its own past.

Run as a program, this file records its own past anew (after a change that is meant).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from pyg_stgcn.models import STGCN
from pyg_stgcn.nn import Adjacency

GOLDEN = Path(__file__).parents[1] / "golden"
GOLDEN_NAMES = {
    "stgcn_ntu25": ("ntu25", "stgcn_spatial"),
    "stgcn_coco17": ("coco17", "stgcn_spatial"),
    "stgcn_random_ntu25": ("ntu25", "random"),
}


def published_name(name: str) -> str:
    """The name that PYSKL gives to an entry of our state dict."""
    for ours, theirs in (
        ("data_norm.", "data_bn."),
        ("stages.", "gcn."),
        ("gcn.conv.", "gcn.conv."),
        (".norm.", ".bn."),
    ):
        name = name.replace(ours, theirs)
    return name


def at_edges(adjacency: Adjacency, dense: Tensor) -> Tensor:
    """The entries of a dense ``[K, V, V]`` graph at the edges of ours; there are no others."""
    source, target = adjacency.edge_index
    values = dense[adjacency.edge_type, source, target]
    if adjacency.adaptive == "init":
        assert values.numel() == dense.numel()
    return values


def from_published(model: STGCN, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict with the weights of a published one (without a head)."""
    ours = {}
    for name, value in model.state_dict().items():
        if name.startswith("head."):
            ours[name] = value
        elif name.endswith("adjacency.edge_weight") or name.endswith("adjacency.graph_weight"):
            stage = name.split(".")[1]
            adjacency = model.stages[int(stage)].gcn.adjacency
            has_factor = adjacency.adaptive == "importance" and name.endswith("edge_weight")
            key = f"gcn.{stage}.gcn.{'PA' if has_factor else 'A'}"
            ours[name] = at_edges(adjacency, state[key])
        elif name.endswith("gcn.conv.weight"):
            weight = state[published_name(name)]
            partitions = value.size(1) // weight.size(1)
            split = weight.view(partitions, -1, weight.size(1))
            ours[name] = split.transpose(0, 1).reshape(value.shape)
        else:
            ours[name] = state[published_name(name)]
    return ours


def as_batch(x: Tensor) -> Batch:
    """Samples ``[N, M, T, V, C]``, all with M persons, as a batch."""
    samples = [
        Data(x=sample.transpose(1, 2).flatten(0, 1).contiguous(), num_persons=sample.size(0))
        for sample in x
    ]
    return Batch.from_data_list(samples)


@pytest.fixture(params=GOLDEN_NAMES)
def recorded(request: pytest.FixtureRequest, shared_data: Path) -> tuple[STGCN, dict[str, Tensor]]:
    skeleton, graph = GOLDEN_NAMES[request.param]
    with np.load(shared_data / "golden" / "models" / f"{request.param}.npz") as file:
        width = json.loads(str(file["meta"]))["base_channels"]
        record = {name: torch.from_numpy(file[name]) for name in file.files if name != "meta"}
    model = STGCN(4, skeleton, base_channels=width, graph=graph)
    state = {
        name.removeprefix("state/"): value
        for name, value in record.items()
        if name.startswith("state/")
    }
    model.load_state_dict(from_published(model, state))
    return model.double().eval(), record


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-8)


def test_recorded_features_and_gradients(recorded: tuple[STGCN, dict[str, Tensor]]) -> None:
    model, record = recorded
    x = record["input"].double().requires_grad_()
    features = model.forward_features(as_batch(x))
    assert_equal(features, record["features"])
    features.square().sum().backward()
    assert_equal(x.grad, record["grad_input"])


def test_recorded_features_without_gradients(recorded: tuple[STGCN, dict[str, Tensor]]) -> None:
    model, record = recorded
    x = record["input"].double()
    with torch.no_grad():
        maps = model.forward_maps(x.flatten(0, 1)).mean(dim=1)
        features = model.forward_features(as_batch(x))
    expected = record["feature_map_mean"]
    assert_equal(maps.transpose(1, 2).view_as(expected), expected)
    assert_equal(features, record["features"])


def test_recorded_features_with_batch_statistics(
    recorded: tuple[STGCN, dict[str, Tensor]],
) -> None:
    model, record = recorded
    features = model.train().forward_features(as_batch(record["input"].double()))
    assert_equal(features, record["features_train_mode"])


def test_the_published_graph_is_ours(recorded: tuple[STGCN, dict[str, Tensor]]) -> None:
    model, record = recorded
    if model.graph == "random":
        return
    published = record["state/gcn.0.gcn.A"]
    ours = model.skeleton.graph(model.graph).dense()
    torch.testing.assert_close(ours, published, rtol=0, atol=1e-7)


def closed_form(position: int, numel: int) -> Tensor:
    """Reproducible pseudo-random numbers in [-1, 1), without a random number generator."""
    element = torch.arange(1, numel + 1, dtype=torch.float64)
    phase = element * 0.6180339887498949 + (position + 1) * 0.4142135623730951
    return 2 * phase.frac() - 1


def closed_form_state(shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """Weights of the published form for a self-check, by the rules for its names."""
    state = {}
    for position, name in enumerate(sorted(shapes)):
        shape = shapes[name]
        u = closed_form(position, shape.numel()).view(shape)
        match name.rsplit(".", 1)[-1]:
            case "running_var":
                state[name] = 1 + 0.5 * u
            case "running_mean" | "bias":
                state[name] = 0.1 * u
            case "PA":
                state[name] = 1 + 0.1 * u
            case "weight" if len(shape) == 1:
                state[name] = 1 + 0.2 * u
            case "weight":
                state[name] = 0.5 * u * (3 / shape[1:].numel()) ** 0.5
    return state


def published_shapes(model: STGCN) -> dict[str, torch.Size]:
    """The names and shapes of the published backbone, which has a dense ``A`` and ``PA``."""
    shapes = {}
    for name, value in model.state_dict().items():
        if name.startswith("head.") or name.endswith("num_batches_tracked"):
            continue
        if "adjacency" in name:
            adjacency = model.stages[int(name.split(".")[1])].gcn.adjacency
            size = torch.Size((adjacency.num_partitions, *2 * (adjacency.num_joints,)))
            unit = name.split(".adjacency.")[0].replace("stages.", "gcn.")
            shapes[f"{unit}.A"] = shapes[f"{unit}.PA"] = size
        elif name.endswith("gcn.conv.weight"):
            partitions = model.stages[0].gcn.adjacency.num_partitions
            out, columns = value.shape
            shape = torch.Size((partitions * out, columns // partitions, 1, 1))
            shapes[published_name(name)] = shape
        else:
            shapes[published_name(name)] = value.shape
    return shapes


def test_closed_form_weights_of_full_width() -> None:
    model = STGCN(4, "ntu25").double().eval()
    shapes = published_shapes(model)
    assert len(shapes) == 156
    state = closed_form_state(shapes)
    graph = model.skeleton.graph("stgcn_spatial").dense().double()
    state |= {name: graph for name in shapes if name.endswith(".A")}
    state |= {
        published_name(name): value
        for name, value in model.state_dict().items()
        if name.endswith("num_batches_tracked")
    }
    model.load_state_dict(from_published(model, state))
    x = closed_form(0, 2 * 16 * 25 * 3).view(1, 2, 16, 25, 3)
    with torch.no_grad():
        features = model.forward_features(as_batch(x))[0]
    found = torch.stack([features[0], features[100], features.sum(), features.square().sum()])
    expected = [0.00020244, 0.13589652, 46.31830644, 18.96945188]
    assert_equal(found, torch.tensor(expected, dtype=torch.float64))


GUARDED = {
    "spatial": {"skeleton": "hand21", "graph": "spatial"},
    "random": {"skeleton": "coco17", "graph": "random", "num_partitions": 2, "in_channels": 6},
}


def guarded_outputs(options: dict[str, object]) -> dict[str, Tensor]:
    """Outputs and gradients of a small model with weights in closed form."""
    model = STGCN(5, base_channels=4, **options).double().eval()
    state = {
        name: value
        if "num_batches" in name or "graph_weight" in name
        else (
            0.6 * closed_form(position, value.numel()).view(value.shape)
            + ("_var" in name or "norm.weight" in name)
        )
        for position, (name, value) in enumerate(sorted(model.state_dict().items()))
    }
    model.load_state_dict(state)
    joints, channels = model.skeleton.num_joints, model.in_channels
    samples = [
        Data(x=closed_form(i, m * joints * 11 * channels).view(-1, 11, channels), num_persons=m)
        for i, m in enumerate((1, 3, 2))
    ]
    logits = model(Batch.from_data_list(samples))
    logits.square().sum().backward()
    gradients = [p.grad.norm() for _, p in sorted(model.named_parameters())]
    return {"logits": logits.detach(), "gradients": torch.stack(gradients)}


@pytest.mark.parametrize("case", GUARDED)
def test_equals_its_own_past(case: str) -> None:
    with np.load(GOLDEN / "stgcn.npz") as file:
        for name, found in guarded_outputs(GUARDED[case]).items():
            expected = torch.from_numpy(file[f"{case}/{name}"])
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


if __name__ == "__main__":
    np.savez_compressed(
        GOLDEN / "stgcn.npz",
        **{
            f"{case}/{name}": value.numpy()
            for case, options in GUARDED.items()
            for name, value in guarded_outputs(options).items()
        },
    )
