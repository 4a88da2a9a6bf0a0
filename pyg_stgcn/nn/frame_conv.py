"""A convolution over frames."""

from __future__ import annotations

import torch
from torch import nn


class FrameConv(nn.Conv2d):
    r"""A convolution over the frames of every joint, as one of two dimensions.

    Its weights lie in channels-last memory, as the features do: a GPU would otherwise copy them
    into this order forward and backward, and their gradients back.

    Args:
        in_channels (int): Channels :math:`C` of the input.
        out_channels (int): Channels :math:`C'` of the output.
        kernel_size (int): Frames that the kernel spans.
        stride (int): Step from one output frame to the next. (default: :obj:`1`)
        dilation (int): Step from one frame of the kernel to the next. (default: :obj:`1`)

    Shapes:
        - **input:** :math:`(P, C, T, V)`
        - **output:** :math:`(P, C', \lceil T / \mathrm{stride} \rceil, V)` for an odd kernel
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size=(kernel_size, 1),
            stride=(stride, 1),
            padding=((kernel_size - 1) * dilation // 2, 0),
            dilation=(dilation, 1),
        )

    def reset_parameters(self) -> None:
        """Draws new weights, the same as in any other memory order."""
        self._lay(torch.contiguous_format)
        super().reset_parameters()
        self._lay(torch.channels_last)

    def _lay(self, order: torch.memory_format) -> None:
        if isinstance(self.weight, nn.Parameter):  # Not one that follows from another.
            self.weight.data = self.weight.data.contiguous(memory_format=order)
