"""Present joints of a clip: decided once, when the clip is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.transforms.presence import present_in_plane, present_in_space


def find_present(
    keypoint: NDArray[Any],
    skeleton: Skeleton,
    *,
    has_score: bool,
    given: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Mask of the present joints of a clip: by their coordinates, and by what the reader knows.

    Args:
        keypoint: The joints of the clip.
        skeleton: Their skeleton; its trunk may be at the origin in space.
        has_score: Whether the clip is 2-D with the channels x, y, score.
        given: Where a reader found joints, if it knows more than the coordinates.

    Shapes:
        - **keypoint:** :math:`(M, T, V, C)`
        - **given, output:** :math:`(M, T, V)`

    Raises:
        InputError: If :obj:`given` has another shape.
    """
    if given is not None and given.shape != keypoint.shape[:3]:
        raise InputError(
            f"presence of joints of shape {given.shape} does not fit keypoint of shape "
            f"{keypoint.shape}; give one for every joint of all persons and frames"
        )
    x = torch.from_numpy(keypoint.astype(np.float32))
    if has_score:
        present = present_in_plane(x)
    else:
        present = present_in_space(x.transpose(1, 2), skeleton).transpose(1, 2)
    found: NDArray[np.bool_] = np.ascontiguousarray(present.numpy())
    return found if given is None else found & given


def hidden_fraction(present: NDArray[np.bool_]) -> float:
    """Fraction of a clip's frames without its main person, who is seen in the most frames.

    Shapes:
        - **present:** :math:`(M, T, V)`
    """
    seen = present.any(axis=2).sum(axis=1)
    return 1 - float(seen.max()) / present.shape[1]


def pack(keypoint: NDArray[Any], present: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """Present joints as one bit each; without :obj:`present`, all that are not at zero.

    Shapes:
        - **output:** :math:`(M, T, \\lceil V / 8 \\rceil)`
    """
    if present is None:
        present = (np.asarray(keypoint) != 0).max(axis=-1)
    return np.packbits(present, axis=-1)


def unpack(bits: NDArray[np.uint8], joints: int) -> NDArray[np.bool_]:
    """Mask of the present joints, from bits :math:`(*, \\lceil V / 8 \\rceil)`."""
    return np.unpackbits(bits, axis=-1, count=joints).view(np.bool_)
