"""The spatial graph convolution as a GPU takes it: the linear map before the graph product.

One convolution with its bias and one graph product are fewer launches, forward and backward, than a
graph product, a map, and a bias that is weighted by the rows of the graph. It needs the weights of
every partition together, which are put in order for all layers of a model at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from pyg_stgcn.nn.conv.graph_input import in_precision_of
from pyg_stgcn.nn.features_last import map_channels

if TYPE_CHECKING:
    from pyg_stgcn.nn.conv.st_graph_conv import STGraphConv

#: Layers of a model as outputs, partitions and inputs.
Shapes = tuple[tuple[int, int, int], ...]

_orders: dict[tuple[Shapes, torch.device], tuple[Tensor, Tensor]] = {}


class MapFirst(NamedTuple):
    """A graph for :class:`~pyg_stgcn.nn.STGraphConv`, with the weights of the layer.

    Args:
        graph: The weights of the messages, ``[V, V*K]``: those from joint ``v`` in partition ``k``
            in column ``v*K + k``, see ``by_source`` of :func:`~pyg_stgcn.nn.build_matrices`.
        weight: The weights of the layer, ``[K*C', C]``, see :func:`partition_weights`.
    """

    graph: Tensor
    weight: Tensor


def convolve_map_first(x: Tensor, given: MapFirst, bias: Tensor | None) -> Tensor:
    """Maps every joint for every partition, then multiplies by the graph.

    Shapes:
        - **x:** :math:`(P, T, V, C)`, **bias:** :math:`(K C')`
        - **output:** :math:`(P, T, V, C')`
    """
    mapped = map_channels(x, given.weight, bias)
    channels = mapped.size(2) * mapped.size(3) // given.graph.size(1)
    frames = mapped.reshape(-1, given.graph.size(1), channels)
    graph = in_precision_of(given.graph, mapped)
    out = torch.bmm(graph.expand(frames.size(0), -1, -1), frames)
    return out.view(*x.shape[:2], graph.size(0), channels)


def partition_weights(layers: Sequence[STGraphConv]) -> list[Tensor]:
    """The weights of several layers, those of a partition together, ``[K*C', C]`` each."""
    weights: list[Tensor] = [layer.weight for layer in layers]
    shapes = tuple((la.out_channels, la.num_partitions, la.in_channels) for la in layers)
    if torch.compiler.is_compiling():  # Which finds the best order of copies itself.
        parts = [partitions_first(w, shape[1]) for w, shape in zip(weights, shapes, strict=True)]
    else:
        flat = torch.cat([weight.flatten() for weight in weights])
        ordered: Tensor = _Reorder.apply(flat, *_order_and_inverse(shapes, flat.device))
        parts = list(ordered.split([weight.numel() for weight in weights]))
    return [part.view(-1, shape[2]) for part, shape in zip(parts, shapes, strict=True)]


def partitions_first(weight: Tensor, num_partitions: int) -> Tensor:
    """The weights ``[C', K*C]`` of a layer, those of a partition together, ``[K*C', C]``."""
    by_partition = weight.view(weight.size(0), num_partitions, -1)
    return by_partition.transpose(0, 1).flatten(0, 1)


def _order_and_inverse(shapes: Shapes, device: torch.device) -> tuple[Tensor, Tensor]:
    """The places of all weights of all layers, and the places where they go."""
    if (shapes, device) not in _orders:
        # A tensor of inference mode could take no part in a backward pass later.
        with torch.inference_mode(False), torch.no_grad():
            parts, start = [], 0
            for shape in shapes:
                size = shape[0] * shape[1] * shape[2]
                places = torch.arange(start, start + size, device=device).view(shape[0], -1)
                parts.append(partitions_first(places, shape[1]).flatten())
                start += size
            order = torch.cat(parts)
            made = order, torch.empty_like(order)
            made[1][order] = torch.arange(start, device=device)
        if type(order) is not Tensor:  # One that stands for numbers while a program is traced.
            return made
        _orders[shapes, device] = made
    return _orders[shapes, device]


class _Reorder(torch.autograd.Function):
    """A permutation whose gradient is the inverse permutation.

    That of indexing would add in no certain order.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        return values.index_select(0, order)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs[1:])
        ctx.save_for_forward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        order, inverse = ctx.saved_tensors
        return _Reorder.apply(grads[0], inverse, order), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return _Reorder.apply(tangents[0], *ctx.saved_tensors)
