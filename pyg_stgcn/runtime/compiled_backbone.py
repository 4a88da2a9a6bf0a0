"""A backbone, compiled for the kernels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.backbone import Backbone, pool_persons, split_persons
from pyg_stgcn.models.plain_copy import copy_plain
from pyg_stgcn.nn.input_norm import person_positions
from pyg_stgcn.program import FeatureSlot, Network
from pyg_stgcn.runtime.adaptive_instructions import AdaptiveGraph, AdaptiveStep
from pyg_stgcn.runtime.instructions import (
    Add,
    Maximum,
    Slots,
    SparseConv,
    SparseGraphConv,
    Step,
)
from pyg_stgcn.runtime.lanes import LANES, frame_mean, num_blocks
from pyg_stgcn.runtime.program_compiler import compile_network
from pyg_stgcn.runtime.sparse_weights import zeros_fraction
from pyg_stgcn.runtime.threads import limited_to, threads_for

# Bytes of the features of a group of persons, for each thread.
AT_ONCE = 2**19


STEPS: dict[str, type[Step]] = {
    "conv": SparseConv,
    "graph_conv": SparseGraphConv,
    "maximum": Maximum,
    "add": Add,
    "mean_joint": AdaptiveStep,
    "spread_joint": AdaptiveStep,
    "similarity": AdaptiveGraph,
    "channel_graph": AdaptiveGraph,
    "group_graph": AdaptiveGraph,
    "attention": AdaptiveStep,
}


class SparseBackbone(nn.Module):
    r"""A trained backbone that skips pruned weights and edges, for inference on a CPU.

    Made by :func:`~pyg_stgcn.runtime.compile_sparse`. Runs groups of persons whose features stay in
    the cache from one stage to the next; all persons together under :func:`torch.compile` and
    :func:`torch.export.export`.

    A pass uses as many threads as its work is worth, one for small models, and no more than torch
    and the machine allow. ``threads`` fixes their number: ``fast.threads = 1``.

    Args:
        model (Backbone): The backbone, with masks or without.

    Shapes:
        - **x**, **batch:** as for the backbone, float32 on the CPU
        - **output:** logits :math:`(N, \mathrm{classes})`
    """

    input_scale: Tensor
    input_shift: Tensor

    def __init__(self, model: Backbone) -> None:
        super().__init__()
        self.skeleton = model.skeleton
        self.in_channels = model.in_channels
        self.num_classes = model.num_classes
        self.num_features = model.num_features
        #: Fraction of zeros in the weights of the model.
        self.sparsity = zeros_fraction(model.parameters())
        network = compile_network(model)
        # By position of the person, [positions, 1, V, C].
        for name, values in (("scale", network.scale), ("shift", network.shift)):
            self.register_buffer(f"input_{name}", torch.tensor(values).unsqueeze(1))
        self.num_lanes = network.blocks * LANES
        self.num_slots, self.result = len(network.slots), network.result
        num_joints = model.skeleton.num_joints
        self.steps = nn.ModuleList(
            STEPS[one.op](one, network.slots, num_joints) for one in network.instructions
        )
        #: The slots that nothing reads after each instruction.
        self.read_last = _read_last(network)
        for step, last in zip(cast(Iterable[Step], self.steps), self.read_last, strict=True):
            if step.residual in last:
                step.takes_residual(network.slots)
        self.work_per_frame = _work_per_frame(network, num_joints)
        # Frames halve where channels double: features have this size in all stages.
        self.first_channels = next(
            step.channels for step in self.steps if isinstance(step, SparseGraphConv)
        )
        self.threads: int | None = None
        self.head = copy_plain(model.head)
        self.eval()

    def train(self, mode: bool = True) -> SparseBackbone:
        """Stays in evaluation mode; the weights are folded."""
        if mode:
            raise InputError(
                "a compiled model cannot be trained; train the model that it was compiled from, "
                "and compile that again"
            )
        return super().train(False)

    def forward(
        self, x: Tensor, batch: Tensor | None = None, batch_size: int | None = None
    ) -> Tensor:
        """Maps clips to logits, see :meth:`~pyg_stgcn.models.Backbone.forward`."""
        return self.forward_head(self.forward_features(x, batch, batch_size), batch, batch_size)

    @torch.no_grad()
    def forward_features(
        self, x: Tensor, batch: Tensor | None = None, batch_size: int | None = None
    ) -> Tensor:
        """Maps clips to the features of their persons, shape :math:`(P, 1, 1, C')`.

        These are the means of the feature maps over frames and joints: the maps themselves would
        cost a copy from the layout of the kernels. :meth:`forward_head` takes both.
        """
        persons, clips = split_persons(x, batch, self.skeleton, self.in_channels)
        if x.device.type != "cpu" or x.dtype != torch.float32:
            raise InputError(
                f"x: {x.dtype} on {x.device}, but the model is compiled for float32 on the CPU; "
                "move the batch there, or compile a model that is where the batch is"
            )
        features = self._features(self._normalized(persons, clips))
        # A NaN that only pruned weights would read counts too, as in the dense model.
        spoilt = (0 * x).sum((1, 2)).view(-1, self.skeleton.num_joints).sum(1, keepdim=True)
        return (features + spoilt)[:, None, None]

    @torch.no_grad()
    def forward_head(
        self,
        maps: Tensor,
        batch: Tensor | None = None,
        batch_size: int | None = None,
        pre_logits: bool = False,
    ) -> Tensor:
        """Maps features to logits, see :meth:`~pyg_stgcn.models.Backbone.forward_head`."""
        features = pool_persons(maps, batch, batch_size, self.skeleton)
        return features if pre_logits else cast(Tensor, self.head(features))

    def _features(self, x: Tensor) -> Tensor:
        """Maps normalised persons ``[P, T, V, C]`` to the means ``[P, C']`` of their maps."""
        if x.size(0) == 0:
            return x.new_zeros(x.size(0), self.num_features)
        if torch.compiler.is_compiling():
            return self._run(x)  # the numbers of threads and persons may be unknown
        with limited_to(self._num_threads(x)):
            return torch.cat([self._run(group) for group in x.split(self._at_once(x))])

    def _num_threads(self, x: Tensor) -> int:
        if self.threads is not None:
            return self.threads
        return threads_for(self.work_per_frame * self.num_lanes * x.size(0) * x.size(1))

    def _at_once(self, x: Tensor) -> int:
        size = x.size(1) * self.num_lanes * self.first_channels * x.element_size()
        return torch.get_num_threads() * max(AT_ONCE // size, 1)

    def packed(self, x: Tensor) -> Slots:
        """The slots before a pass, from normalised persons ``[P, T, V, C]``."""
        spare = self.num_lanes // LANES - num_blocks(x.size(2))
        x = torch.ops.pyg_stgcn.pack(F.pad(x, (0, 0, 0, spare)), 0)
        return [x, *[None] * (self.num_slots - 1)]

    def _run(self, x: Tensor) -> Tensor:
        slots = self.packed(x)
        for step, last in zip(cast(Iterable[Step], self.steps), self.read_last, strict=True):
            step.run(slots)
            for slot in last:
                slots[slot] = None
        return frame_mean(cast(Tensor, slots[self.result]), x.size(2)).mean(1)

    def _normalized(self, x: Tensor, batch: Tensor | None) -> Tensor:
        slot = person_positions(x.size(0), batch, x.device).clamp(max=self.input_scale.size(0) - 1)
        return torch.addcmul(self.input_shift[slot], self.input_scale[slot], x)


def _read_last(network: Network) -> list[list[int]]:
    """The slots that each instruction is the last to use, the result aside."""
    last = {}
    for number, instruction in enumerate(network.instructions):
        for name in ("in", "residual", "graph", "at", "out"):
            last[instruction.numbers.get(name, -1)] = number
    slots: list[list[int]] = [[] for _ in network.instructions]
    for slot, number in last.items():
        if slot not in (-1, network.result):
            slots[number].append(slot)
    return slots


def _work_per_frame(network: Network, num_joints: int) -> float:
    """Multiplications of a frame of the input, for each joint of a person."""
    work, frames = 0.0, {0: 1.0}
    for instruction in network.instructions:
        numbers, arrays = instruction.numbers, instruction.arrays
        if "in" not in numbers:
            continue
        out = frames[numbers["in"]] / numbers.get("stride", 1)
        if isinstance(network.slots[numbers["out"]], FeatureSlot):
            frames[numbers["out"]] = out
        if instruction.op in ("conv", "graph_conv"):
            work += out * arrays["values"].size
        if instruction.op == "graph_conv":
            work += out * len(arrays["edges"]) * len(arrays["bias"]) / num_joints
    return work
