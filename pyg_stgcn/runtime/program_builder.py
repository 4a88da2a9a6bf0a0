"""Collects the slots and instructions of a network, and packs their weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_stgcn.program import Array, FeatureSlot, GraphSlot, Instruction
from pyg_stgcn.runtime.graphs import ell_graph, graph_entries
from pyg_stgcn.runtime.lanes import LANES
from pyg_stgcn.runtime.sparse_weights import (
    GROUP,
    SparseRows,
    compress,
    identity_weights,
    maps_first,
    single_weights,
)

#: No slot.
NONE = -1


class ProgramBuilder:
    """The program of a network, instruction by instruction.

    Every method appends an instruction, and returns the slot that it writes. A slot gets the halo
    that its readers need.

    Args:
        num_joints: Number of joints.
        blocks: Blocks of sixteen lanes.
        in_channels: Channels of the input, slot 0.
    """

    def __init__(self, num_joints: int, blocks: int, in_channels: int) -> None:
        self.num_joints = num_joints
        self.blocks = blocks
        self.slots: list[FeatureSlot | GraphSlot] = [FeatureSlot(in_channels)]
        self.instructions: list[Instruction] = []

    def features(self, channels: int) -> int:
        """A new slot for features."""
        self.slots.append(FeatureSlot(channels))
        return len(self.slots) - 1

    def graph(self, rows: int) -> int:
        """A new slot for a graph: so many factors for every pair of a joint and a lane."""
        self.slots.append(GraphSlot(rows * self.num_joints * self.blocks * LANES))
        return len(self.slots) - 1

    def in_lanes(self, x: Tensor) -> Tensor:
        """Fills up the joints, the last dimension, with zeros to all lanes."""
        return F.pad(x, (0, self.blocks * LANES - x.size(-1))).contiguous()

    def widen(self, slot: int, halo: int) -> None:
        """Gives a slot at least this halo."""
        features = self.slots[slot]
        assert isinstance(features, FeatureSlot)
        self.slots[slot] = replace(features, halo=max(features.halo, halo))

    def emit(self, op: str, numbers: dict[str, int], **arrays: Tensor | Array) -> None:
        """Appends an instruction; arrays of real numbers become float32."""
        packed = {name: _packed(array) for name, array in arrays.items()}
        self.instructions.append(Instruction(op, numbers, packed))

    def conv(
        self,
        x: int,
        weight: Tensor,
        bias: Tensor,
        stride: int = 1,
        padding: int = 0,
        relu: bool = False,
        residual: int = NONE,
        out: int | None = None,
        channel: int = 0,
        group: int = GROUP,
    ) -> int:
        """A convolution over time, of one frame a linear map.

        Args:
            x: The input.
            weight: The weights by output channel, frame and input channel, ``[C', S, C]``.
            bias: The bias.
            stride: Step from one output frame to the next.
            padding: Frames of zeros around the input.
            relu: Whether ReLU comes at the end.
            residual: A slot that is added before ReLU.
            out: The slot to write (default: a new one).
            channel: The first of its channels to write.
            group: Input channels that are worked on together.
        """
        self.widen(x, padding)
        out = self.features(weight.size(0)) if out is None else out
        rows = compress(weight, group)
        numbers = {"in": x, "out": out, "residual": residual, "channel": channel}
        numbers |= {"padding": padding, "stride": stride, "span": weight.size(1)}
        numbers |= {"groups": rows.groups, "block": rows.block, "relu": int(relu)}
        self.emit("conv", numbers, **_arrays(rows), bias=bias)
        return out

    def graph_conv(
        self,
        x: int,
        weight: Tensor,
        bias: Tensor,
        graph: Tensor,
        row_bias: Tensor | None = None,
        relu: bool = True,
        map_relu: bool = False,
        residual: int = NONE,
        factors: int = NONE,
    ) -> int:
        r"""A sparse map of the channels to K partitions, and the sum over the edges of each.

        Both in one pass, or the map in an instruction of its own where that is faster, see
        :func:`~pyg_stgcn.runtime.sparse_weights.maps_first`.

        .. math::
            \mathbf{x}^{\prime}_w = \mathrm{ReLU} \Big( \mathbf{b}_w + \sum_{k, v} A_{kvw} \left(
            \mathbf{W}_k \mathbf{x}_v + \mathbf{c}_k \right) + \mathbf{r}_w \Big)

        Args:
            x: The input.
            weight: The weights by output channel, partition and input channel, ``[C', K, C]``.
            bias: One bias per output channel and joint, ``[C', V]``.
            graph: The graph by partition, source and target, ``[K, V, V]``. With a graph per input
                only its zeros are used.
            row_bias: The biases :math:`\mathbf{c}`, ``[C', K]``.
            relu: Whether ReLU comes at the end.
            map_relu: Whether ReLU follows the map.
            residual: A slot that is added before ReLU.
            factors: A slot with the graph of every input.
        """
        channels, partitions, _ = weight.shape
        flat = weight.reshape(channels * partitions, 1, -1)
        shift = torch.zeros(len(flat)) if row_bias is None else row_bias.flatten()
        if maps_first(flat):
            x = self.conv(x, flat, shift, relu=map_relu)
            rows, shift, map_relu = identity_weights(len(flat)), torch.zeros_like(shift), False
        else:
            rows = single_weights(flat)
        entries, ell = graph_entries(graph, self.blocks), ell_graph(graph, self.blocks)
        out = self.features(channels)
        numbers = {"in": x, "out": out, "residual": residual, "graph": factors}
        numbers |= {"partitions": partitions, "map_relu": int(map_relu), "relu": int(relu)}
        fixed = slice(None) if factors == NONE else slice(0)
        self.emit(
            "graph_conv",
            numbers,
            **_arrays(rows),
            bias=self.in_lanes(bias),
            row_bias=shift,
            graph_starts=entries.starts,
            edges=entries.graph,
            factors=entries.factors.flatten(2).squeeze(0)[fixed],
            ell_starts=ell.starts[fixed],
            ell_sources=ell.sources[fixed],
            ell_factors=ell.factors[fixed],
        )
        return out


def _arrays(rows: SparseRows) -> dict[str, Tensor]:
    return {"starts": rows.starts, "offsets": rows.offsets, "values": rows.values}


def _packed(array: Tensor | Array) -> Array:
    if isinstance(array, np.ndarray):
        return array
    array = array.detach().cpu()
    packed: Array = (array.float() if array.is_floating_point() else array).contiguous().numpy()
    return packed
