"""Convolutions over time."""

from __future__ import annotations

from torch import Tensor, nn

from pyg_stgcn.nn.feature_norm import FeatureNorm
from pyg_stgcn.nn.features_last import features_last
from pyg_stgcn.nn.frame_conv import FrameConv
from pyg_stgcn.nn.init import fan_out_


class TemporalConv(nn.Module):
    r"""A convolution over the frames of every joint, with batch norm and dropout (``unit_tcn``).

    The features are last, so the view as :math:`(P, C, T, V)` that :class:`torch.nn.Conv2d` takes
    is in channels-last memory order: no copies are made, and the result is features last again.

    Args:
        in_channels (int): Channels :math:`C` of the input.
        out_channels (int): Channels :math:`C'` of the output.
        kernel_size (int): Frames that the kernel spans. (default: :obj:`9`)
        stride (int): Step from one output frame to the next. (default: :obj:`1`)
        dilation (int): Step from one frame of the kernel to the next. (default: :obj:`1`)
        dropout (float): Probability of dropping an output. (default: :obj:`0.0`)
        fan_out (bool): If set to :obj:`True`, weights start from
            :math:`\mathcal{N}(0, 2 / \mathrm{fan\_out})` and biases at zero, instead of the
            uniform start of :class:`torch.nn.Conv2d`. (default: :obj:`False`)

    Shapes:
        - **input:** :math:`(P, T, V, C)`
        - **output:** :math:`(P, \lceil T / \mathrm{stride} \rceil, V, C')` for an odd kernel
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 9,
        stride: int = 1,
        dilation: int = 1,
        dropout: float = 0.0,
        fan_out: bool = False,
    ) -> None:
        super().__init__()
        # oneDNN writes past its workspace in the weight gradient of a strided 1x1 convolution over
        # few channels-last channels (github.com/uxlfoundation/oneDNN/issues/6035), so the frames
        # that such a convolution leaves out are left out before it.
        self.frame_step = stride if kernel_size == 1 else 1
        self.fan_out = fan_out
        conv_stride = 1 if kernel_size == 1 else stride
        self.conv = FrameConv(in_channels, out_channels, kernel_size, conv_stride, dilation)
        self.norm = FeatureNorm(out_channels)
        self.dropout = nn.Dropout(dropout)
        if fan_out:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new weights and resets the statistics."""
        if self.fan_out:
            fan_out_(self.conv)
        else:
            self.conv.reset_parameters()
        self.norm.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Convolves over time."""
        if self.frame_step > 1:
            # Strides of the view would tie an exported program to even or odd numbers of frames.
            x = x[:, :: self.frame_step].contiguous()
        out = features_last(self.conv, x)
        return self.dropout(features_last(self.norm, out))
