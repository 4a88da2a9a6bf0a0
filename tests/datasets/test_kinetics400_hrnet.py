from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.datasets import Kinetics400HRNet
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton


def entry(name: str, frames: Any, label: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "frame_dir": name,
        "label": label,
        "img_shape": (320, 426),
        "original_shape": (320, 426),
        "frame_inds": np.array(frames, np.int16),
        "box_score": np.ones(len(frames), np.float16),
        "total_frames": 300,
        "raw_file": "data/k400/kpfiles/part_0.pkl",
        "valid": {0.5: 150},
        **changes,
    }


def joints(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    position, score = rng.uniform(1, 300, (count, 17, 2)), rng.uniform(0.1, 1, (count, 17, 1))
    return np.concatenate([position, score], axis=-1).astype(np.float16)


def write(folder: Path, entries: list[Any], *parts: dict[str, Any], **splits: Any) -> Path:
    (folder / "kpfiles").mkdir(parents=True, exist_ok=True)
    content = {"split": splits, "annotations": entries}
    (folder / "k400_hrnet.pkl").write_bytes(pickle.dumps(content))
    for number, part in enumerate(parts):
        (folder / f"kpfiles/part_{number}.pkl").write_bytes(pickle.dumps(part))
    return folder


def arranged(frames: list[int], skeletons: np.ndarray) -> np.ndarray:
    """Skeletons by person and frame, one frame after the other."""
    by_frame = [
        [skeleton for at, skeleton in zip(frames, skeletons, strict=True) if at == frame]
        for frame in sorted(set(frames))
    ]
    if max(map(len, by_frame)) > 10:
        for persons in by_frame:
            persons.sort(key=lambda person: -float(person[:, 2].astype(np.float64).sum()))
    persons = min(10, max(map(len, by_frame)))
    out = np.zeros((persons, len(by_frame), 17, 3), np.float16)
    for t, found in enumerate(by_frame):
        for m, skeleton in enumerate(found[:persons]):
            out[m, t] = skeleton
    return out


@pytest.mark.parametrize(
    "frames",
    [[0], [5, 5, 9], [0, 1, 2, 3], [3, 3, 3, 7, 250, 250], [4] * 10 + [5] * 3, [1] * 14 + [2] * 3],
)
def test_skeletons_become_persons_and_frames(tmp_path: Path, frames: list[int]) -> None:
    skeletons = joints(len(frames))
    source = write(tmp_path / "source", [entry("a", frames, 7)], {"a": {"keypoint": skeletons}})
    dataset = Kinetics400HRNet(tmp_path, split="all", source=source)
    expected = arranged(frames, skeletons)
    data = dataset[0]
    x = data.x.view(len(expected), 17, -1, 3).transpose(1, 2)
    assert np.array_equal(x, expected.astype(np.float32))
    assert int(data.y) == 7
    assert data.image_size.tolist() == [[320, 426]]
    assert (dataset.skeleton, dataset.has_score) == (get_skeleton("coco17"), True)


def test_genuine_entries(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "data/pyskl/k400_entries_sample.pkl"
    content = pickle.loads(path.read_bytes())
    entries = content["annotations"]
    found = {
        item["frame_dir"]: {"keypoint": joints(len(item["frame_inds"]), number)}
        for number, item in enumerate(entries)
    }
    names = list(found)
    parts = [{name: found[name] for name in names[start::3]} for start in range(3)]
    source = write(tmp_path / "source", entries, *parts, **content["split"])
    dataset = Kinetics400HRNet(tmp_path, source=source)
    assert dataset.names == content["split"]["train"]
    published = (shared_data / "data/facts/classes_k400.txt").read_text().splitlines()
    assert dataset.classes == published
    by_name = {item["frame_dir"]: item for item in entries}
    for data in dataset:
        item = by_name[data.name]
        assert int(data.y) == item["label"]
        assert data.x.shape[1] == len(set(item["frame_inds"].tolist()))
    data = dataset[0]
    expected = arranged(by_name[data.name]["frame_inds"].tolist(), found[data.name]["keypoint"])
    x = data.x.view(len(expected), 17, -1, 3).transpose(1, 2)
    assert np.array_equal(x, expected.astype(np.float32))


def test_a_linked_folder_of_parts(tmp_path: Path) -> None:
    entries = [entry("a", [1]), entry("b", [1, 2])]
    source = write(tmp_path / "source", entries, {"a": {"keypoint": joints(1)}})
    disk = write(tmp_path / "disk", entries, {"b": {"keypoint": joints(2)}})
    (source / "kpfiles/more").symlink_to(disk / "kpfiles")
    dataset = Kinetics400HRNet(tmp_path, split="all", source=source)
    assert sorted(dataset.names) == ["a", "b"]


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    entries = [entry("a", [1]), entry("b", [1])]
    source = write(tmp_path / "source", entries, {"a": {"keypoint": joints(1)}, "z": 3})
    with pytest.raises(InputError, match=r"k400_hrnet.pkl: no part file .* holds clip 'b'; add"):
        Kinetics400HRNet(tmp_path, split="all", source=source)


@pytest.mark.parametrize(
    ("keypoint", "changes", "message"),
    [
        (joints(3), {}, r"frame_inds of shape \(2,\) for 3 skeletons"),
        (joints(2)[:, :16], {}, r"keypoint of shape \(2, 16, 3\)"),
        (None, {}, r"keypoint of shape \(\)"),
        (joints(2), {"frame_inds": np.array([3, 2])}, r"frame_inds that go back"),
        (joints(2), {"frame_inds": np.array([1.0, 2.0])}, r"frame_inds of shape \(2,\)"),
        (joints(2), {"img_shape": (0, 1)}, r"img_shape \(0, 1\)"),
        (joints(2), {"label": "x"}, r"label 'x', which is no integer"),
        (joints(2), {"label": 400}, r"label 400, but there are 400 classes"),
        (joints(2) * np.nan, {}, r"34 joints that are NaN"),
        (joints(0), {"frame_inds": np.empty(0, int)}, r"clip 'a' is empty"),
    ],
)
def test_a_damaged_clip(tmp_path: Path, keypoint: Any, changes: Any, message: str) -> None:
    source = write(tmp_path / "s", [entry("a", [1, 2], **changes)], {"a": {"keypoint": keypoint}})
    with pytest.raises(InputError, match=rf"^{source}.*{message}"):
        Kinetics400HRNet(tmp_path, split="all", source=source)
    assert list((tmp_path / "processed").rglob("*.npy")) == []


def test_wrong_sources(tmp_path: Path) -> None:
    source = write(tmp_path / "s", [entry("a", [1]), entry("a", [1])])
    with pytest.raises(InputError, match=r"k400_hrnet.pkl: clip name 'a' occurs twice"):
        Kinetics400HRNet(tmp_path, source=source)
    with pytest.raises(InputError, match=r"k400_hrnet.pkl: no folder; name the one that holds"):
        Kinetics400HRNet(tmp_path, source=source / "k400_hrnet.pkl")
    (source / "k400_hrnet.pkl").write_bytes(pickle.dumps([]))
    with pytest.raises(InputError, match=r"k400_hrnet.pkl: is no index: it holds no list"):
        Kinetics400HRNet(tmp_path, source=source)
    (source / "k400_hrnet.pkl").unlink()
    with pytest.raises(InputError, match=r"k400_hrnet.pkl: cannot be read \(No such file"):
        Kinetics400HRNet(tmp_path, source=source)
    with pytest.raises(InputError, match=r"kinetics400-hrnet: no such folder; put k400_hrnet.pkl"):
        Kinetics400HRNet(tmp_path)
