from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton, get_skeleton


def chain(num_joints: int) -> dict[str, object]:
    bones = [[joint, joint - 1] for joint in range(1, num_joints)]
    return {
        "name": "chain",
        "joints": [f"joint{number}" for number in range(num_joints)],
        "bones": bones,
        "center": 0,
    }


def test_a_skeleton_of_silly_size_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "chain.json"
    path.write_text(json.dumps(chain(30_000)))
    with pytest.raises(InputError, match=r"chain\.json: joints: 30,000 are too many; .* 1,024"):
        get_skeleton(path)
    path.write_text(json.dumps(chain(1024)))
    assert get_skeleton(path).num_joints == 1024
    apart = {**chain(1024), "bones": []}
    with pytest.raises(InputError, match=r"to 'joint1', .*'joint5' and 1018 more"):
        Skeleton.from_dict(apart)


def test_damaged_files_give_one_short_message(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    skeleton = get_skeleton("kinect20")
    skeleton.to_json(tmp_path / "whole.json")
    whole = (tmp_path / "whole.json").read_bytes()
    path = tmp_path / "damaged.json"
    for _ in range(500):
        content = bytearray(whole)
        for place in random.integers(0, len(whole) - 50, size=random.integers(1, 4)).tolist():
            content[place : place + random.integers(0, 9)] = random.bytes(random.integers(0, 3))
        path.write_bytes(content)
        try:
            get_skeleton(path)
        except InputError as error:
            assert str(error).startswith(f"{path}: ") and len(str(error)) < len(str(path)) + 300


def test_a_pipe_is_no_skeleton(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InputError, match=r"pipe\.json: .*pipe.* device"):
        get_skeleton(tmp_path / "pipe.json")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "arm.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(chain(3)).encode())
    assert get_skeleton(path) == Skeleton.from_dict(chain(3))


def test_distances_take_no_more_memory_than_a_graph_may_have() -> None:
    long = Skeleton.from_dict(chain(400))
    assert long.graph("distance-9").num_partitions == 10
    with pytest.raises(InputError, match=r"400 distances of 400 joints .* at most 'distance-103'"):
        long.graph("distance-399")
