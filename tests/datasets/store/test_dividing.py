from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pyg_stgcn.datasets import SkeletonArrays, SkeletonDataset
from pyg_stgcn.datasets.store.dividing import copies_across, divide_by_class
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton

ARM = Skeleton.from_dict(
    {"name": "arm", "joints": ["a", "b", "c"], "bones": [[1, 0], [2, 1]], "center": 1}
)


def make(
    root: Path, labels: Sequence[int], contents: Sequence[int] | None = None, **options: object
) -> SkeletonDataset:
    """A dataset of short clips; clips with the same number in ``contents`` are copies."""
    numbers = range(len(labels)) if contents is None else contents
    arrays = [
        np.random.default_rng(number).normal(size=(1, 3, 3, 3)).astype(np.float32)
        for number in numbers
    ]
    return SkeletonArrays(root, arrays, labels, ARM, split="all", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.25, 0.5, 0.9, 0.99])
def test_every_class_is_divided_alike(tmp_path: Path, fraction: float) -> None:
    sizes = [40, 13, 5, 2]
    dataset = make(tmp_path, np.repeat(np.arange(4), sizes).tolist())
    kept, held = divide_by_class(dataset, fraction)
    assert sorted([*kept.names, *held.names]) == sorted(dataset.names)
    for label, size in enumerate(sizes):
        count = int((held.labels == label).sum())
        assert count == min(max(int(fraction * size + 0.5), 1), size - 1)
        assert int((kept.labels == label).sum()) == size - count


def test_the_division_depends_on_the_names_alone(tmp_path: Path) -> None:
    labels = [i % 3 for i in range(30)]
    _, held = divide_by_class(make(tmp_path / "a", labels), 0.3)
    order = np.random.default_rng(0).permutation(30)
    names = [f"clip{i}" for i in order]
    renumbered = [(2, 0, 1)[labels[i]] for i in order]
    _, again = divide_by_class(make(tmp_path / "b", renumbered, order.tolist(), names=names), 0.3)
    assert set(held.names) == set(again.names)
    assert held.names != [f"clip{i}" for i in range(9)]


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5, 0.8])
def test_copies_stay_together(tmp_path: Path, fraction: float) -> None:
    contents = np.random.default_rng(0).integers(0, 20, 60)
    dataset = make(tmp_path, (contents % 2).tolist(), contents.tolist())
    kept, held = divide_by_class(dataset, fraction)
    assert not set(kept.originals) & set(held.originals)
    assert set(kept.labels) == set(held.labels) == {0, 1}
    # As many as asked for, up to the largest group of copies.
    largest = int(np.bincount(contents).max())
    assert abs(len(held) - 60 * fraction) < 2 * largest


def test_a_class_that_cannot_be_divided_stays_in_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = make(tmp_path, [0, 0, 1, 2, 2], [0, 1, 2, 3, 3], classes=["sit", "run", "eat"])
    kept, held = divide_by_class(dataset, 0.5)
    assert held.labels.tolist() == [0]
    assert kept.labels.tolist() == [0, 1, 2, 2]
    assert "2 classes have no validation clip" in caplog.text and "'run', 'eat'" in caplog.text
    with pytest.raises(InputError, match="no class has two clips that differ"):
        divide_by_class(dataset.copy([2, 3, 4]), 0.5)


def test_copies_in_two_datasets(tmp_path: Path) -> None:
    one = make(tmp_path / "a", [0] * 5, [0, 1, 2, 3, 3])
    other = make(tmp_path / "b", [1] * 4, [9, 3, 8, 1])
    assert copies_across(one, other).tolist() == [False, True, False, True, True]
    assert copies_across(other.copy([0, 1]), one.copy([3])).tolist() == [False, True]
    assert not copies_across(one.copy([0]), other).any()
