from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.datasets import NTU60, NTU120, NTU60HRNet, NTU120HRNet
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton

A, B, C = "S001C001P001R001A001", "S001C002P003R002A060", "S018C003P103R001A120"
MISSING = "S001C002P005R002A008"


def write(path: Path, in_3d: bool, **changes: Any) -> Path:
    rng = np.random.default_rng(0)
    items = []
    for name in (A, B, C, MISSING):
        item = {"frame_dir": name, "label": int(name[-3:]) - 1}
        if in_3d:
            item["keypoint"] = rng.normal(size=(2, 5, 25, 3)).astype(np.float16)
        else:
            item["keypoint"] = rng.uniform(1, 999, size=(2, 5, 17, 2)).astype(np.float16)
            item["keypoint_score"] = rng.uniform(0.1, 1, size=(2, 5, 17)).astype(np.float16)
            item["img_shape"] = (1080, 1920)
        items.append({**item, **changes})
    path.write_bytes(pickle.dumps({"split": {"mine_train": [A]}, "annotations": items}))
    return path


@pytest.mark.parametrize(("flat", "solid"), [(NTU60HRNet, NTU60), (NTU120HRNet, NTU120)])
def test_the_same_clips_and_splits_as_in_3d(tmp_path: Path, flat: Any, solid: Any) -> None:
    in_2d, in_3d = write(tmp_path / "2d.pkl", False), write(tmp_path / "3d.pkl", True)
    one = flat(tmp_path, split="all", source=in_2d)
    other = solid(tmp_path, split="all", source=in_3d)
    assert one.names == other.names
    assert MISSING not in one.names
    assert one.labels.tolist() == other.labels.tolist()
    assert one.classes == other.classes
    assert one.benchmarks == other.benchmarks
    assert one.subjects.tolist() == other.subjects.tolist()
    for benchmark in one.benchmarks:
        assert one.split_sizes(benchmark) == other.split_sizes(benchmark)
    assert (one.skeleton, one.has_score) == (get_skeleton("coco17"), True)
    assert one[0].image_size.tolist() == [[1080, 1920]]


def test_coordinates_and_scores_in_half_precision(tmp_path: Path) -> None:
    source = write(tmp_path / "2d.pkl", False)
    (item, *_) = pickle.loads(source.read_bytes())["annotations"]
    data = NTU60HRNet(tmp_path, split="all", source=source)[0]
    x = data.x.view(2, 17, 5, 3).transpose(1, 2)
    assert np.array_equal(x[..., :2], item["keypoint"])
    assert np.array_equal(x[..., 2], item["keypoint_score"])
    assert np.load(tmp_path / "processed/ntu60-hrnet/keypoint.npy").dtype == np.float16


def test_wrong_files(tmp_path: Path) -> None:
    in_2d, in_3d = write(tmp_path / "2d.pkl", False), write(tmp_path / "3d.pkl", True)
    with pytest.raises(InputError, match=r"3d.pkl: holds 3-D joints, ntu60-hrnet has 2-D ones"):
        NTU60HRNet(tmp_path, source=in_3d)
    with pytest.raises(InputError, match=r"2d.pkl: holds 2-D joints, ntu120 has 3-D ones"):
        NTU120(tmp_path, source=in_2d)
    other = write(tmp_path / "other.pkl", False, label=5)
    with pytest.raises(InputError, match=rf"clip '{A}' has label 5, its name says 0"):
        NTU60HRNet(tmp_path, source=other)
    with pytest.raises(InputError, match=r"raw: no such file; check --source"):
        NTU60HRNet(tmp_path, source=tmp_path / "raw")
