"""Present joints: the rule by coordinates.

Pose files write zeros where nothing was seen. In space the origin may be a position too: of a joint
of the trunk to which all others are relative.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.skeletons.trunk import positions_at_origin


def present_in_plane(x: Tensor) -> Tensor:
    r"""Mask of the present joints of a clip in the plane.

    A joint at exactly :math:`(0, 0)` is missing whatever its score: some estimators blank a
    position and keep the score. A joint whose score is not above zero is missing too, unless no
    score of the clip is, so that the scores say nothing.

    Shapes:
        - **x:** :math:`(*, 2)`, or :math:`(*, 3)` with the score
        - **output:** :math:`(*)`
    """
    present = _nonzero(x[..., :2])
    if x.size(-1) > 2:
        certain = x[..., 2] > 0
        if bool(certain.any()):
            present = present & certain
    return present


def present_in_space(x: Tensor, skeleton: Skeleton) -> Tensor:
    r"""Mask of the present joints of a clip in space.

    A joint at exactly :math:`(0, 0, 0)` is missing while others of its person are not, and so is
    a whole person at zero. One joint of the trunk of every person may be at the origin instead,
    see :func:`~pyg_stgcn.skeletons.trunk.positions_at_origin`.

    Shapes:
        - **x:** :math:`(M, V, T, C)`
        - **output:** :math:`(M, V, T)`
    """
    nonzero = _nonzero(x)
    seen = nonzero.any(dim=1)
    if bool(nonzero.all(dim=1).eq(seen).all()):
        return nonzero
    people = x.double().numpy(force=True)
    at_origin = np.stack([positions_at_origin(person, skeleton) for person in people])
    return nonzero | torch.from_numpy(at_origin).to(x.device)


def _nonzero(x: Tensor) -> Tensor:
    # Axis by axis: a reduction over three numbers takes several times as long.
    nonzero = x[..., 0] != 0
    for axis in range(1, x.size(-1)):
        nonzero |= x[..., axis] != 0
    return nonzero
