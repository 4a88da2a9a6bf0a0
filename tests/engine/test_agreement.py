"""The engine, the PyTorch runtime and the dense model in double precision agree."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from pyg_stgcn.engine import Engine
from pyg_stgcn.models import Assembly, create_model, list_models
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.recognition import engine_bytes
from pyg_stgcn.runtime import compile_sparse
from pyg_stgcn.skeletons import Skeleton, get_skeleton
from pyg_stgcn.sparsity import sparsify

pytestmark = pytest.mark.usefixtures("built")

CLASSES = ["wave", "Größe", "walk", "sit"]
FRAMES = 12
#: One, two and three blocks of joints; whole blocks, and a lane that is free.
SKELETONS = {
    "chain9": Skeleton(
        name="chain9", joints=tuple("abcdefghi"), bones=tuple((v, v - 1) for v in range(1, 9)), center=4
    ),
    **{name: get_skeleton(name) for name in ("coco17", "ntu25")},
    "chain42": Skeleton(
        name="chain42",
        joints=tuple(map(str, range(42))),
        bones=tuple((v, v // 2) for v in range(1, 42)),
        center=0,
    ),
}


def varied(model: nn.Module) -> nn.Module:
    """Gives a new model what only training changes."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("alpha", "beta", "joint_factor")):
                parameter.uniform_(0.2, 0.4)
            if "frame_conv.weight" in name or "excite.weight" in name:
                parameter.normal_(std=0.1)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                for tensor in (module.weight, module.running_var):
                    tensor.uniform_(0.5, 1.5)
                for tensor in (module.bias, module.running_mean):
                    tensor.normal_(std=0.2)
    return model.eval()


def small(name: str, skeleton: Skeleton, structure: str) -> Backbone:
    """Three stages, of which the second doubles the channels and halves the frames."""
    torch.manual_seed(len(skeleton.joints))
    sizes = {"base_channels": 8, "num_stages": 3, "inflate_stages": [2], "down_stages": [2]}
    model = create_model(name, len(CLASSES), skeleton, **sizes)
    assert isinstance(model, Backbone)
    varied(model)
    sparsify(model, 0.5, structure=structure, exclude="head.*", edge_sparsity=0.3)
    return model


def input_of(model: Backbone, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three clips of one to three persons."""
    nodes = model.skeleton.num_joints * torch.tensor([2, 1, 3])
    x = torch.randn(int(nodes.sum()), frames, model.in_channels)
    return x, torch.arange(3).repeat_interleave(nodes)


def content(model: nn.Module) -> bytes:
    steps = {"stream": "joint", "clip_frames": FRAMES, "has_score": False}
    return engine_bytes(model, CLASSES, steps)


def in_double(model: nn.Module, x: torch.Tensor, batch: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return copy.deepcopy(model).double()(x.double(), batch).numpy()


@pytest.mark.parametrize("structure", ["unstructured", "block8", "channel", "2:4"])
@pytest.mark.parametrize("name", list_models())
def test_all_three_agree(name: str, structure: str) -> None:
    for skeleton in SKELETONS.values():
        model = small(name, skeleton, structure)
        with Engine.from_bytes(content(model)) as engine:
            for frames in (FRAMES, 7):
                x, batch = input_of(model, frames)
                expected = in_double(model, x, batch)
                compiled = compile_sparse(model)
                with torch.no_grad():
                    runtime = compiled(x, batch).numpy()
                close = {"rtol": 1e-4, "atol": 1e-4 * abs(expected).max()}
                found = engine.logits(x, batch)
                np.testing.assert_allclose(found, expected, **close)
                np.testing.assert_allclose(found, runtime, **close)
