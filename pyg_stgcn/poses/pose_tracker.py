"""The tracker: numbers for the persons of consecutive frames."""

from __future__ import annotations

import math
from itertools import count

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.poses.similarity import Bodies, Floats, Rows, measure_bodies, pose_similarity

#: A person who is missing in more frames than this comes back as a new one.
MAX_GAP = 30
#: Tolerance of the similarity between a pose and the place where it is expected, and the least
#: similarity of the same person.
TOLERANCE, MIN_SIMILARITY = 0.2, 0.1
#: The same for two poses of one frame that are one person, found twice.
DUPLICATE_TOLERANCE, MIN_DUPLICATE = 0.1, 0.7
#: How many times the tolerance is as large for a person whose velocity is unknown, how fast that
#: falls when the person is found again, and how much it grows in a frame without the person.
_FRESH, _SETTLING, _DRIFT = 2.0, 0.5, 0.1
#: For so many frames, a person who is away is expected to move on.
_COASTING = 10
#: Weight of the last step in the velocity, and of a joint's score with every frame without it.
_LATEST, _FADING = 0.5, 0.9
#: Most persons who are remembered; those who were seen last.
_MAX_TRACKS = 2048


class PoseTracker:
    """Gives persons their numbers, frame after frame.

    Each pose of a frame is assigned to a known person, or is a new one, so that the sum of the
    similarities to the expected poses is largest (`Kuhn, 1955
    <https://doi.org/10.1002/nav.3800020109>`_). Persons are expected to move on with constant
    velocity, as in `SORT <https://arxiv.org/abs/1602.00763>`_. The longer nobody has seen a person,
    the further away the person may be, and the less the similarity counts.

    Args:
        step: Difference between the numbers of consecutive frames.
        first: Number of the first person.
    """

    def __init__(self, step: int = 1, first: int = 0) -> None:
        self._step = step
        self._numbers = count(first)
        self._ids = np.zeros(0, dtype=np.int64)
        self._last = np.zeros(0, dtype=np.int64)
        self._spread: Floats = np.zeros(0)
        # Bodies where they were seen last; of their joints that were missing then, where they
        # should be. Empty arrays of the right shapes come with the first frame.
        self._bodies: Bodies
        self._velocity: Floats

    def update(self, number: int, joints: Floats, scores: Floats) -> NDArray[np.int64]:
        """Assign the persons of the next frame.

        Args:
            number: Number of the frame, larger than the one before.
            joints: Coordinates ``[M, V, C]``; every person has a present joint.
            scores: Confidence ``[M, V]``.

        Returns:
            The numbers of the persons ``[M]``, -1 for another pose of the same person.
        """
        if len(joints) == 1 == len(self._ids) and self._follow_one(number, joints[0], scores[0]):
            return self._ids.copy()
        seen = measure_bodies(joints, scores)
        if len(self._ids) == 0:
            self._bodies, self._velocity = seen.take(slice(0)), seen.center[:0]
        away = self._forget(number)
        shift = self._velocity * np.minimum(away, _COASTING)[:, None]
        expected = self._bodies._replace(
            joints=self._bodies.joints + shift[:, None], center=self._bodies.center + shift
        )
        spread = self._spread + _DRIFT * (away - 1)
        similarity = pose_similarity(expected, seen, TOLERANCE * spread, MIN_SIMILARITY)
        # The same similarity says less about a person who may be in many places.
        row, column = _assign(similarity / spread[:, None] ** 2)
        same = similarity[row, column] >= MIN_SIMILARITY
        row, column = row[same], column[same]
        ids = np.full(len(joints), -1, dtype=np.int64)
        ids[column] = self._ids[row]
        if len(row):
            self._follow(row, expected.joints[row], seen.take(column), away[row])
            self._last[row] = number
        if len(row) < len(ids):
            self._add(seen, ids, number)
        return ids

    def _forget(self, number: int) -> NDArray[np.int64]:
        """Forget who is away for too long; the frames since the others were seen."""
        away = (number - self._last) // self._step
        if len(away) and (away.max() > MAX_GAP + 1 or len(away) > _MAX_TRACKS):
            recent = np.argsort(away, kind="stable")[:_MAX_TRACKS]
            kept = np.sort(recent[away[recent] <= MAX_GAP + 1])
            self._ids, self._last, away = self._ids[kept], self._last[kept], away[kept]
            self._velocity, self._spread = self._velocity[kept], self._spread[kept]
            self._bodies = self._bodies.take(kept)
        return away

    def _follow(self, row: Rows, expected: Floats, seen: Bodies, away: NDArray[np.int64]) -> None:
        """Move the persons who were found again to where they are now."""
        old = self._bodies
        both = np.minimum(old.scores[row], seen.scores)
        weight = both / np.maximum(both.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        error = np.einsum("mv,mvc->mc", weight, seen.joints - expected)
        self._velocity[row] += _LATEST * error / away[:, None]
        present = seen.scores > 0
        if present.all():
            old.joints[row], old.scores[row] = seen.joints, seen.scores
            old.weight[row] = seen.weight
        else:
            old.joints[row] = np.where(present[..., None], seen.joints, expected + error[:, None])
            old.scores[row] = np.where(present, seen.scores, _FADING * old.scores[row])
            old.weight[row] = old.scores[row].sum(axis=1)
        old.center[row], old.half[row] = seen.center, seen.half
        old.size[row] = np.maximum(seen.size, _FADING * old.size[row])
        self._spread[row] = np.maximum(1, _SETTLING * self._spread[row])

    def _follow_one(self, number: int, joints: Floats, scores: Floats) -> bool:
        """Move the only known person to the only pose of the frame, if it is the same person.

        :meth:`update` does the same, with three times as many steps.
        """
        old = self._bodies
        away = (number - int(self._last[0])) // self._step
        present = scores > 0
        everything = np.count_nonzero(present) == len(present)
        shown = joints if everything else joints[present]
        low = shown.min(axis=0)
        half = (shown.max(axis=0) - low) / 2
        size = math.sqrt(half @ half)
        spread = float(self._spread[0])
        scale = max(size, float(old.size[0])) * TOLERANCE * (spread + _DRIFT * (away - 1))
        if away > MAX_GAP + 1 or scale == 0:
            return False
        seen = scores if everything else np.where(present, scores, 0)
        expected = old.joints[0] + self._velocity[0] * min(away, _COASTING)
        apart = joints - expected
        both = np.minimum(old.scores[0], seen)
        distance = np.einsum("vc,vc->v", apart, apart) / (2 * scale**2)
        close, total = float(both @ (1 / (1 + distance))), float(both.sum())
        weight = float(seen.sum())
        if close < MIN_SIMILARITY * math.sqrt(weight * float(old.weight[0])) or total == 0:
            return False
        error = both @ apart / total
        self._velocity[0] += _LATEST / away * error
        if everything:
            old.joints[0], old.scores[0], old.weight[0] = joints, scores, weight
        else:
            old.joints[0] = np.where(present[:, None], joints, expected + error)
            old.scores[0] = np.where(present, scores, _FADING * old.scores[0])
            old.weight[0] = old.scores[0].sum()
        old.center[0], old.half[0] = low + half, half
        old.size[0] = max(size, _FADING * float(old.size[0]))
        self._spread[0] = max(1.0, _SETTLING * spread)
        self._last[0] = number
        return True

    def _add(self, seen: Bodies, ids: NDArray[np.int64], number: int) -> None:
        """Take the persons who are new, and write their numbers to ``ids``."""
        new = _found_once(seen, ids)
        ids[new] = [next(self._numbers) for _ in new]
        self._ids = np.concatenate([self._ids, ids[new]])
        self._last = np.concatenate([self._last, np.full(len(new), number)])
        self._velocity = np.concatenate([self._velocity, np.zeros_like(seen.center[new])])
        self._spread = np.concatenate([self._spread, np.full(len(new), _FRESH)])
        pairs = zip(self._bodies, seen.take(new), strict=True)
        self._bodies = Bodies(*(np.concatenate(pair) for pair in pairs))


def _assign(gains: Floats) -> tuple[Rows, Rows]:
    """The pairs of a row and a column whose sum of gains is largest."""
    flipped = len(gains) > gains.shape[1]
    row = np.arange(min(gains.shape))
    best = (gains.T if flipped else gains).argmax(axis=1) if len(row) else row
    if len(set(best.tolist())) == len(row):
        return (best, row) if flipped else (row, best)
    # It takes half a second to import, and is for persons who are close to each other.
    from scipy.optimize import linear_sum_assignment

    row, column = linear_sum_assignment(gains, maximize=True)
    return row, column


def _found_once(seen: Bodies, ids: NDArray[np.int64]) -> Rows:
    """The new persons (with the number -1) who are not others of the frame, found twice.

    Known persons are never duplicates, so that people may walk past each other. Of several poses
    of a new person the one with the highest sum of scores counts.
    """
    (new,) = np.nonzero(ids < 0)
    if len(ids) == 1:
        return new
    similarity = pose_similarity(seen.take(new), seen, DUPLICATE_TOLERANCE, MIN_DUPLICATE)
    same = similarity >= MIN_DUPLICATE
    kept = ids >= 0
    for row in np.argsort(-seen.scores[new].sum(axis=1), kind="stable"):
        kept[new[row]] = not (same[row] & kept).any()
    return new[kept[new]]
