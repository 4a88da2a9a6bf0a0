"""Statistics of a dataset: lengths, missing joints, missing persons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.base import SkeletonDataset
from pyg_stgcn.datasets.store.clip_store import ClipStore

#: Frames of persons that are looked at together; bounds the memory.
_ROWS = 2**15


@dataclass(frozen=True)
class Missing:
    """Fractions of missing joints and persons, by the ``present`` mask of every clip.

    Args:
        joints: By joint, the fraction of the frames in which it is missing, of those in which the
            person is there.
        frames: Fraction of the frames in which at least one person of the clip is missing.
        main: Fraction of the frames without the main person, who is seen in the most frames. In 3-D
            :class:`~pyg_stgcn.transforms.PreNormalize3D` drops them.

    Shapes:
        - **joints:** :math:`(V)`
    """

    joints: NDArray[np.float64]
    frames: float
    main: float

    @property
    def fraction(self) -> float:
        """Fraction of all joints that are missing, where their person is there."""
        return float(self.joints.mean())


def missing_in(dataset: SkeletonDataset) -> Missing:
    """Missing joints and persons of the selected clips; reads all their frames."""
    return count_missing(dataset._store, np.unique(dataset.clip_numbers))


def count_missing(store: ClipStore, clips: NDArray[np.int64]) -> Missing:
    """Count the missing joints and persons of some clips, in memory that does not grow with them.

    Args:
        store: Where the clips are.
        clips: Their numbers, at least one.
    """
    frames, persons = store.num_frames[clips], store.num_persons[clips]
    rows = frames * persons
    missing: NDArray[np.int64] = np.array(0)
    seen, incomplete, hidden = 0, 0, 0
    cuts = np.flatnonzero(np.diff(rows.cumsum() // _ROWS)) + 1
    for part in np.split(np.arange(len(clips)), cuts):
        there = store.present_in(clips[part])
        present: NDArray[np.bool_] = there.max(axis=1)
        missing = missing + np.count_nonzero(~there[present], axis=0)
        seen += int(np.count_nonzero(present))
        absent = np.flatnonzero(~present)
        ends = rows[part].cumsum()
        clip = np.searchsorted(ends, absent, side="right")
        frame = (absent - ends[clip]) % frames[part][clip]
        # Two persons may be missing in the same frame, which is one.
        incomplete += len(np.unique(clip * frames.max() + frame))
        hidden += _frames_without_main(present, frames[part], persons[part])
    total = int(frames.sum())
    return Missing(missing / seen, incomplete / total, hidden / total)


def _frames_without_main(
    present: NDArray[np.bool_], frames: NDArray[np.int64], persons: NDArray[np.int64]
) -> int:
    """Number of frames in which the main person, seen in the most frames of a clip, is missing."""
    lengths = np.repeat(frames, persons)
    seen = np.add.reduceat(present.astype(np.int64), lengths.cumsum() - lengths)
    most = np.maximum.reduceat(seen, persons.cumsum() - persons)
    return int((frames - most).sum())


def frame_histogram(num_frames: NDArray[np.int64], bins: int = 10) -> list[tuple[int, int, int]]:
    """Histogram of the lengths of clips.

    Args:
        num_frames: Numbers of frames of the clips.
        bins: How many ranges there may be; all have the same width.

    Returns:
        The shortest and the longest length of each range, and how many clips lie in it.
    """
    low, high = int(num_frames.min()), int(num_frames.max())
    width = -(-(high - low + 1) // bins)
    counts = np.bincount((num_frames - low) // width)
    starts = range(low, high + 1, width)
    return [(start, start + width - 1, int(n)) for start, n in zip(starts, counts, strict=True)]
