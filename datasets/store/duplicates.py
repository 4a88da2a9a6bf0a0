"""Find clips that are copies of each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.store.clip_store import ClipStore


class Copies:
    """Clips of a store that are exact copies of others.

    Args:
        store: The clips; looked through once.
    """

    def __init__(self, store: ClipStore) -> None:
        self._first = first_copies(store)

    def groups(self) -> list[list[int]]:
        """Numbers of the clips that have the same coordinates, two or more each."""
        copies: dict[int, list[int]] = {}
        for i in np.flatnonzero(np.bincount(self._first)[self._first] > 1).tolist():
            copies.setdefault(int(self._first[i]), []).append(i)
        return list(copies.values())

    def originals(self, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each of some clips, the number of the first one with the same coordinates."""
        return self._first[clips]

    def are_among(self, clips: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Clips that are copies of, or are themselves, among other ones."""
        return np.isin(self._first[clips], self._first[others])


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
