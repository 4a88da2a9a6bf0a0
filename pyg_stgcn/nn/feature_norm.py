"""Batch norm of the features between the layers."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class FeatureNorm(nn.BatchNorm2d):
    r"""A batch norm that does not count its batches.

    :class:`torch.nn.BatchNorm2d` adds one to :obj:`num_batches_tracked` in every training step: a
    kernel launch for a number that is read only if :obj:`momentum` is :obj:`None`. Only then it is
    counted here. The number stays in the state dict, so that files of both fit.

    Args:
        num_features (int): Channels :math:`C`.

    Shapes:
        - **input:** :math:`(P, C, T, V)`
        - **output:** :math:`(P, C, T, V)`
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalises the channels."""
        if self.momentum is None or self.running_mean is None:
            return super().forward(input)
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )
