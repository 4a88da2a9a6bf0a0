"""Find clips that are copies of each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.store import ClipStore


def first_copies(store: ClipStore) -> NDArray[np.int64]:
    """For every clip, the number of the first one with exactly the same coordinates.

    That of most clips is their own.
    """
    first = np.arange(len(store))
    checksums = store.checksums
    _, group, size = np.unique(checksums, return_inverse=True, return_counts=True)
    originals: dict[int, list[int]] = {}
    for i in np.flatnonzero(size[group] > 1).tolist():
        # Checksums of clips that differ can be equal.
        same = originals.setdefault(int(checksums[i]), [])
        keypoint = store[i].keypoint
        copied = (j for j in same if np.array_equal(store[j].keypoint, keypoint))
        first[i] = next(copied, i)
        if first[i] == i:
            same.append(i)
    return first
