"""Batch norms whose statistics are those of the batches of all processes, on any device."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyg_stgcn.nn.feature_norm import FeatureNorm
from pyg_stgcn.nn.input_norm import PersonNorm


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _total(values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return _total(grads[0])


def sum_over_processes(values: Tensor) -> Tensor:
    """Sum of a tensor over all processes, differentiable."""
    return cast(Tensor, _SumOverProcesses.apply(values))


class _SyncedNorm(torch.autograd.Function):
    """Normalisation by mean and variance over all processes; one message forward, one backward."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        dims = [dim for dim in range(x.dim()) if dim != 1]
        exact = torch.promote_types(x.dtype, torch.float32)
        variance, mean = torch.var_mean(x.to(exact), dims, correction=0)
        # In double precision, because the square of the mean is subtracted below.
        mean, variance = mean.double(), variance.double()
        count = mean.new_tensor([x.numel() // x.size(1)])
        sums = _total(torch.cat([count * mean, count * (variance + mean.square()), count]))
        first, second, total = sums.split([len(mean), len(mean), 1])
        mean = first / total
        variance = (second / total - mean.square()).clamp(min=0)
        deviation = (variance + eps).rsqrt()
        unbiased = variance * total / (total - 1)
        shape = [-1] + [1] * (x.dim() - 2)
        kept = x.to(exact), mean.to(exact).view(shape), deviation.to(exact).view(shape)
        normalized = (kept[0] - kept[1]) * kept[2]
        ctx.save_for_backward(x, kept[1], kept[2], weight, total)
        ctx.mark_non_differentiable(mean, unbiased)
        out = torch.addcmul(bias.view(shape), normalized, weight.view(shape))
        return out.to(x.dtype), mean, unbiased

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, mean, deviation, weight, total = ctx.saved_tensors
        dims = [dim for dim in range(x.dim()) if dim != 1]
        grad = grads[0].to(mean.dtype)
        normalized = (x.to(mean.dtype) - mean) * deviation
        of_bias, of_weight = grad.sum(dims), (grad * normalized).sum(dims)
        means = _total(torch.cat([of_bias, of_weight])) / total.to(mean.dtype)
        centre, slope = (part.view(mean.shape) for part in means.chunk(2))
        of_x = (grad - centre - normalized * slope) * (deviation * weight.view(mean.shape))
        return of_x.to(x.dtype), of_weight, of_bias, None


def _total(values: Tensor) -> Tensor:
    values = values.contiguous().clone()
    distributed.all_reduce(values)
    return values


class _Synced(_BatchNorm):
    """A batch norm over the batches of all processes of a training.

    A process may have any number of values, but not none. In evaluation it is an ordinary batch
    norm.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None and self.running_var is not None
        assert self.momentum is not None
        out, mean, variance = _SyncedNorm.apply(input, self.weight, self.bias, self.eps)
        with torch.no_grad():
            if self.num_batches_tracked is not None and not isinstance(self, FeatureNorm):
                self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            self.running_var.lerp_(variance.to(self.running_var), self.momentum)
        return cast(Tensor, out)


class SyncedBatchNorm1d(_Synced, nn.BatchNorm1d):
    """:class:`torch.nn.BatchNorm1d` over all processes."""


class SyncedBatchNorm2d(_Synced, nn.BatchNorm2d):
    """:class:`torch.nn.BatchNorm2d` over all processes."""


class SyncedFeatureNorm(_Synced, FeatureNorm):
    """:class:`FeatureNorm` over all processes."""


_SYNCED: dict[type[nn.Module], type[_BatchNorm]] = {
    nn.BatchNorm1d: SyncedBatchNorm1d,
    nn.BatchNorm2d: SyncedBatchNorm2d,
    FeatureNorm: SyncedFeatureNorm,
}


def synchronize_norms(module: nn.Module) -> nn.Module:
    """Let the batch norms of a module, in place, share their statistics between all processes.

    A training step in several processes then computes what one process computes with all their
    clips together, up to rounding. Parameters, buffers and their names stay the same. Unlike
    :class:`torch.nn.SyncBatchNorm`, it works on CPUs too. Needs an initialised process group when
    the module is called in training.

    Example:
        >>> model = synchronize_norms(create_model("stgcn", 60, "ntu25"))
        >>> wrapped = DistributedDataParallel(model)
    """
    for part in module.modules():
        if isinstance(part, PersonNorm):
            part.total = sum_over_processes
        elif isinstance(part, _BatchNorm) and not isinstance(part, _Synced):
            part.__class__ = _SYNCED[type(part)]
    return module
