"""The layout of features in memory for the kernels.

``[P, B, H + T + H, C, 16]``: the joints are in ``B`` blocks of sixteen lanes. The halo,
``H`` frames of zeros on both sides, is read by a convolution over time before the first frame and
after the last; features that no such convolution reads have none. Lanes after the last joint hold
any values.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

#: Joints of a block.
LANES = 16
#: Largest number of blocks that the graph convolution supports.
MAX_BLOCKS = 3


def num_blocks(num_joints: int) -> int:
    """Number of blocks of sixteen lanes for the joints."""
    return -(-num_joints // LANES)


def in_lanes(x: Tensor) -> Tensor:
    """Fills up the joints, the last dimension, with zeros to whole blocks."""
    return F.pad(x, (0, num_blocks(x.size(-1)) * LANES - x.size(-1))).contiguous()


def frame_mean(x: Tensor, num_joints: int, halo: int = 0) -> Tensor:
    r"""The mean over the frames.

    Args:
        x (torch.Tensor): The features.
        num_joints (int): Number of joints :math:`V`.
        halo (int): Frames of zeros on either side. (default: :obj:`0`)

    Shapes:
        - **output:** :math:`(P, V, C)`
    """
    mean = x[:, :, halo : x.size(2) - halo].mean(2)
    return mean.transpose(2, 3).flatten(1, 2)[:, :num_joints]
