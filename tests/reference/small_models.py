"""Small models with what only training changes, for comparisons of several computations."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from pyg_stgcn.models import create_model
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.skeletons import Skeleton

Model = TypeVar("Model", bound=nn.Module)


def chain(num_joints: int) -> Skeleton:
    bones = tuple((v, v - 1) for v in range(1, num_joints))
    names = tuple(map(str, range(num_joints)))
    return Skeleton(name="chain", joints=names, bones=bones, center=num_joints // 2)


def short(name: str, num_joints: int, **options: object) -> Backbone:
    """Three stages, of which the second doubles the channels and halves the frames."""
    sizes = {"base_channels": 8, "num_stages": 3, "inflate_stages": [2], "down_stages": [2]}
    model = create_model(name, 4, chain(num_joints), **{**sizes, **options})
    assert isinstance(model, Backbone)
    return varied(model)


def varied(model: Model) -> Model:
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
