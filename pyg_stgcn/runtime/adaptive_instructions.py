"""The instructions of graphs that depend on the input, and of attention."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_stgcn.program import FeatureSlot, GraphSlot, Instruction
from pyg_stgcn.runtime.instructions import Slots, Step
from pyg_stgcn.runtime.lanes import LANES, frame_mean

_ops = torch.ops.pyg_stgcn


class Similarity(Step):
    """The graph of AAGCN: of the products of embedded joints."""

    prior: Tensor
    gate: Tensor

    def run(self, slots: Slots) -> None:
        """Compares the joints."""
        x, partitions = slots[self.source], self.numbers["partitions"]
        products = _ops.pairs(x, self.in_halo, partitions, self.num_joints)
        frames = x.size(2) - 2 * self.in_halo
        similarity = (products / (frames * self.numbers["channels"])).tanh_()
        graph = torch.addcmul(self.prior, self.gate, similarity)
        slots[self.target] = graph.flatten(2).unsqueeze(2)


class Relation(Step):
    """Base of graphs of the means over the frames: maps of source and target joints."""

    relate_weight: Tensor
    relate_bias: Tensor

    def related(self, x: Tensor, partitions: int, lanes: int) -> tuple[Tensor, Tensor]:
        """Both maps, ``[P, K, R, V]``, the targets in lanes."""
        mean = frame_mean(x, self.num_joints, self.in_halo)
        related = F.linear(mean, self.relate_weight, self.relate_bias)
        related = related.view(*mean.shape[:2], 2, partitions, -1).permute(2, 0, 3, 4, 1)
        return related[0], F.pad(related[1], (0, lanes - self.num_joints))


class ChannelGraph(Relation):
    """The graphs of CTR-GCN, one per channel."""

    fixed: Tensor
    refine: Tensor

    def run(self, slots: Slots) -> None:
        """Relates the joints."""
        x = slots[self.source]
        source, target = self.related(x, self.fixed.size(0), self.fixed.size(3))
        relation = (source.unsqueeze(-1) - target.unsqueeze(-2)).tanh_()
        relation.mul_(self.fixed[:, 1:])
        relation = torch.cat([relation, self.fixed.expand(x.size(0), -1, -1, -1, -1)], 2)
        slots[self.target] = self.refine @ relation.flatten(3)


class GroupGraph(Relation):
    """The graphs of DG-STGCN, one per channel of a group."""

    prior: Tensor
    alpha: Tensor
    beta: Tensor
    kept: Tensor

    def __init__(
        self,
        instruction: Instruction,
        slots: Sequence[FeatureSlot | GraphSlot],
        num_joints: int = 1,
    ) -> None:
        super().__init__(instruction, slots, num_joints)
        self.kept = self.kept != 0
        self.alpha = self.alpha.unsqueeze(1)

    def run(self, slots: Slots) -> None:
        """Relates the joints."""
        source, target = self.related(slots[self.source], self.kept.size(0), self.kept.size(2))
        score = source.transpose(2, 3) @ target
        score = score.masked_fill_(~self.kept, torch.finfo(score.dtype).min).softmax(-2)
        common = torch.addcmul(self.prior, self.beta, score).unsqueeze(2)
        difference = (source.unsqueeze(-1) - target.unsqueeze(-2)).tanh_()
        graph = torch.addcmul(common, self.alpha, difference)
        slots[self.target] = graph.flatten(1, 2).flatten(2).unsqueeze(1)


class Attention(Step):
    """The three gates of AAGCN: computed from gated sums, and applied to the features once."""

    joint_taps: Tensor
    joint_bias: Tensor
    frame_taps: Tensor
    frame_bias: Tensor
    squeeze_weight: Tensor
    squeeze_bias: Tensor
    excite_weight: Tensor
    excite_bias: Tensor

    def run(self, slots: Slots) -> None:
        """Weighs joints, frames and channels, in place."""
        x = slots[self.source]
        spare = x.size(1) * LANES - self.num_joints
        mean = frame_mean(x, self.num_joints, self.in_halo).transpose(1, 2)
        joint = F.pad(_gate(one_channel(mean, self.joint_taps, self.joint_bias)), (0, spare))
        means = _ops.joint_sum(x, self.in_halo, joint / self.num_joints)
        frame = _gate(one_channel(means.transpose(1, 2), self.frame_taps, self.frame_bias))
        mean = (means * frame.unsqueeze(2)).mean(1)
        squeezed = F.linear(mean, self.squeeze_weight, self.squeeze_bias).relu()
        channel = _gate(F.linear(squeezed, self.excite_weight, self.excite_bias))
        _ops.gate_(x, self.in_halo, joint, frame, channel)


def _gate(x: Tensor) -> Tensor:
    return 1 + x.sigmoid()


def one_channel(x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    r"""A convolution to one channel, faster than torch's: products first, then shifted sums.

    Args:
        x (torch.Tensor): The input.
        taps (torch.Tensor): The weights.
        bias (torch.Tensor): The bias.

    Shapes:
        - **x:** :math:`(P, C, L)`, **taps:** :math:`(S, C)`, **bias:** :math:`(1)`
        - **output:** :math:`(P, L)`
    """
    span = taps.size(0)
    # A product per person: one product of all persons would sum in an order that depends on
    # their number.
    products = torch.bmm(taps.expand(x.size(0), -1, -1), x)
    products = F.pad(products, (span // 2, span // 2)).contiguous()
    # Each tap is shifted by one more position: sums along diagonals.
    width = products.size(2)
    shape, steps = (x.size(0), span, x.size(2)), (span * width, width + 1, 1)
    return products.as_strided(shape, steps).sum(1) + bias
