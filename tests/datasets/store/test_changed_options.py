from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from pyg_stgcn.datasets import SkeletonPickle
from pyg_stgcn.skeletons import Skeleton


def test_another_skeleton_is_told_in_words(
    tmp_path: Path, tiny_pickle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"joint{number}" for number in range(5)]
    bones = [(1, 0), (2, 1), (3, 2), (4, 3)]
    skeleton = Skeleton("row", tuple(names), tuple(bones), center=2)
    SkeletonPickle(tiny_pickle, root=tmp_path, skeleton=skeleton)
    other = replace(skeleton, bones=(*bones[:3], (4, 0)), center=0)
    with caplog.at_level(logging.WARNING):
        SkeletonPickle(tiny_pickle, root=tmp_path, skeleton=other)
        SkeletonPickle(tiny_pickle, root=tmp_path)
    messages = [record.message for record in caplog.records]
    first, second = (message for message in messages if "building the store again" in message)
    assert (
        "building the store again (the skeleton is not the one that the store was built with: it "
        "has the bones joint4 - joint0 and lacks the bones joint4 - joint3; center is 'joint0', "
        "not 'joint2'; " in first
    )
    assert "(skeleton is None, the store was built with 'row')" in second
