"""Networks without their pruned channels."""

from __future__ import annotations

from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.blocks import Block, SpatialUnit
from pyg_stgcn.models.plain_copy import copy_plain, double
from pyg_stgcn.models.shrinking.cut_graph_convs import cut_graph_conv
from pyg_stgcn.models.shrinking.cut_layers import State
from pyg_stgcn.models.shrinking.cut_stages import cut_block
from pyg_stgcn.models.shrinking.cut_temporal import cut_temporal
from pyg_stgcn.models.shrinking.fit_layers import fit
from pyg_stgcn.models.shrinking.kept_channels import all_kept

Model = TypeVar("Model", bound=nn.Module)


def shrink(model: Model) -> Model:
    """Removes the pruned channels of a trained model: a smaller dense network, equal outputs.

    A channel is pruned if all weights of its row are zero, as by
    ``sparsify(..., structure="channel")``. It then is a constant: what its bias and batch norm
    make of zero. Layers are cut to the other channels; the constants go into the biases of the
    layers that read them. Channels that are added on a residual path remain if any layer of the
    path still computes them.

    The outputs are equal in evaluation mode, up to rounding. Dense engines, :func:`torch.compile`
    and GPUs need nothing further to run the smaller network faster. In training mode the two
    differ: statistics of batch norms became constants.

    Args:
        model (Backbone or Assembly): The trained model, with masks or with zeros; it does not
            change.

    Returns:
        Backbone or Assembly: The smaller network, of the same class, in evaluation mode; a copy
            if no channel is pruned.

    Raises:
        InputError: If the model is neither a backbone nor an assembly, or has stages of a class
            of its own.

    Example:
        >>> sparsify(model, 0.75, allocation="uniform", structure="channel")
        >>> small = shrink(model)
        >>> small(x, batch)  # as model.eval()(x, batch)
    """
    plain = copy_plain(model)
    if isinstance(plain, Backbone):
        _shrink(plain, whole=False)
    elif isinstance(plain, Assembly):
        for expert in plain.experts:
            # The experts' features are added, so all have the same.
            _shrink(cast(Backbone, expert), whole=True)
    else:
        raise InputError(f"{type(model).__name__}: give a backbone or an assembly")
    return plain.requires_grad_(True)


def has_pruned_channels(model: nn.Module) -> bool:
    """Whether at least a quarter of the rows of all matrices is zero: shrinking pays then.

    Args:
        model: The trained model, with masks or with zeros.
    """
    plain = copy_plain(model)
    weights = [value for value in plain.parameters() if value.dim() > 1]
    zero = sum(int(_zero_rows(weight).sum()) for weight in weights)
    return 4 * zero >= sum(len(weight) for weight in weights)


def _shrink(model: Backbone, whole: bool) -> None:
    """Shrinks a backbone in place; its features keep all channels if it has to be ``whole``."""
    if model.is_shrunken or not any(map(_has_zero_row, model.stages.parameters())):
        return
    if unknown := _unknown(model):
        raise InputError(
            f"{type(model).__name__}.{unknown}, so its channels cannot be removed; use the "
            "layers of pyg_stgcn as they are"
        )
    state = _cut(model, cast(list[Block], list(model.stages)), whole)
    like = model.head.linear.weight
    tensors = {
        name: value.to(like.device, like.dtype if value.is_floating_point() else value.dtype)
        for name, value in state.items()
    }
    fit(model, tensors)
    model.load_state_dict(tensors)


def _cut(model: Backbone, blocks: list[Block], whole: bool) -> State:
    """The tensors of the smaller network."""
    state: State = {f"data_norm.{k}": v for k, v in model.data_norm.state_dict().items()}
    inputs = all_kept(model.in_channels)
    for number, block in enumerate(blocks[:-1]):
        nothing = torch.zeros(block.gcn.conv.out_channels, dtype=torch.bool)
        inputs = cut_block(block, inputs, nothing, state, f"stages.{number}")
    # The last stage is cut for its outputs, and again with those that have to be kept.
    weight = double(model.head.linear.weight)
    kept, name = torch.full((weight.size(1),), whole), f"stages.{len(blocks) - 1}"
    constants = cut_block(blocks[-1], inputs, kept, {}, name).constants[0]
    if constants.any():
        # One constant feature stands for all in the classifier: unlike a bias, it is zero for
        # clips without persons.
        one = int(constants.argmax())
        kept[one] = True
        weight[:, one] = weight @ (constants / constants[one])
    features = cut_block(blocks[-1], inputs, kept, state, name)
    state["head.linear.weight"] = weight[:, features.index]
    state["head.linear.bias"] = double(model.head.linear.bias)
    return state


def _has_zero_row(weight: Tensor) -> bool:
    return weight.dim() > 1 and bool(_zero_rows(weight).any())


def _zero_rows(weight: Tensor) -> Tensor:
    """True for the rows of a weight that are zero."""
    return (weight == 0).flatten(1).all(1)


def _unknown(model: Backbone) -> str:
    """The first layer whose class is not one of this package; empty if there is none."""
    for number, block in enumerate(model.stages):
        name = f"stages.{number}"
        if type(block) is not Block:
            return f"{name} is of the class {type(block).__name__}"
        for part, layer, known in (
            ("gcn", block.gcn, (SpatialUnit,)),
            ("gcn.conv", block.gcn.conv, tuple(cut_graph_conv.registry)),
            ("tcn", block.tcn, tuple(cut_temporal.registry)),
        ):
            if type(layer) not in known:
                return f"{name}.{part} is of the class {type(layer).__name__}"
    return ""
