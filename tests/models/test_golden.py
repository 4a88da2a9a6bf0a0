"""The backbones against recorded numbers in float64: of the reference, and of their own past.

Run as a program, this file records their own past again (after a change that is meant).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pyg_stgcn.models import Backbone, create_model, load_pyskl, pyskl_state_dict
from pyg_stgcn.runtime import compile_sparse

GOLDEN = Path(__file__).parents[1] / "data"
RECORDS = {
    "stgcn_ntu25": ("stgcn", "ntu25", "stgcn_spatial"),
    "stgcn_coco17": ("stgcn", "coco17", "stgcn_spatial"),
    "stgcn_random_ntu25": ("stgcn", "ntu25", "random"),
    "stgcnpp_ntu25": ("stgcnpp", "ntu25", "spatial"),
    "aagcn_ntu25": ("aagcn", "ntu25", "spatial"),
    "ctrgcn_ntu25": ("ctrgcn", "ntu25", "spatial"),
    "dgstgcn_ntu25": ("dgstgcn", "ntu25", "random"),
    "dgstgcn_coco17": ("dgstgcn", "coco17", "random"),
}


class Record:
    """Recorded numbers and the model that should give them."""

    def __init__(self, file: Path) -> None:
        with np.load(file) as content:
            self.meta = json.loads(str(content["meta"]))
            self.values = {
                name: torch.from_numpy(content[name]) for name in content.files if name != "meta"
            }
        name, skeleton, self.graph = RECORDS[file.stem]
        self.model: Backbone = create_model(
            name, 4, skeleton, base_channels=self.meta["base_channels"], graph=self.graph
        )
        self.state = {
            name.removeprefix("state/"): value
            for name, value in self.values.items()
            if name.startswith("state/")
        }
        self.report = load_pyskl(self.model, self.state, head=False)
        self.model.double().eval()
        self.input = self.values["input"].double()


@pytest.fixture(scope="module", params=RECORDS)
def record(request: pytest.FixtureRequest, shared_data: Path) -> Record:
    return Record(shared_data / "golden" / "models" / f"{request.param}.npz")


def as_batch(x: Tensor) -> tuple[Tensor, Tensor]:
    """Clips ``[N, M, T, V, C]``, all with M persons, as the arguments of a model."""
    nodes = x.size(1) * x.size(3)
    return x.transpose(2, 3).flatten(0, 2), torch.arange(x.size(0)).repeat_interleave(nodes)


def features_of(model: Backbone, clips: tuple[Tensor, Tensor]) -> Tensor:
    return model.forward_head(model.forward_features(*clips), clips[1], pre_logits=True)


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    # Gradients of up to ten million among them: 1e-8 of the largest number, where that exceeds 1.
    largest = expected.abs().max().clamp(min=1)
    torch.testing.assert_close(actual / largest, expected / largest, rtol=0, atol=1e-8)


def test_recorded_features_and_gradients(record: Record) -> None:
    x = record.input.clone().requires_grad_()
    features = features_of(record.model.eval(), as_batch(x))
    torch.testing.assert_close(features, record.values["features"], rtol=0, atol=1e-8)
    features.square().sum().backward()
    assert_equal(x.grad, record.values["grad_input"])


def test_recorded_feature_maps_without_gradients(record: Record) -> None:
    batch = as_batch(record.input)
    with torch.no_grad():
        maps = record.model.eval().forward_features(*batch).mean(dim=1)
        features = features_of(record.model, batch)
    expected = record.values["feature_map_mean"]
    torch.testing.assert_close(
        maps.transpose(1, 2).reshape(expected.shape), expected, rtol=0, atol=1e-8
    )
    torch.testing.assert_close(features, record.values["features"], rtol=0, atol=1e-8)


def test_recorded_features_with_batch_statistics(record: Record) -> None:
    features = features_of(record.model.train(), as_batch(record.input))
    expected = record.values["features_train_mode"]
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-8)
    record.model.eval()


def test_published_weights_all_fit_and_come_back(record: Record) -> None:
    # Read again: batch statistics have moved those of the fixture.
    load_pyskl(record.model.float(), record.state, head=False)
    written = pyskl_state_dict(record.model, head=False)
    record.model.double()
    assert set(written) == {f"backbone.{name}" for name in record.state}
    assert record.report.fits
    factors = {name for name in record.state if name.endswith(".PA")}
    assert set(record.report.off_graph) == factors
    for name, value in record.state.items():
        if name in factors:
            on_graph = record.state[f"{name[:-2]}A"] != 0
            value = torch.where(on_graph, value, 1)
        assert torch.equal(written[f"backbone.{name}"], value), name


@torch.no_grad()
def test_a_published_checkpoint_of_six_stages_and_two_channels(shared_data: Path) -> None:
    folder = shared_data / "golden" / "published"
    model = create_model("stgcnpp", pretrained=folder / "hagrid.pth").double().eval()
    assert (model.num_classes, model.in_channels, len(model.stages)) == (40, 2, 6)
    with np.load(folder / "hagrid.npz") as content:
        expected = {name: torch.from_numpy(content[name]) for name in ("features", "logits")}
        clips = as_batch(torch.from_numpy(content["input"]).double())
    found = {"features": features_of(model, clips), "logits": model(*clips)}
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)
    compiled = compile_sparse(model.float())
    logits = compiled(clips[0].float(), clips[1])
    torch.testing.assert_close(logits.double(), expected["logits"], rtol=1e-4, atol=1e-5)


def test_number_of_parameters(record: Record) -> None:
    parameters = dict(record.model.named_parameters())
    found = sum(value.numel() for name, value in parameters.items() if "head." not in name)
    # A fixed graph has one factor per edge here, and a dense [K, V, V] of them in PYSKL.
    dense = sum(value.numel() for name, value in record.state.items() if name.endswith(".PA"))
    edges = sum(v.numel() for n, v in parameters.items() if n.endswith("edge_weight"))
    assert found + (dense - edges if dense else 0) == record.meta["params"]


def test_the_published_graph_is_ours(record: Record) -> None:
    if record.graph != "random":
        published = next(value for name, value in record.state.items() if name.endswith(".A"))
        ours = record.model.skeleton.graph(record.graph).dense()
        torch.testing.assert_close(ours, published, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "skeleton", "width", "expected"),
    [
        ("stgcnpp", "ntu25", 64, 1_387_724),
        ("stgcnpp", "openpose18", 64, 1_378_652),
        ("aagcn", "ntu25", 64, 3_766_248),
        ("aagcn", "coco17", 64, 3_744_808),
        ("aagcn", "openpose18", 64, 3_745_870),
        ("ctrgcn", "ntu25", 64, 1_431_252),
        ("ctrgcn", "hand21", 64, 1_425_684),
        ("dgstgcn", "ntu25", 64, 1_685_752),
        ("dgstgcn", "openpose18", 64, 1_661_630),
        ("dgstgcn", "ntu25", 16, 158_280),
    ],
)
def test_published_number_of_parameters(
    name: str, skeleton: str, width: int, expected: int
) -> None:
    model = create_model(name, 4, skeleton, base_channels=width)
    head = sum(value.numel() for value in model.head.parameters())
    assert sum(value.numel() for value in model.parameters()) - head == expected


def closed_form(position: int, numel: int) -> Tensor:
    """Reproducible pseudo-random numbers in [-1, 1), without a random number generator."""
    element = torch.arange(1, numel + 1, dtype=torch.float64)
    phase = element * 0.6180339887498949 + (position + 1) * 0.4142135623730951
    return 2 * phase.frac() - 1


def closed_form_state(name: str, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the reference for a self-check, by the rules for its names."""
    state = {}
    for position, (key, value) in enumerate(sorted(published.items())):
        u = closed_form(position, value.numel()).view(value.shape)
        match key.rsplit(".", 1)[-1]:
            case "running_var":
                state[key] = 1 + 0.5 * u
            case "running_mean" | "bias":
                state[key] = 0.1 * u
            case "PA":
                state[key] = 1 + 0.1 * u
            case "A":
                state[key] = 0.04 + 0.02 * u if name == "dgstgcn" else value.double()
            case "alpha" | "beta" | "add_coeff":
                state[key] = 0.5 + 0.3 * u
            case "weight" if value.dim() == 1:
                state[key] = 1 + 0.2 * u
            case "weight":
                state[key] = 0.5 * u * (3 / value[0].numel()) ** 0.5
    return state


@pytest.mark.parametrize(
    ("name", "tensors", "expected"),
    [
        ("stgcn", 156, [0.00020244, 0.13589652, 46.31830644, 18.96945188]),
        ("stgcnpp", 604, [0.91801081, 0.36149583, 75.01109589, 56.41340222]),
        ("aagcn", 415, [0.04920728, 0.23612626, 56.80590629, 18.78934587]),
        ("ctrgcn", 735, [0.36210556, 0.63037294, 161.71527891, 211.80342374]),
        ("dgstgcn", 734, [0.49647814, 0.55544422, 113.06606585, 109.90073264]),
    ],
)
def test_closed_form_weights_of_full_width(name: str, tensors: int, expected: list[float]) -> None:
    model = create_model(name, 4, "ntu25").double().eval()
    published = {
        key.removeprefix("backbone."): value
        for key, value in pyskl_state_dict(model, head=False).items()
        if not key.endswith("num_batches_tracked")
    }
    assert len(published) == tensors
    load_pyskl(model, closed_form_state(name, published), head=False, strict=False)
    x = closed_form(0, 2 * 16 * 25 * 3).view(1, 2, 16, 25, 3)
    with torch.no_grad():
        features = features_of(model, as_batch(x))[0]
    found = torch.stack([features[0], features[100], features.sum(), features.square().sum()])
    wanted = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-8)


GUARDED = {
    "spatial": {"name": "stgcn", "skeleton": "hand21", "graph": "spatial"},
    "random": {
        "name": "stgcn",
        "skeleton": "coco17",
        "graph": "random",
        "num_partitions": 2,
        "in_channels": 6,
    },
    "stgcnpp": {"name": "stgcnpp", "skeleton": "sbu15", "base_channels": 12},
    "aagcn": {"name": "aagcn", "skeleton": "kinect20", "base_channels": 6},
    "ctrgcn": {"name": "ctrgcn", "skeleton": "sbu15", "graph": "uniform", "base_channels": 12},
    "dgstgcn": {"name": "dgstgcn", "skeleton": "hand21", "num_partitions": 2, "base_channels": 12},
}


def guarded_outputs(options: dict[str, object]) -> dict[str, Tensor]:
    """Outputs and gradients of a small model with weights in closed form."""
    model = create_model(num_classes=5, **{"base_channels": 4} | options).double().eval()
    state = {}
    for position, (name, value) in enumerate(sorted(model.state_dict().items())):
        u = closed_form(position, value.numel()).view(value.shape)
        if "num_batches" in name or "graph_weight" in name:
            state[name] = value
        elif value.dim() > 1:
            state[name] = 0.5 * u * (3 / value[0].numel()) ** 0.5
        else:
            is_scale = "norm.weight" in name or "slots" in name or "_var" in name
            state[name] = 0.3 * u + is_scale
    model.load_state_dict(state)
    joints, channels = model.skeleton.num_joints, model.in_channels
    clips = [
        closed_form(i, m * joints * 11 * channels).view(-1, 11, channels)
        for i, m in enumerate((1, 3, 2))
    ]
    batch = torch.arange(3).repeat_interleave(torch.tensor([len(clip) for clip in clips]))
    logits = model(torch.cat(clips), batch)
    logits.square().sum().backward()
    gradients = [p.grad.norm() for _, p in sorted(model.named_parameters())]
    return {"logits": logits.detach(), "gradients": torch.stack(gradients)}


@pytest.mark.parametrize("case", GUARDED)
def test_equals_its_own_past(case: str) -> None:
    with np.load(GOLDEN / "models.npz") as file:
        for name, found in guarded_outputs(GUARDED[case]).items():
            expected = torch.from_numpy(file[f"{case}/{name}"])
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


if __name__ == "__main__":
    np.savez_compressed(
        GOLDEN / "models.npz",
        **{
            f"{case}/{name}": value.numpy()
            for case, options in GUARDED.items()
            for name, value in guarded_outputs(options).items()
        },
    )
