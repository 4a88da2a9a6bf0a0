"""Positions of the joints of a dataset, checked against the skeleton that the user named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.readers.joint_order import (
    body_size,
    check_head,
    check_order,
    check_rigid,
    check_root,
)
from pyg_stgcn.datasets.store.clip_store import Clip, ClipStore
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.skeletons.posture import find_up

Array = NDArray[np.float64]

#: Clips that are looked at, and positions of joints; bounds time and memory.
_CLIPS, _POSITIONS = 256, 2**18
#: Lowest score of a 2-D joint that counts: below it, estimators guess.
_MIN_SCORE = 0.3
#: Frames of a person from which the deviation of a bone's length is taken.
_FEW = 5


@dataclass(frozen=True)
class Geometry:
    """The mean pose of a dataset and its bones, from a sample of its clips.

    Args:
        up: What points up: ``"+y"``, ``"-y"``, ``"+z"`` or ``"-z"``.
        relative: Whether heights and lengths are fractions of the body's size (2-D), not in the
            units of the data (3-D).
        heights: By joint, its mean height above the root joint; NaN where it is never present.
        lengths: By bone of the skeleton, its mean length; NaN where it is never present.
        variation: By bone, the coefficient of variation of its length over the frames of a person.
        warnings: What does not fit the skeleton, in sentences.
    """

    up: str
    relative: bool
    heights: Array
    lengths: Array
    variation: Array
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Bones:
    """Lengths of the bones of one person, and their deviations over time [B], NaN if unknown."""

    lengths: Array
    variation: Array
    deviations: Array


def measure_geometry(store: ClipStore, skeleton: Skeleton, *, has_score: bool) -> Geometry:
    """Measure a sample of the clips of a store, in memory that does not grow with them.

    The body's size is the root mean square distance between two of its joints. Missing joints do
    not count, nor 2-D joints with a score below 0.3.

    Args:
        store: Where the clips are.
        skeleton: Their skeleton.
        has_score: Whether the clips are 2-D with the channels x, y, score.
    """
    axes = min(store.num_channels - has_score, 3)
    flat = axes < 3
    people = list(_sample(store, axes, has_score=has_score))
    bones = [_measure_bones(points, skeleton, relative=flat) for points in people]
    lengths, variation, deviations = (
        _middle([getattr(person, field) for person in bones], len(skeleton.bones))
        for field in ("lengths", "variation", "deviations")
    )
    pose = _mean_pose(people, skeleton, axes, relative=flat)
    up = -np.eye(axes)[-1] if flat else find_up(pose, skeleton)
    axis = int(np.abs(up).argmax())
    warnings = check_order(people, skeleton, flat=flat)
    sizes = [1.0] if flat or not people else np.concatenate([body_size(p) for p in people])
    warnings += check_head(pose, up, float(np.median(sizes)), skeleton)
    if not flat:
        warnings += check_rigid(lengths, variation, deviations, skeleton)
        warnings += check_root(people, skeleton)
    return Geometry(
        up=f"{'-' if up[axis] < 0 else '+'}{'xyz'[axis]}",
        relative=flat,
        heights=pose @ up,
        lengths=lengths,
        variation=variation,
        warnings=tuple(warnings),
    )


def _sample(store: ClipStore, axes: int, *, has_score: bool) -> Iterator[Array]:
    """Frames of single persons [F, V, axes], NaN where joints are missing, spread evenly."""
    chosen = np.unique(np.linspace(0, len(store) - 1, _CLIPS).astype(int))
    for number in chosen.tolist():
        clip = store[number]
        persons, frames, joints = clip.keypoint.shape[:3]
        most = max(_FEW, _POSITIONS // (len(chosen) * persons * joints))
        when = np.unique(np.linspace(0, frames - 1, most).astype(int))
        points = clip.keypoint[:, when].astype(np.float64)
        present = _present(clip, when, has_score)
        points = np.where(present[..., None], points[..., :axes], np.nan)
        for person, joints_seen in zip(points, present, strict=True):
            seen = joints_seen.any(axis=-1)
            if seen.any():
                yield person[seen]


def _present(clip: Clip, when: NDArray[np.int64], has_score: bool) -> NDArray[np.bool_]:
    """Mask of the joints that count [M, F, V]."""
    assert clip.present is not None  # A store keeps it of every clip.
    present: NDArray[np.bool_] = clip.present[:, when]
    if has_score:
        present = present & (clip.keypoint[..., -1][:, when] >= _MIN_SCORE)
    return present


def _measure_bones(points: Array, skeleton: Skeleton, *, relative: bool) -> _Bones:
    child, parent = np.array(skeleton.bones, np.int64).reshape(-1, 2).T
    length = np.linalg.norm(points[:, child] - points[:, parent], axis=-1)
    size = body_size(points)
    if relative:
        with np.errstate(invalid="ignore", divide="ignore"):
            length /= size[:, None]
    known = np.isfinite(length)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, length, 0).sum(axis=0) / count
        squares = np.where(known, (length - mean) ** 2, 0).sum(axis=0) / count
        deviation = np.where(count >= _FEW, np.sqrt(squares), np.nan)
        return _Bones(mean, deviation / mean, deviation / np.median(size))


def _middle(rows: list[Array], columns: int) -> Array:
    """The median of every column over the rows that know it; NaN where none does."""
    table = np.ma.masked_invalid(np.reshape(rows, (len(rows), columns)))
    if not table.size:
        return np.full(columns, np.nan)
    middle: Array = np.ma.median(table, axis=0).filled(np.nan)
    return middle


def _mean_pose(people: list[Array], skeleton: Skeleton, axes: int, *, relative: bool) -> Array:
    """Mean positions of the joints relative to the root joint [V, axes], NaN if unknown."""
    total = np.zeros((skeleton.num_joints, axes))
    count = np.zeros((skeleton.num_joints, 1))
    for points in people:
        size = body_size(points)[:, None, None] if relative else 1.0
        with np.errstate(invalid="ignore", divide="ignore"):
            place = (points - points[:, [skeleton.root_joint]]) / size
        known = np.isfinite(place).all(axis=-1, keepdims=True)
        total += np.where(known, place, 0).sum(axis=0)
        count += known.sum(axis=0)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
