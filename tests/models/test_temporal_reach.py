"""The reach in time against perturbed frames."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pyg_stgcn.models import create_model
from pyg_stgcn.models.temporal_reach import temporal_reach


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("stgcn", {"num_stages": 5, "down_stages": [2, 4]}),
        ("stgcn", {"num_stages": 3, "down_stages": []}),
        ("stgcnpp", {"num_stages": 4, "down_stages": [2, 3], "base_channels": 12}),
        ("stgcnpp", {"num_stages": 2, "down_stages": [1], "base_channels": 6}),
    ],
    ids=str,
)
def test_features_depend_on_the_frames_in_reach_alone(name: str, options: dict[str, Any]) -> None:
    model = create_model(name, 2, "coco17", **{"base_channels": 4, **options}).double().eval()
    reach = temporal_reach(model)
    assert reach is not None
    number = (reach.before + reach.stride) // reach.stride
    middle, margin = number * reach.stride, max(reach.before, reach.after) + 3
    x = torch.randn(17, middle + margin + 1, 3, dtype=torch.double)
    frames = model.forward_features(x).size(1)
    assert frames == -(-x.size(1) // reach.stride)
    x.requires_grad_()
    model.forward_features(x)[0, number].abs().sum().backward()
    assert x.grad is not None
    touched = x.grad.abs().sum(dim=(0, 2)).nonzero().flatten()
    assert touched[0] == middle - reach.before
    assert touched[-1] == middle + reach.after


def test_published_sizes() -> None:
    model = create_model("stgcn", 2, "coco17", base_channels=4)
    # Kernels of 9 frames: 8 frames a stage, times 1, 1, 1, 1, 1, 2, 2, 2, 4, 4.
    reach = temporal_reach(model)
    assert reach is not None
    assert (reach.before + reach.after, reach.stride) == (8 * 19, 4)
    assert temporal_reach(create_model("stgcnpp", 2, "coco17", base_channels=6)) == reach


@pytest.mark.parametrize("name", ["aagcn", "ctrgcn", "dgstgcn"])
def test_graphs_of_the_whole_clip_have_no_reach(name: str) -> None:
    model = create_model(name, 2, "coco17", base_channels=8, num_stages=2)
    assert temporal_reach(model) is None
