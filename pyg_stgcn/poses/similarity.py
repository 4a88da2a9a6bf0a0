"""Similarity of poses: how far joints are apart, measured by the size of the persons."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Rows = NDArray[np.intp]

#: Similarity of two persons without extent, who have a single joint each: nothing can be measured.
_UNKNOWN, _NO_EXTENT = 0.5, 1e-30
#: Pairs that are compared without a look at their boxes, and numbers that are held at a time.
_FEW_PAIRS, _AT_ONCE = 16, 2**22


class Bodies(NamedTuple):
    """Poses with what is needed to compare them.

    Args:
        joints: Coordinates ``[M, V, C]``.
        scores: Confidence ``[M, V]``, 0 where a joint is missing.
        center: Middle of the box around the present joints ``[M, C]``.
        half: Half of the sides of the box ``[M, C]``.
        size: Half of the diagonal of the box ``[M]``.
        weight: Sum of the scores ``[M]``.
    """

    joints: Floats
    scores: Floats
    center: Floats
    half: Floats
    size: Floats
    weight: Floats

    def take(self, rows: Rows | slice) -> Bodies:
        """Some of the poses."""
        return Bodies(*(array[rows] for array in self))


def measure_bodies(joints: Floats, scores: Floats) -> Bodies:
    """Measure the boxes of persons.

    Args:
        joints: Coordinates ``[M, V, C]``; every person has a present joint.
        scores: Confidence ``[M, V]``; not above 0 where a joint is missing.
    """
    scores = np.maximum(scores, 0)
    hidden = scores == 0
    if hidden.any():
        missing = hidden[..., None]
        low = np.where(missing, np.inf, joints).min(axis=1)
        high = np.where(missing, -np.inf, joints).max(axis=1)
    else:
        low, high = joints.min(axis=1), joints.max(axis=1)
    half = (high - low) / 2
    size = np.sqrt(np.einsum("mc,mc->m", half, half))
    return Bodies(joints, scores, low + half, half, size, scores.sum(axis=1))


def pose_similarity(
    first: Bodies, second: Bodies, tolerance: Floats | float, least: float
) -> Floats:
    r"""Object keypoint similarity of every pair of poses, between 0 and 1.

    .. math::
        \frac{1}{\sqrt{\sum_v a_v \sum_v b_v}}
        \sum_v \frac{\min(a_v, b_v)}{1 + d_v^2 / 2 (s k)^2}

    with the distance :math:`d_v` of joint :math:`v`, the larger size :math:`s` of both persons, the
    tolerance :math:`k` and the scores :math:`a, b`. Unlike that of `COCO
    <https://cocodataset.org/#keypoints-eval>`_ it falls slowly with the distance, so that it still
    tells near from far where somebody moves fast.

    Args:
        first: K poses.
        second: M poses.
        tolerance: Number, or one of every pose of the first ``[K]``.
        least: A similarity below this one may be 0 in the result: persons far away from each other
            are not compared.

    Shapes:
        - **output:** :math:`(K, M)`
    """
    scale = np.maximum.outer(first.size, second.size) * np.reshape(tolerance, (-1, 1))
    if scale.size <= _FEW_PAIRS:
        apart = first.joints[:, None] - second.joints
        similarity = _compare(apart, first.scores[:, None], second.scores, scale)
    else:
        similarity = np.zeros_like(scale)
        rows, columns = np.nonzero(_near(first, second, scale, least))
        block = max(1, _AT_ONCE // first.joints[0].size)
        for start in range(0, len(rows), block):
            row, column = rows[start : start + block], columns[start : start + block]
            apart = first.joints[row] - second.joints[column]
            similarity[row, column] = _compare(
                apart, first.scores[row], second.scores[column], scale[row, column]
            )
    similarity /= np.sqrt(np.multiply.outer(first.weight, second.weight))
    if not scale.all():
        similarity[scale == 0] = _UNKNOWN
    return similarity


def _compare(apart: Floats, first: Floats, second: Floats, scale: Floats) -> Floats:
    """Sum of the smaller scores, less where joints are apart."""
    unit = (2 * scale**2 + _NO_EXTENT)[..., None]
    distance = np.einsum("...vc,...vc->...v", apart, apart) / unit
    close: Floats = (np.minimum(first, second) / (1 + distance)).sum(axis=-1)
    return close


def _near(first: Bodies, second: Bodies, scale: Floats, least: float) -> NDArray[np.bool_]:
    """The pairs of poses whose boxes are near enough for a similarity."""
    gap = np.abs(first.center[:, None] - second.center) - (first.half[:, None] + second.half)
    near: NDArray[np.bool_] = gap.max(axis=-1) <= np.sqrt(2 / least) * scale
    return near & (scale > 0)
