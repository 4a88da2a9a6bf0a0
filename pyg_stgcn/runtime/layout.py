"""How features lie in memory for the kernels.

``[P, B, T + 2 HALO, C, 16]``: the joints in ``B`` blocks of sixteen lanes, and frames of zeros on both
sides, from which convolutions over time read what is before the first frame and after the last.
"""

from __future__ import annotations

from torch import Tensor

#: Joints side by side in a block.
LANES = 16
#: Frames of zeros on either side: half of the nine frames of the widest kernel.
HALO = 4


def num_blocks(num_joints: int) -> int:
    """How many blocks of sixteen lanes the joints take."""
    return -(-num_joints // LANES)


def frame_mean(x: Tensor, num_joints: int) -> Tensor:
    r"""The mean over the frames.

    Args:
        x (torch.Tensor): The features.
        num_joints (int): Number of joints :math:`V`; what lies in the lanes after them is nothing.

    Shapes:
        - **output:** :math:`(P, V, C)`
    """
    mean = x[:, :, HALO:-HALO].mean(2)
    return mean.transpose(2, 3).flatten(1, 2)[:, :num_joints]
