"""The instructions of adaptive backbones: graphs that depend on the input, gates, mean joints."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_stgcn.program import GraphSlot, Instruction
from pyg_stgcn.runtime.instructions import Layout, Slots, Step
from pyg_stgcn.runtime.lanes import LANES

_ops = torch.ops.pyg_stgcn


class AdaptiveStep(Step):
    """An instruction that changes its input in place: attention, and the mean of the joints."""

    def __init__(self, instruction: Instruction, slots: Layout, num_joints: int = 1) -> None:
        super().__init__(instruction, slots, num_joints)
        self.op = instruction.op
        self.names = list(instruction.arrays)

    def arrays(self) -> list[Tensor]:
        """The arrays, in the order of the instruction."""
        return [self.get_buffer(name) for name in self.names]

    def run(self, slots: Slots) -> None:
        """Changes the features."""
        x = slots[self.source]
        _ops.change_.default(self.op, x, self.in_halo, self.num_joints, self.arrays())


class AdaptiveGraph(AdaptiveStep):
    """The graph of every input: of AAGCN, CTR-GCN and DG-STGCN."""

    def __init__(self, instruction: Instruction, slots: Layout, num_joints: int = 1) -> None:
        super().__init__(instruction, slots, num_joints)
        target = slots[self.target]
        assert isinstance(target, GraphSlot)
        self.floats = target.floats
        # The groups of DG-STGCN are channels of one partition.
        by_partition = {"similarity": "prior", "channel_graph": "fixed"}
        name = by_partition.get(self.op)
        self.graphs = self.get_buffer(name).size(0) if name else 1

    def run(self, slots: Slots) -> None:
        """Relates the joints."""
        x = slots[self.source]
        square = self.num_joints * x.size(1) * LANES
        slots[self.target] = _ops.make_graph.default(
            self.op,
            x,
            self.in_halo,
            self.num_joints,
            self.arrays(),
            self.numbers.get("partitions", 1),
            self.numbers.get("channels", 1),
            self.graphs,
            self.floats // (self.graphs * square),
        )
