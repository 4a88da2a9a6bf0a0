"""Convolutions over time in several branches, each with a reach of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_stgcn.nn.device_path import few_launches
from pyg_stgcn.nn.feature_norm import FeatureNorm
from pyg_stgcn.nn.features_last import check_frames, features_last
from pyg_stgcn.nn.frame_conv import FrameConv
from pyg_stgcn.nn.init import fan_out_


class TemporalBranches(nn.Module):
    r"""Dilated convolutions, a maximum over three frames and a plain map, side by side.

    All but the last branch begin with a map to their own channels, batch norm and ReLU. These
    beginnings stand in one linear map and one batch norm, which is the same and faster. The last
    branch is linear. Branches without channels are left out.

    Args:
        channels (int): Channels :math:`C` of the input.
        widths (sequence of int): Channels of every branch, in the order above.
        kernel_size (int): Frames that the kernels of the dilated convolutions span.
        dilations (sequence of int): Dilations of these.
        stride (int): Step from one output frame to the next. (default: :obj:`1`)

    Shapes:
        - **input:** :math:`(P, T, V, C)`
        - **output:** :math:`(P, \lceil T / \mathrm{stride} \rceil, V, \mathrm{sum(widths)})`
    """

    def __init__(
        self,
        channels: int,
        widths: Sequence[int],
        kernel_size: int,
        dilations: Sequence[int],
        stride: int = 1,
    ) -> None:
        super().__init__()
        *dilated, pooled, plain = widths
        self.stride = stride
        self.widths = [width for width in (*dilated, pooled) if width]
        self.reduce = nn.Linear(channels, sum(self.widths))
        self.norm = FeatureNorm(sum(self.widths))
        self.convs = nn.ModuleList(
            FrameConv(width, width, kernel_size, stride, dilation)
            for width, dilation in zip(dilated, dilations, strict=True)
            if width
        )
        self.plain = nn.Linear(channels, plain) if plain else None

    def reset_parameters(self) -> None:
        """Draws new weights and resets the statistics."""
        for layer in (self.reduce, self.norm, *self.convs, *self._plain()):
            layer.reset_parameters()

    def reset_fan_out(self) -> None:
        r"""Draws new weights from :math:`\mathcal{N}(0, 2 / \mathrm{fan\_out})`, branch by branch.

        Biases start at zero; the statistics are reset.
        """
        self.norm.reset_parameters()
        for layer in (self.reduce, *self.convs, *self._plain()):
            fan_out_(layer)
        with torch.no_grad():
            for rows in self.reduce.weight.split(self.widths):
                rows.normal_(std=(2 / rows.size(0)) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Runs all branches and joins their channels."""
        check_frames(x)
        reduced = features_last(self.norm, self.reduce(x)).relu()
        parts = reduced.split(self.widths, dim=-1)
        outs = [features_last(conv, part) for conv, part in zip(self.convs, parts, strict=False)]
        outs += [self._pool(part) for part in parts[len(self.convs) :]]
        outs += [layer(x[:, :: self.stride].contiguous()) for layer in self._plain()]
        return torch.cat(outs, dim=-1)

    def _pool(self, x: Tensor) -> Tensor:
        if few_launches(x.device):
            return features_last(self._pool_frames, x)
        # Joints and channels in one: the pooling is slow on few channels.
        out = features_last(self._pool_frames, x.flatten(2).unsqueeze(2))
        return out.squeeze(2).unflatten(2, x.shape[2:])

    def _pool_frames(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, (3, 1), (self.stride, 1), (1, 0))

    def _plain(self) -> list[nn.Linear]:
        return [] if self.plain is None else [self.plain]


class MSTCN(nn.Module):
    r"""The multi-scale temporal convolution of ST-GCN++ (``mstcn``), from the `"PYSKL: Towards
    Good Practices for Skeleton Action Recognition" <https://arxiv.org/abs/2205.09443>`_ paper.

    Six branches: four convolutions over three frames with dilations 1 to 4, a maximum and a plain
    map; then batch norm, ReLU, a map that mixes the branches, batch norm and dropout. Every
    branch has a sixth of the channels, the first one also the remainder.

    Args:
        channels (int): Channels :math:`C` of input and output.
        stride (int): Step from one output frame to the next. (default: :obj:`1`)
        dropout (float): Probability of dropping an output. (default: :obj:`0.0`)

    Shapes:
        - **input:** :math:`(P, T, V, C)`
        - **output:** :math:`(P, \lceil T / \mathrm{stride} \rceil, V, C)`
    """

    DILATIONS = (1, 2, 3, 4)

    def __init__(self, channels: int, stride: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        others = len(self.DILATIONS) + 1
        width = channels // (others + 1)
        widths = [channels - others * width, *[width] * others]
        self.branches = TemporalBranches(channels, widths, 3, self.DILATIONS, stride)
        self.branch_norm = FeatureNorm(channels)
        self.mix = nn.Linear(channels, channels)
        self.norm = FeatureNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def reset_parameters(self) -> None:
        """Draws new weights and resets the statistics."""
        for layer in (self.branches, self.branch_norm, self.mix, self.norm):
            layer.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Convolves over time."""
        return self._mix(self.branches(x))

    def _mix(self, x: Tensor) -> Tensor:
        out = self.mix(features_last(self.branch_norm, x).relu())
        return self.dropout(features_last(self.norm, out))


class DGMSTCN(MSTCN):
    r"""The dynamic joint-skeleton temporal convolution of DG-STGCN (``dgmstcn``), from the
    `"DG-STGCN: Dynamic Spatial-Temporal Modeling for Skeleton-based Action Recognition"
    <https://arxiv.org/abs/2210.05895>`_ paper.

    The mean over the joints goes through the branches of :class:`MSTCN` as one more joint, and
    comes back to every joint with a learnt factor, which starts at zero.

    Args:
        channels (int): Channels :math:`C` of input and output.
        num_joints (int): Number of joints :math:`V`.
        stride (int): Step from one output frame to the next. (default: :obj:`1`)
        dropout (float): Probability of dropping an output. (default: :obj:`0.0`)

    Shapes:
        - **input:** :math:`(P, T, V, C)`
        - **output:** :math:`(P, \lceil T / \mathrm{stride} \rceil, V, C)`
    """

    # Published weights have 25 factors for every skeleton, of which those of its joints count.
    MIN_FACTORS = 25

    def __init__(
        self, channels: int, num_joints: int, stride: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__(channels, stride, dropout)
        self.joint_factor = nn.Parameter(torch.zeros(max(num_joints, self.MIN_FACTORS)))

    def reset_parameters(self) -> None:
        """Draws new weights and resets the statistics."""
        super().reset_parameters()
        nn.init.zeros_(self.joint_factor)

    def forward(self, x: Tensor) -> Tensor:
        """Convolves over time."""
        check_frames(x)
        num_joints = x.size(2)
        out = self.branches(torch.cat([x, x.mean(2, keepdim=True)], dim=2))
        joints, body = out.split([num_joints, 1], dim=2)
        return self._mix(torch.addcmul(joints, body, self.joint_factor[:num_joints, None]))


class CTRMSTCN(nn.Module):
    r"""The multi-scale temporal convolution of CTR-GCN (``MSTCN``), from the `"Channel-wise
    Topology Refinement Graph Convolution for Skeleton-Based Action Recognition"
    <https://arxiv.org/abs/2107.12213>`_ paper.

    Four branches: two convolutions over five frames with dilations 1 and 2, a maximum and a plain
    map; then batch norm, ReLU and dropout. Every branch has a quarter of the channels, the last
    one also the remainder. If there are fewer channels than branches, the first has all.

    Args:
        channels (int): Channels :math:`C` of input and output.
        stride (int): Step from one output frame to the next. (default: :obj:`1`)
        dropout (float): Probability of dropping an output. (default: :obj:`0.0`)

    Shapes:
        - **input:** :math:`(P, T, V, C)`
        - **output:** :math:`(P, \lceil T / \mathrm{stride} \rceil, V, C)`
    """

    DILATIONS = (1, 2)

    def __init__(self, channels: int, stride: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        others = len(self.DILATIONS) + 1
        width = channels // (others + 1)
        rest = channels - others * width
        widths = [*[width] * others, rest] if width else [rest, *[0] * others]
        self.branches = TemporalBranches(channels, widths, 5, self.DILATIONS, stride)
        self.norm = FeatureNorm(channels)
        self.dropout = nn.Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new weights and resets the statistics."""
        self.branches.reset_fan_out()
        self.norm.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Convolves over time."""
        return self.dropout(features_last(self.norm, self.branches(x)).relu())
