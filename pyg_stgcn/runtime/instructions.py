"""The instructions of a program as modules around the operators of the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pyg_stgcn.program import FeatureSlot, GraphSlot, Instruction
from pyg_stgcn.runtime.lanes import LANES

_ops = torch.ops.pyg_stgcn

#: The features and graphs of a pass: None before they are computed, and after their last use.
Slots = list[Any]
#: The kinds of the slots of a network.
Layout = Sequence[FeatureSlot | GraphSlot]


class Step(nn.Module):
    """An instruction of a network, its arrays as buffers.

    Args:
        instruction (Instruction): The instruction.
        slots (sequence): The slots of the network.
        num_joints (int): Number of joints. (default: :obj:`1`)
    """

    #: Whether the result is written in the memory of the residual.
    onto_residual = False

    def __init__(self, instruction: Instruction, slots: Layout, num_joints: int = 1) -> None:
        super().__init__()
        self.numbers = instruction.numbers
        self.num_joints = num_joints
        for name, array in instruction.arrays.items():
            self.register_buffer(name, torch.tensor(array))
        self.relu = bool(self.numbers.get("relu", 0))
        self.source = self.numbers.get("in", self.numbers.get("at", -1))
        self.target = self.numbers.get("out", self.source)
        self.residual = self.numbers.get("residual", -1)
        #: The halos of input and output, and the channels of the output.
        self.in_halo, self.in_channels = _features(slots[self.source])
        self.halo, self.channels = _features(slots[self.target])

    def run(self, slots: Slots) -> None:
        """Reads and writes the slots of a pass."""
        raise NotImplementedError

    def takes_residual(self, slots: Layout) -> None:
        """Lets the result take the memory of the residual, which nothing else reads.

        There is less memory in the cache then.
        """

    def extra_repr(self) -> str:
        """Shows the numbers of the instruction."""
        return ", ".join(f"{name}={number}" for name, number in self.numbers.items())


def _features(slot: FeatureSlot | GraphSlot) -> tuple[int, int]:
    return (slot.halo, slot.channels) if isinstance(slot, FeatureSlot) else (0, 0)


class SparseConv(Step):
    """A convolution over time (of one frame: a linear map), batch norm, residual and ReLU."""

    starts: Tensor
    offsets: Tensor
    values: Tensor
    bias: Tensor

    def __init__(self, instruction: Instruction, slots: Layout, num_joints: int = 1) -> None:
        super().__init__(instruction, slots, num_joints)
        self.rows, self.span = self.bias.numel(), self.numbers["span"]
        self.groups, self.block = self.numbers["groups"], self.numbers["block"]
        self.stride, self.padding = self.numbers["stride"], self.numbers["padding"]
        # The operator reads from the first frame of the halo on.
        self.unread = self.in_halo - self.padding
        self.offsets += self.unread * self.in_channels * LANES

    def run(self, slots: Slots) -> None:
        """Convolves, in the memory of the residual if nothing else reads that."""
        arguments, residual = self.arguments(slots[self.source]), None
        if self.residual >= 0:
            residual = slots[self.residual]
        if residual is not None and self.onto_residual:
            _ops.conv_into.default(*arguments, residual, 0, 0, True)
            slots[self.target] = residual
        elif self.numbers["channel"]:
            out, channel = slots[self.target], self.numbers["channel"]
            _ops.conv_into.default(*arguments, out, self.halo, channel, False)
        else:
            slots[self.target] = _ops.conv.default(*arguments, residual, self.halo, self.channels)

    def takes_residual(self, slots: Layout) -> None:
        """Lets the result take the memory of the residual, if it fits."""
        self.onto_residual = slots[self.residual] == FeatureSlot(self.rows, self.halo)
        self.onto_residual &= self.halo == 0 and self.rows == self.channels

    def forward(self, x: Tensor) -> Tensor:
        """Convolves features without a residual."""
        out: Tensor = _ops.conv.default(*self.arguments(x), None, self.halo, self.channels)
        return out

    def of_rows(self, x: Tensor) -> Tensor:
        """Maps rows ``[R, C]`` to ``[R, C']``; of one frame, without stride, padding and ReLU."""
        if x.stride(-1) != 1:
            x = x.contiguous()
        out: Tensor = _ops.linear.default(
            x, self.starts, self.offsets, self.values, self.bias, self.groups, self.block
        )
        return out

    def arguments(self, x: Tensor) -> tuple[object, ...]:
        """Those of the operators that name the input and the weights."""
        frames = (x.size(2) - 2 * self.unread - self.span) // self.stride + 1
        weights = (self.starts, self.offsets, self.values, self.bias)
        return (x, *weights, self.groups, self.block, self.stride, frames, self.relu)


class SparseGraphConv(Step):
    """A sparse map to partitions, and the sum over the edges of each."""

    starts: Tensor
    offsets: Tensor
    values: Tensor
    bias: Tensor
    row_bias: Tensor
    graph_starts: Tensor
    edges: Tensor
    factors: Tensor
    ell_starts: Tensor
    ell_sources: Tensor
    ell_factors: Tensor

    def __init__(self, instruction: Instruction, slots: Layout, num_joints: int = 1) -> None:
        super().__init__(instruction, slots, num_joints)
        assert self.in_halo == 0, "the operator reads all frames of its input"
        self.factors = self.factors[None, :, None]
        self.graph = self.numbers["graph"]
        self.partitions = self.numbers["partitions"]
        self.map_relu = bool(self.numbers["map_relu"])

    def run(self, slots: Slots) -> None:
        """Convolves every frame with the graph."""
        slots[self.target] = _ops.graph_conv.default(
            slots[self.source],
            self.starts,
            self.offsets,
            self.values,
            self.bias,
            self.row_bias,
            self.graph_starts,
            self.edges,
            self.factors if self.graph < 0 else slots[self.graph],
            self.ell_starts,
            self.ell_sources,
            self.ell_factors,
            self.partitions,
            self.map_relu,
            self.halo,
            None if self.residual < 0 else slots[self.residual],
            self.relu,
        )


class Maximum(Step):
    """The maximum over three frames, scaled and shifted, into some channels."""

    scale: Tensor
    shift: Tensor

    def run(self, slots: Slots) -> None:
        """Takes the maxima."""
        _ops.pool_into.default(
            slots[self.source],
            self.in_halo,
            self.numbers["in_channel"],
            self.scale,
            self.shift,
            self.numbers["stride"],
            self.relu,
            slots[self.target],
            self.halo,
            self.numbers["channel"],
        )


class Add(Step):
    """The sum of two slots."""

    def takes_residual(self, slots: Layout) -> None:
        """Lets the result take the memory of the residual."""
        self.onto_residual = True

    def run(self, slots: Slots) -> None:
        """Adds, in the memory of the residual if nothing else reads that."""
        x, residual = slots[self.source], slots[self.residual]
        total = residual.add_(x) if self.onto_residual else residual + x
        slots[self.target] = total.relu_() if self.relu else total
