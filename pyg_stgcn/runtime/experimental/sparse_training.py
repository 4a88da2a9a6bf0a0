"""Training steps of a masked ST-GCN that skip pruned weights and edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch_geometric.nn import global_mean_pool

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.backbone import Backbone, split_persons
from pyg_stgcn.models.blocks import Block
from pyg_stgcn.nn import STGraphConv, TemporalConv
from pyg_stgcn.runtime.experimental.gradients import (
    Conv,
    ConvPlan,
    GraphConv,
    GraphConvPlan,
    Normalize,
    Pack,
)
from pyg_stgcn.runtime.lanes import in_lanes
from pyg_stgcn.runtime.native import kernels, why_not
from pyg_stgcn.runtime.supported import unsupported
from pyg_stgcn.sparsity import Mask

# Above this fraction of kept weights a step of the model itself is faster (two cores, AVX-512).
DENSE_FROM = 0.35
_INSTEAD = "train the model itself"
_ops = torch.ops.pyg_stgcn


class SparseTraining(nn.Module):
    r"""Trains a masked ST-GCN on a CPU; the time of a step grows with the kept weights only.

    The logits, the gradients that :meth:`~torch.Tensor.backward` leaves in the parameters of the
    model, and the running statistics of its norms equal those of the model, up to rounding. The
    model keeps its parameters, optimiser and :class:`~pyg_stgcn.sparsity.SparsityController`; when
    masks change, the next step uses the new ones.

    .. code-block:: python

        controller = sparsify(model, 0.95, method="set", update_every=100)
        fast = SparseTraining(model)
        for batch in loader:
            optimizer.zero_grad()
            logits = fast(batch.x, batch.batch, batch.num_graphs)
            cross_entropy(logits, batch.y).backward()
            optimizer.step()
            controller.step(optimizer)

    Weights without a mask are dense. The model itself does the steps in which more than 35 % of its
    weights are kept, and those in which RigL needs the gradients of pruned weights. See
    :mod:`pyg_stgcn.runtime.experimental` for the limits.

    Args:
        model (Backbone): An ST-GCN, float32 on the CPU.

    Shapes:
        - **x**, **batch:** as for the model
        - **output:** logits :math:`(N, \mathrm{classes})`

    Raises:
        InputError: If the kernels are not compiled, or do not support the model, its masks or the
            batch.
    """

    def __init__(self, model: Backbone) -> None:
        super().__init__()
        if kernels() is None:
            raise InputError(f"sparse training: {why_not()}; or {_INSTEAD}")
        _check_backbone(model)
        self.model = model
        self._plans = [_StagePlan() for _ in model.stages]
        self._check_parameters()

    def forward(
        self, x: Tensor, batch: Tensor | None = None, batch_size: int | None = None
    ) -> Tensor:
        """Maps clips to logits."""
        masks = self._check_parameters()
        persons, clips = split_persons(x, batch, self.model.skeleton, self.model.in_channels)
        if x.device.type != "cpu" or x.dtype != torch.float32:
            raise InputError(
                f"x: {x.dtype} on {x.device}, but sparse training is for float32 on the CPU; "
                f"move the batch there, or {_INSTEAD}"
            )
        dense_grad = torch.is_grad_enabled() and any(
            mask.needs_dense_grad(mask.before_update) for mask in masks
        )
        if x.numel() == 0 or dense_grad or self._kept_fraction(masks) > DENSE_FROM:
            return cast(Tensor, self.model(x, batch, batch_size))
        x = cast(Tensor, Pack.apply(self.model.normalize(persons, clips)))
        for block, plan in zip(self.model.stages, self._plans, strict=True):
            x = plan.run(cast(Block, block), x)
        positions = x.size(2) * self.model.skeleton.num_joints
        features = global_mean_pool(x.sum((1, 2, 4)) / positions, clips, batch_size)
        return self.model.head(features)

    def _kept_fraction(self, masks: list[Mask]) -> float:
        weights = sum(parameter.numel() for parameter in self.model.parameters())
        pruned = sum(mask.mask.numel() - int(mask.mask.count_nonzero()) for mask in masks)
        return 1 - pruned / weights

    def _check_parameters(self) -> list[Mask]:
        for name, parameter in self.model.named_parameters():
            if parameter.device.type != "cpu" or parameter.dtype != torch.float32:
                raise InputError(
                    f"{name}: {parameter.dtype} on {parameter.device}, but sparse training is for "
                    f"float32 on the CPU; {_INSTEAD}"
                )
        masks = [module for module in self.model.modules() if isinstance(module, Mask)]
        for mask in masks:
            if mask.needs_dense_grad(before_update=False):
                raise InputError(
                    f"{type(mask).__name__}: needs the gradients of pruned weights in every step, "
                    f"which sparse training does not compute; {_INSTEAD}, or choose another "
                    'method, such as "magnitude" or "rigl"'
                )
        return masks


def _check_backbone(model: Backbone) -> None:
    if not isinstance(model, Backbone):
        raise InputError(f"{type(model).__name__}: is no backbone; {_INSTEAD}")
    if reason := unsupported(model):
        raise InputError(f"{reason}; {_INSTEAD}")
    for block in cast(list[Block], list(model.stages)):
        plain = block.gcn.down is None and block.gcn.attention is None
        if not (
            plain
            and isinstance(block.gcn.conv, STGraphConv)
            and isinstance(block.tcn, TemporalConv)
            and block.tcn.conv.dilation[0] == 1
        ):
            raise InputError(
                f"{type(model).__name__}: sparse training is for ST-GCN; {_INSTEAD}, or use "
                'create_model("stgcn", ...)'
            )


def _kept(owner: nn.Module, attribute: str) -> Tensor:
    """The mask of a parameter; all ones where it has none."""
    if parametrize.is_parametrized(owner, attribute):
        chain = cast(nn.ModuleDict, owner.parametrizations)[attribute]
        for mask in cast(nn.ModuleList, chain):
            if isinstance(mask, Mask):
                return mask.mask
    return torch.ones_like(cast(Tensor, getattr(owner, attribute)), dtype=torch.bool)


@dataclass
class _StagePlan:
    """Positions of the kept weights of a stage, computed again when its masks have changed."""

    masks: list[Tensor] | None = None
    spatial: GraphConvPlan | None = None
    temporal: ConvPlan | None = None
    residual: ConvPlan | None = None

    def run(self, block: Block, x: Tensor) -> Tensor:
        """Runs the stage with gradients, on features in the layout of the kernels."""
        self._update(block)
        assert self.spatial is not None and self.temporal is not None
        tcn = cast(TemporalConv, block.tcn)
        num_joints = block.gcn.adjacency.num_joints
        out = _graph_convolve(block, x, self.spatial)
        out = _normalize(block.gcn.norm, out, num_joints, relu=True, halo=self.temporal.halo)
        out = _convolve(tcn, out, self.temporal)
        residual: Tensor | None = None
        if isinstance(block.residual, TemporalConv):
            assert self.residual is not None
            residual = _convolve(block.residual, x, self.residual)
            residual = _normalize(block.residual.norm, residual, num_joints)
        elif block.residual is not None:
            residual = x
        halo = self.temporal.grad_halo
        if tcn.training and tcn.dropout.p > 0:
            out = _drop(_normalize(tcn.norm, out, num_joints, x_halo=halo), tcn, num_joints)
            return (out if residual is None else out + residual).relu()
        return _normalize(tcn.norm, out, num_joints, residual, x_halo=halo, relu=True)

    def _update(self, block: Block) -> None:
        conv, tcn = cast(STGraphConv, block.gcn.conv), cast(TemporalConv, block.tcn)
        owners: list[tuple[nn.Module, str]] = [
            (conv, "weight"),
            (block.gcn.adjacency, "edge_weight"),
            (tcn.conv, "weight"),
        ]
        if isinstance(block.residual, TemporalConv):
            owners.append((block.residual.conv, "weight"))
        masks = [_kept(*owner) for owner in owners]
        if self.masks is not None and all(map(torch.equal, masks, self.masks)):
            return
        weight, edges, taps, *residual = masks
        self.spatial = GraphConvPlan.of(
            weight.view(conv.out_channels, conv.num_partitions, -1),
            block.gcn.adjacency.placed(edges.float()),
        )
        self.temporal = ConvPlan.of(taps.squeeze(3), tcn.conv.stride[0])
        if isinstance(block.residual, TemporalConv):
            stride = block.residual.frame_step * block.residual.conv.stride[0]
            self.residual = ConvPlan.of(residual[0].squeeze(3), stride)
        self.masks = [mask.clone() for mask in masks]


def _graph_convolve(block: Block, x: Tensor, plan: GraphConvPlan) -> Tensor:
    conv = cast(STGraphConv, block.gcn.conv)
    graph = block.gcn.adjacency.dense()
    bias = x.new_zeros(conv.out_channels, graph.size(1))
    if conv.bias is not None:
        bias = conv.bias.view(conv.num_partitions, -1).t() @ graph.sum(1)
    return cast(Tensor, GraphConv.apply(x, conv.weight, in_lanes(bias), graph, plan))


def _convolve(module: TemporalConv, x: Tensor, plan: ConvPlan) -> Tensor:
    return cast(Tensor, Conv.apply(x, module.conv.weight, module.conv.bias, plan))


def _normalize(
    norm: nn.BatchNorm2d,
    x: Tensor,
    num_joints: int,
    residual: Tensor | None = None,
    x_halo: int = 0,
    relu: bool = False,
    halo: int = 0,
) -> Tensor:
    """A batch norm, a residual, and ReLU; updates the running statistics."""
    of_batch = norm.training or norm.running_mean is None or norm.running_var is None
    if of_batch:
        mean, variance = _ops.norm_stats(x.detach(), x_halo, num_joints)
        if norm.training and norm.track_running_stats:
            count = x.size(0) * (x.size(2) - 2 * x_halo) * num_joints
            _track(norm, mean, variance, count)
    else:
        mean, variance = norm.running_mean, norm.running_var
    out = Normalize.apply(
        x, norm.weight, norm.bias, mean, variance, of_batch, residual, norm.eps, num_joints,
        x_halo, relu, halo,
    )  # fmt: skip
    return cast(Tensor, out)


@torch.no_grad()
def _track(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    momentum = norm.momentum
    if momentum is None:
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked += 1
        momentum = 1.0 / float(norm.num_batches_tracked)
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance * (count / max(count - 1, 1)), momentum)


def _drop(x: Tensor, tcn: TemporalConv, num_joints: int) -> Tensor:
    """Dropout with the same random numbers as on features last."""
    ones = x.new_ones(x.size(0), x.size(2), num_joints, x.size(3))
    return x * _ops.pack(F.dropout(ones, tcn.dropout.p, training=True), 0)
