"""A backbone, compiled for the kernels."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.backbone import Backbone, pool_persons, split_persons
from pyg_stgcn.models.blocks import Block
from pyg_stgcn.nn import TemporalConv
from pyg_stgcn.nn.input_norm import person_positions
from pyg_stgcn.runtime.compiled_spatial import Spatial
from pyg_stgcn.runtime.compiled_temporal import compile_conv, compile_temporal
from pyg_stgcn.runtime.fold import copy_plain, input_norm
from pyg_stgcn.runtime.lanes import LANES, frame_mean, num_blocks
from pyg_stgcn.runtime.layers import SparseConv, SparseGraphConv
from pyg_stgcn.runtime.sparse_weights import zeros_fraction
from pyg_stgcn.runtime.supported import num_lanes
from pyg_stgcn.runtime.threads import limited_to, threads_for

# Bytes of the features of a group of persons, for each thread.
AT_ONCE = 2**19


class SparseBlock(nn.Module):
    """One stage."""

    def __init__(self, block: Block, num_joints: int) -> None:
        super().__init__()
        self.temporal = compile_temporal(block.tcn, num_joints)
        self.spatial = Spatial(block.gcn, self.temporal.padding)
        self.has_residual = block.residual is not None
        self.residual: SparseConv | None = None
        if isinstance(block.residual, TemporalConv):
            self.residual = compile_conv(block.residual, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Runs the stage; the memory of the input may be used for the result."""
        out = self.spatial(x)
        if not self.has_residual:
            return self.temporal(out)
        return self.temporal.onto(out, x if self.residual is None else self.residual(x))


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
        num_joints = model.skeleton.num_joints
        scale, shift = input_norm(model)
        self.register_buffer("input_scale", scale.float())
        self.register_buffer("input_shift", shift.float())
        blocks = [block for block in model.stages if isinstance(block, Block)]
        self.stages = nn.ModuleList(SparseBlock(block, num_joints) for block in blocks)
        self.num_lanes = num_lanes(model)
        # Frames halve where channels double: features have this size in all stages.
        self.first_channels = blocks[0].gcn.conv.out_channels
        self.work_per_frame = _work_per_frame(self.stages, num_joints)
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
        lanes = num_blocks(self.num_lanes) * LANES
        return threads_for(self.work_per_frame * lanes * x.size(0) * x.size(1))

    def _at_once(self, x: Tensor) -> int:
        lanes = num_blocks(self.num_lanes) * LANES
        size = x.size(1) * lanes * self.first_channels * x.element_size()
        return torch.get_num_threads() * max(AT_ONCE // size, 1)

    def _run(self, x: Tensor) -> Tensor:
        spare = num_blocks(self.num_lanes) - num_blocks(x.size(2))
        x = torch.ops.pyg_stgcn.pack(F.pad(x, (0, 0, 0, spare)), 0)
        for stage in self.stages:
            x = stage(x)
        return frame_mean(x, self.skeleton.num_joints).mean(1)

    def _normalized(self, x: Tensor, batch: Tensor | None) -> Tensor:
        slot = person_positions(x.size(0), batch, x.device).clamp(max=self.input_scale.size(0) - 1)
        return torch.addcmul(self.input_shift[slot], self.input_scale[slot], x)


def _work_per_frame(stages: nn.ModuleList, num_joints: int) -> float:
    """Multiplications of a frame of the input, for each joint of a person."""
    work, frames = 0.0, 1.0
    for stage in stages:
        step = 1
        for layer in stage.modules():
            if isinstance(layer, SparseConv | SparseGraphConv):
                work += frames * layer.values.numel()
            if isinstance(layer, SparseConv):
                step = max(step, layer.stride)
            if isinstance(layer, SparseGraphConv):
                work += frames * layer.edges.size(0) * layer.bias.size(0) / num_joints
        frames /= step
    return work
