"""Whatever is in a source: a dataset, or one clear error and no store."""

from __future__ import annotations

import copy
import datetime
import io
import json
import pickle
import random
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyg_stgcn.datasets import (
    HMDB51,
    NTU60,
    NWUCLA,
    SBU,
    UTDMHAD,
    Kinetics400HRNet,
    Kinetics400Skeleton,
    NTU60HRNet,
    SkeletonDataset,
    SkeletonPickle,
)
from pyg_stgcn.errors import InputError

CLIP = "S001C001P001R001A001"
Open = Callable[[Path, Path], SkeletonDataset]

FUZZ = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def check(place: Callable[[Path], Path], open_dataset: Open) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = place(folder / "source")
        try:
            dataset = open_dataset(folder / "root", source)
        except InputError as error:
            assert str(source) in str(error)
            assert "\n" not in str(error)
            assert len(str(error)) < 1000
            assert list(folder.rglob("*.npy")) == []
            return
        for data in dataset:
            assert torch.isfinite(data.x).all()
            assert 0 <= int(data.y) < dataset.num_classes
        assert len(dataset) > 0


TOKENS = [b"-1", b"300", b"9" * 5000, b"1e999", b"NaN", b"null", b"[]", b"{}", b'""', b"\n", b"\0"]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["cut", "drop", "repeat", "move", "write", "token", "bytes"]),
        st.floats(0, 1),
        st.floats(0, 1),
        st.sampled_from(TOKENS),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=3,
)


def edit(data: bytes, edits: list[tuple[str, float, float, bytes, bytes]]) -> bytes:
    """Cut off, drop, repeat, move or overwrite parts of a file."""
    for kind, place, length, token, noise in edits:
        start = int(place * len(data))
        stop = start + int(length * (len(data) - start) / 8) + 1
        middle = data[start:stop]
        data = {
            "cut": data[:start],
            "drop": data[:start] + data[stop:],
            "repeat": data[:stop] + middle + data[stop:],
            "move": middle + data[:start] + data[stop:],
            "write": data[:start] + bytes(len(middle)) + data[stop:],
            "token": data[:start] + token + data[start + len(token) :],
            "bytes": data[:start] + noise + data[start + len(noise) :],
        }[kind]
    return data


def sbu_text() -> bytes:
    rng = np.random.default_rng(0)
    lines = [",".join(map(str, [t + 1, *rng.uniform(0, 1, 90).round(4)])) for t in range(4)]
    return "\n".join(lines).encode()


def ucla_object() -> dict[str, Any]:
    skeletons = np.random.default_rng(0).normal(size=(3, 20, 3)).round(3).tolist()
    return {"file_name": "a01_s01_e00_v01", "skeletons": skeletons, "label": 1}


def kinetics_object() -> dict[str, Any]:
    rng = np.random.default_rng(0)

    def person() -> dict[str, Any]:
        pose, score = rng.uniform(0, 1, (2, 36)).round(3)
        return {"pose": pose.tolist(), "score": score[:18].tolist()}

    frames = [{"frame_index": t, "skeleton": [person() for _ in range(t % 3)]} for t in range(1, 5)]
    return {"data": frames, "label": "abseiling", "label_index": 0}


LABELS = {"a": {"has_skeleton": True, "label_index": 0}, "b": {"has_skeleton": False}}


def in_2d(name: str) -> dict[str, Any]:
    return {
        "frame_dir": name,
        "label": 0,
        "total_frames": 4,
        "img_shape": (240, 320),
        "keypoint": np.ones((1, 4, 17, 2), np.float16),
        "keypoint_score": np.ones((1, 4, 17), np.float16),
    }


def in_3d(name: str, joints: int) -> dict[str, Any]:
    return {"frame_dir": name, "label": 0, "keypoint": np.ones((2, 4, joints, 3), np.float32)}


def pickle_of(*annotations: dict[str, Any], **more: Any) -> dict[str, Any]:
    names = [item["frame_dir"] for item in annotations]
    return {"split": {"train": names, "val": names[:1]}, "annotations": list(annotations), **more}


META = {"classes": ["x"], "joints": ["a", "b"], "edges": [(1, 0)], "center": 0}
INDEX = pickle_of(
    {"frame_dir": "a", "label": 0, "img_shape": (2, 3), "frame_inds": np.array([0, 0, 4])}
)
PART = {"a": {"keypoint": np.ones((3, 17, 3), np.float16)}}


def from_source(kind: type[SkeletonDataset]) -> Open:
    return lambda root, source: kind(root, split="all", source=source)


def as_pickle(root: Path, source: Path) -> SkeletonDataset:
    return SkeletonPickle(source, root=root, split="all")


def write_bytes(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_part(source: Path, data: bytes) -> None:
    write_bytes(source / "k400_hrnet.pkl", pickle.dumps(INDEX))
    write_bytes(source / "kpfiles/a.pkl", data)


def write_index(source: Path, data: bytes) -> None:
    write_bytes(source / "kpfiles/a.pkl", pickle.dumps(PART))
    write_bytes(source / "k400_hrnet.pkl", data)


def write_labels(source: Path, data: bytes) -> None:
    write_bytes(source / "kinetics_val/a.json", json.dumps(kinetics_object()).encode())
    write_bytes(source / "kinetics_val_label.json", data)


def at(*parts: str) -> Callable[[Path, bytes], None]:
    return lambda source, data: write_bytes(source.joinpath(*parts), data)


# How a source with one file of the given contents is made, and opened.
TEXTS: dict[str, tuple[Callable[[Path, bytes], None], Open]] = {
    "ntu": (at(f"{CLIP}.skeleton"), from_source(NTU60)),
    "sbu": (at("s01s02", "01", "001", "skeleton_pos.txt"), from_source(SBU)),
}
OBJECTS: dict[str, tuple[Any, Callable[[Path, bytes], None], Open]] = {
    "ucla": (ucla_object(), at("a01_s01_e00_v01.json"), from_source(NWUCLA)),
    "kinetics": (kinetics_object(), at("kinetics_val", "a.json"), from_source(Kinetics400Skeleton)),
    "labels": (LABELS, write_labels, from_source(Kinetics400Skeleton)),
}
PICKLES: dict[str, tuple[Any, Callable[[Path, bytes], None], Open]] = {
    "any": (pickle_of(in_3d("a", 2), meta=META), write_bytes, as_pickle),
    "hmdb51": (pickle_of(in_2d("a"), in_2d("b")), write_bytes, from_source(HMDB51)),
    "ntu60-hrnet": (pickle_of(in_2d(CLIP)), write_bytes, from_source(NTU60HRNet)),
    "k400 index": (INDEX, write_index, from_source(Kinetics400HRNet)),
    "k400 part": (PART, write_part, from_source(Kinetics400HRNet)),
}


def run(
    write: Callable[[Path, bytes], None], open_dataset: Open, data: bytes, name: str = "source"
) -> None:
    def place(folder: Path) -> Path:
        folder.mkdir()
        write(folder / name, data)
        return folder / name

    check(place, open_dataset)


@pytest.mark.parametrize("name", TEXTS)
@FUZZ
@given(edits=EDITS)
def test_text(make_recording: Callable[..., bytes], name: str, edits: Any) -> None:
    joints = np.random.default_rng(0).normal(size=(25, 3)).round(3)
    data = {"sbu": sbu_text(), "ntu": make_recording({0: joints}, {0: joints, 3: joints})}[name]
    run(*TEXTS[name], edit(data, edits))


@pytest.mark.parametrize("name", [*OBJECTS, *PICKLES])
@FUZZ
@given(edits=EDITS)
def test_bytes_of_json_and_pickles(name: str, edits: Any) -> None:
    if name in OBJECTS:
        content, write, open_dataset = OBJECTS[name]
        run(write, open_dataset, edit(json.dumps(content).encode(), edits))
    else:
        content, write, open_dataset = PICKLES[name]
        run(write, open_dataset, edit(pickle.dumps(content), edits), f"{name}.pkl")


PLAIN: list[Any] = [None, True, -1, 0, 7, 10**400, 1.5, -1e300, float("nan"), float("inf")]
PLAIN += ["", "x", "../../x", "\ud800", [], [[]], {}, {"x": 1}, [1, 2, 3], [["a"] * 99] * 99]
ARRAYS: list[Any] = [np.array(5), np.array("x"), np.zeros(0), np.arange(3), np.arange(3)[::-1]]
ARRAYS += [np.full((1, 4, 17, 2), np.nan), np.ones((1, 4, 17, 2), bool), np.int64(3), b"x", {1, 2}]
ARRAYS += [np.full((3, 17, 3), 1e30), (1,), datetime.date(2000, 1, 1), np.ones((40, 9, 17, 2))]


def replace_part(content: Any, rng: random.Random, values: list[Any]) -> Any:
    """Put another value somewhere into nested dicts, lists and tuples, or take one away."""
    content = copy.deepcopy(content)
    parent, key, part = None, None, content
    while isinstance(part, dict | list) and part and (parent is None or rng.random() < 0.8):
        parent = part
        key = rng.choice(list(part) if isinstance(part, dict) else range(len(part)))
        part = parent[key]
    if parent is None:
        return content
    if rng.random() < 0.15:
        del parent[key]
    else:
        parent[key] = copy.deepcopy(rng.choice(values))
    return content


@pytest.mark.parametrize("name", [*OBJECTS, *PICKLES])
@FUZZ
@given(seed=st.integers(0, 10**9), count=st.integers(1, 3))
def test_values_in_json_and_pickles(name: str, seed: int, count: int) -> None:
    rng = random.Random(seed)
    content, write, open_dataset = OBJECTS[name] if name in OBJECTS else PICKLES[name]
    values = PLAIN if name in OBJECTS else PLAIN + ARRAYS
    for _ in range(count):
        content = replace_part(content, rng, values)
    if name in PICKLES:
        run(write, open_dataset, pickle.dumps(content), f"{name}.pkl")
        return
    text = json.dumps(content)
    encoding = rng.choice(["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-7"])
    run(write, open_dataset, text.encode(encoding))


def archive_of(member: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, data)
    return file.getvalue()


def mat_file() -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, {"d_skel": np.random.default_rng(0).normal(size=(20, 3, 5))})
    return file.getvalue()


# The name that the only file has within an archive.
MEMBERS: dict[str, tuple[str, type[SkeletonDataset]]] = {
    "ntu": (f"nturgbd/{CLIP}.skeleton", NTU60),
    "sbu": ("s01s02/01/001/skeleton_pos.txt", SBU),
    "ucla": ("all_sqe/a01_s01_e00_v01.json", NWUCLA),
    "kinetics": ("kinetics_val/a.json", Kinetics400Skeleton),
    "utd": ("Skeleton/a1_s1_t1_skeleton.mat", UTDMHAD),
}


@FUZZ
@given(edits=EDITS)
def test_mat_files(edits: Any) -> None:
    data = archive_of(MEMBERS["utd"][0], edit(mat_file(), edits))
    run(write_bytes, from_source(UTDMHAD), data, "a.zip")


@pytest.mark.parametrize("name", ["utd", "ucla"])
@FUZZ
@given(edits=EDITS)
def test_bytes_of_archives(name: str, edits: Any) -> None:
    member, kind = MEMBERS[name]
    data = mat_file() if name == "utd" else json.dumps(ucla_object()).encode()
    run(write_bytes, from_source(kind), edit(archive_of(member, data), edits), "a.zip")


@pytest.mark.parametrize("name", MEMBERS)
def test_archives_of_other_lengths_than_they_say(tmp_path: Path, name: str) -> None:
    member, kind = MEMBERS[name]
    source = tmp_path / "a.zip"
    data = archive_of(member, bytes(2**20))
    assert len(data) < 2**12
    # What the directory of the archive says decides, be it true or an understatement.
    for length, message in ((65 * 2**20, "far too"), (100, r"is damaged \(.*CRC")):
        told = length.to_bytes(4, "little")
        source.write_bytes(data.replace((2**20).to_bytes(4, "little"), told))
        with pytest.raises(InputError, match=rf"^{source}: {member}.* {message}"):
            kind(tmp_path / "root", split="all", source=source)
