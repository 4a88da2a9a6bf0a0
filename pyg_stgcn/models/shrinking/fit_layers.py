"""Makes the layers of a network as small as the tensors of a shrunken one are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

from torch import Tensor, nn

from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.nn import AAGraphConv, CTRGraphConv, DGGraphConv, STGraphConv
from pyg_stgcn.nn.feature_norm import FeatureNorm
from pyg_stgcn.nn.multi_scale import TemporalBranches
from pyg_stgcn.nn.placed import (
    ConstantConv2d,
    JointLinear,
    Merge,
    Place,
    PlacedLinear,
    PlacedNorm,
    PlaceFirst,
)

#: The tensors of one layer, by their names in it.
Part = Mapping[str, Tensor]


def fit(model: Backbone, state: Mapping[str, Tensor]) -> None:
    """Replaces the layers of a backbone, in place, by those of a shrunken one.

    Args:
        model: A backbone as it is made.
        state: The state dict of the shrunken one; its weights still have to be loaded.

    Raises:
        KeyError: If a tensor is missing.
    """
    tensors: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        path = name.split(".")
        for depth in range(len(path)):
            tensors.setdefault(".".join(path[:depth]), {})[".".join(path[depth:])] = value
    for name, module in list(model.named_modules()):
        for child_name, child in list(module.named_children()):
            full_name = f"{name}.{child_name}" if name else child_name
            fitted = _fitted(child, tensors.get(full_name, {}))
            if fitted is not child:
                setattr(module, child_name, fitted.train(child.training))
    model.num_features = model.head.linear.in_features
    model.is_shrunken = True


@singledispatch
def _fitted(module: nn.Module, part: Part) -> nn.Module:
    """The layer that has the tensors of a shrunken one; by default it stays as it is."""
    return module


@_fitted.register
def _(module: nn.Linear, part: Part) -> nn.Module:
    weight = part["weight"]
    like = _like(weight)
    rows, columns = weight.shape
    if "place.place" in part:
        return PlacedLinear(columns, _place(part, "place."))
    bias = part.get("bias")
    if bias is not None and bias.dim() == 2:
        return JointLinear(columns, rows, len(bias), **like)
    return nn.Linear(columns, rows, bias is not None, **like)


@_fitted.register
def _(module: nn.BatchNorm2d, part: Part) -> nn.Module:
    if "weight" not in part:  # It is part of the map before it.
        return PlaceFirst(*_place_of(part, "")) if part else nn.Identity()
    weight = part["weight"]
    options: dict[str, Any] = {"eps": module.eps, "momentum": module.momentum}
    if "place.place" in part:
        return PlacedNorm(_place(part, "place."), **options)
    return FeatureNorm(len(weight), **options, **_like(weight))


@_fitted.register(nn.Conv1d)
@_fitted.register(nn.Conv2d)
def _(module: nn.Conv1d | nn.Conv2d, part: Part) -> nn.Module:
    weight = part["weight"]
    options: dict[str, Any] = {
        name: getattr(module, name) for name in ("kernel_size", "stride", "padding", "dilation")
    }
    options |= {"bias": "bias" in part, **_like(weight)}
    if "constant" in part:
        return ConstantConv2d(len(part["constant"]), weight.size(1), weight.size(0), **options)
    kind = nn.Conv2d if isinstance(module, nn.Conv2d) else nn.Conv1d
    return kind(weight.size(1), weight.size(0), **options)


@_fitted.register
def _(module: nn.Identity, part: Part) -> nn.Module:
    return _place(part, "") if part else module


@_fitted.register
def _(module: TemporalBranches, part: Part) -> nn.Module:
    widths = [part[f"convs.{n}.weight"].size(1) for n in range(len(module.convs))]
    rest = part["reduce.weight"].size(0) - sum(widths)
    module.widths = [width for width in (*widths, rest) if width]
    return module


@_fitted.register(STGraphConv)
@_fitted.register(AAGraphConv)
def _(module: STGraphConv | AAGraphConv, part: Part) -> nn.Module:
    rows, columns = part["weight"].shape
    module.in_channels, module.out_channels = columns // module.num_partitions, rows
    if isinstance(module, AAGraphConv):
        channels = part["embed.weight"].size(0) // (2 * module.num_partitions)
        module.embed_channels = channels
    for name in ("weight", "bias", "message_bias"):
        value = nn.Parameter(part[name].clone()) if name in part else None
        setattr(module, name, value)
    return module


@_fitted.register
def _(module: CTRGraphConv, part: Part) -> nn.Module:
    module.in_channels = part["value.weight"].size(1)
    module.out_channels = part["value.weight"].size(0) // module.num_partitions
    if "merge.place" in part:
        module.merge = Merge(*_place_of(part, "merge."))
        module.out_channels = module.merge.offset.size(-1)
    module.rest = _rest(part)
    return module


@_fitted.register
def _(module: DGGraphConv, part: Part) -> nn.Module:
    module.in_channels = part["pre.weight"].size(1)
    module.out_channels = part["post.weight"].size(0)
    module.channels, module.constants = part.get("channels"), part.get("constants")
    module.rest = _rest(part)
    return module


def _rest(part: Part) -> nn.Linear | None:
    """The map of what is constant before it travels, without a bias."""
    weight = part.get("rest.weight")
    if weight is None:
        return None
    return nn.Linear(weight.size(1), weight.size(0), bias=False, **_like(weight))


def _place(part: Part, prefix: str) -> Place:
    return Place(*_place_of(part, prefix))


def _place_of(part: Part, prefix: str) -> tuple[Tensor, Tensor]:
    return part[f"{prefix}place"].clone(), part[f"{prefix}offset"].clone()


def _like(weight: Tensor) -> dict[str, Any]:
    return {"device": weight.device, "dtype": weight.dtype}
