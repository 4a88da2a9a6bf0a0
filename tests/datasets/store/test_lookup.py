from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyg_stgcn.datasets import SkeletonPickle
from pyg_stgcn.datasets.store.lookup import _neighbours, find_clip
from pyg_stgcn.errors import InputError


@pytest.fixture
def dataset(
    make_pickle: Callable[..., Path], make_annotation: Callable[..., dict[str, Any]], tmp_path: Path
) -> SkeletonPickle:
    names = ["jump_01", "jump_02", "3", "walk_01"]
    content = [make_annotation(name) for name in names]
    return SkeletonPickle(make_pickle(content), root=tmp_path, split="all")


def test_a_name_goes_before_a_number(dataset: SkeletonPickle) -> None:
    assert find_clip(dataset, "jump_02") == find_clip(dataset, "1") == 1
    assert find_clip(dataset, "3") == 2
    assert find_clip(dataset.copy([3, 0]), "jump_01") == 1


@pytest.mark.parametrize(
    "mistyped",
    [
        "X017C002P007R002A060",  # at the start
        "S017C002P007R002A06O",  # at the end
        "S017C002P0O7R002A060",  # in the middle
        "S017C002P007R02A060",  # one character less
        "S017C0002P007R002A060",  # one more
        "S017C020P007R002A060",  # two that have changed places
        "s017c002p007r002a060",  # in lower case
    ],
)
def test_one_mistake_is_found_among_a_hundred_thousand(mistyped: str) -> None:
    names = [
        f"S{s:03}C{c:03}P{p:03}R{r:03}A{a:03}"
        for s in range(1, 33)
        for c in (1, 2, 3)
        for p in range(1, 11)
        for r in (1, 2)
        for a in range(1, 61)
    ]
    found = _neighbours(mistyped, names)
    assert "S017C002P007R002A060" in found
    # What is compared is what takes the time.
    assert len(found) <= 1000


def test_what_is_not_there_is_named_with_what_is_alike(dataset: SkeletonPickle) -> None:
    with pytest.raises(InputError, match=r"'jump_2': .*mean 'jump_02'.* from 0 to 3"):
        find_clip(dataset, "jump_2")
    for clip in ("4", "-1", "9" * 5000, "²", ""):
        with pytest.raises(InputError, match="no such clip; give a name"):
            find_clip(dataset, clip)
