"""Similarity of poses: how far joints are apart, measured by the size of the persons."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

#: Standard deviation of a joint's place, as a fraction of the person's size. COCO's constants for
#: annotators lie between 0.05 and 0.21; motion from frame to frame comes on top.
TOLERANCE = 0.2
#: The size of a person is at least this fraction of the longer side of the box: seen from the side
#: or with one arm alone, a box is flat.
_FLATTEST = 0.3


class Bodies(NamedTuple):
    """Poses with what is needed to compare them.

    Args:
        joints: Coordinates ``[M, V, C]``.
        scores: Confidence ``[M, V]``, 0 where a joint is missing.
        center: Middle of the box around the present joints ``[M, C]``.
        size: Square root of the area of the box ``[M]``.
    """

    joints: Floats
    scores: Floats
    center: Floats
    size: Floats


def measure_bodies(joints: Floats, scores: Floats) -> Bodies:
    """Measure the boxes of persons ``joints [M, V, C]``, ``scores [M, V]``."""
    scores = np.maximum(scores, 0)
    hidden = (scores == 0)[..., None]
    low = np.where(hidden, np.inf, joints).min(axis=1)
    high = np.where(hidden, -np.inf, joints).max(axis=1)
    seen = low <= high
    extent = np.where(seen, high - low, 0)
    sides = np.sort(extent, axis=1)
    longest = sides[:, -1]
    size = np.maximum(np.sqrt(longest * sides[:, -2]), _FLATTEST * longest)
    return Bodies(joints, scores, np.where(seen, low + extent / 2, 0), size)


def pose_similarity(
    first: Bodies, second: Bodies, tolerance: Floats | float = TOLERANCE
) -> NDArray[np.float64]:
    r"""Object keypoint similarity of every pair of poses, between 0 and 1.

    .. math::
        \frac{\sum_v w_v \exp(-d_v^2 / 2 (s k)^2)}{\min(\sum_v a_v, \sum_v b_v)}

    with the distance :math:`d_v` of joint :math:`v`, the larger size :math:`s`, the tolerance
    :math:`k`, scores :math:`a, b` and :math:`w_v = \min(a_v, b_v)`, as in `COCO
    <https://cocodataset.org/#keypoints-eval>`_ but for scores and tolerance.

    Args:
        first: K poses.
        second: M poses.
        tolerance: Number, or one of every pose of the first ``[K]``.

    Shapes:
        - **output:** :math:`(K, M)`
    """
    size = np.maximum.outer(first.size, second.size) * np.reshape(tolerance, (-1, 1))
    similarity = np.zeros(size.shape)
    apart = np.abs(first.center[:, None] - second.center).max(axis=-1)
    reach = np.add.outer(first.size, second.size) / _FLATTEST + 4 * size
    row, column = np.nonzero((apart <= reach) & (size > 0))
    a, b = first.scores[row], second.scores[column]
    distance = ((first.joints[row] - second.joints[column]) ** 2).sum(axis=-1)
    exponent = distance / (2 * size[row, column] ** 2)[:, None]
    close = (np.minimum(a, b) * np.exp(-exponent)).sum(axis=-1)
    total = np.minimum(a.sum(axis=-1), b.sum(axis=-1))
    similarity[row, column] = close / np.maximum(total, np.finfo(np.float32).tiny)
    return similarity
