from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.datasets import NTU60, NTU120
from pyg_stgcn.datasets.store.parallel import MIN_ITEMS
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton

A, B, C = "S001C001P001R001A001", "S001C002P003R002A060", "S018C003P103R001A120"
MISSING = "S001C002P005R002A008"


def joints(name: str, frame: int) -> np.ndarray:
    """Other joints for every clip and frame; all numbers are multiples of 1/64."""
    rng = np.random.default_rng([*name.encode(), frame])
    return rng.integers(-128, 128, (25, 3)) / 64


@pytest.fixture
def make_raw(make_recording: Callable[..., bytes], tmp_path: Path) -> Callable[..., Path]:
    """Write a folder of raw files, of one person in four frames each."""

    def make(*names: str, folder: str = "raw files") -> Path:
        path = tmp_path / folder
        path.mkdir(parents=True, exist_ok=True)
        for name in names:
            frames = ({0: joints(name, frame)} for frame in range(4))
            (path / f"{name}.skeleton").write_bytes(make_recording(*frames))
        return path

    return make


def make_zip(folder: Path, path: Path, prefix: str = "nturgb+d_skeletons/") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(prefix, "")
        archive.writestr(f"__MACOSX/{prefix}._{A}.skeleton", b"\x00\x05\x16\x07")
        for file in sorted(folder.iterdir()):
            archive.write(file, prefix + file.name)
    return path


def annotations(*names: str, **changes: Any) -> dict[str, Any]:
    items = []
    for name in names:
        keypoint = np.stack([joints(name, frame) for frame in range(4)])[None].astype(np.float16)
        item = {"frame_dir": name, "label": int(name[-3:]) - 1, "keypoint": keypoint}
        items.append({**item, **changes})
    return {"split": {"mine_train": list(names)}, "annotations": items}


def check_items(dataset: NTU60 | NTU120, names: list[str]) -> None:
    assert dataset.names == names
    for data in dataset:
        assert data.x.shape == (25, 4, 3)
        expected = np.stack([joints(data.name, frame) for frame in range(4)], axis=1)
        assert np.array_equal(data.x, expected.astype(np.float32))
        assert int(data.y) == int(data.name[-3:]) - 1


@pytest.mark.parametrize("kind", ["folder", "zip", "zips in a folder", "pickle"])
def test_every_kind_of_the_source(make_raw: Callable[..., Path], tmp_path: Path, kind: str) -> None:
    folder = make_raw(A, B, C, MISSING)
    source = {
        "folder": lambda: folder,
        "zip": lambda: make_zip(folder, tmp_path / "all.zip"),
        "zips in a folder": lambda: zips(),
        "pickle": lambda: write(tmp_path / "ntu.pkl", annotations(A, B, C, MISSING)),
    }

    def zips() -> Path:
        (tmp_path / "zips/inner").mkdir(parents=True)
        make_zip(make_raw(C, folder="second"), tmp_path / "zips/inner/b.zip")
        make_zip(make_raw(A, B, MISSING, folder="first"), tmp_path / "zips/a.zip")
        return tmp_path / "zips"

    path = source[kind]()
    check_items(NTU60(tmp_path / "root", split="all", source=path), [A, B])
    check_items(NTU120(tmp_path / "root", split="all", source=path), [A, B, C])
    # The stores are enough from now on.
    check_items(NTU60(tmp_path / "root", "xview", "val"), [A])
    check_items(NTU60(tmp_path / "root", "xview", "train"), [B])
    check_items(NTU120(tmp_path / "root", "xset", "train"), [C])
    check_items(NTU120(tmp_path / "root", "xsub", "train"), [A, C])


def write(path: Path, content: Any) -> Path:
    path.write_bytes(pickle.dumps(content, 4))
    return path


def test_metadata_of_the_datasets(make_raw: Callable[..., Path], tmp_path: Path) -> None:
    source = make_raw(A, B, C)
    ntu60 = NTU60(tmp_path / "root", split="all", source=source)
    ntu120 = NTU120(tmp_path / "root", split="all", source=source)
    assert ntu60.skeleton == ntu120.skeleton == get_skeleton("ntu25")
    assert (ntu60.num_classes, ntu120.num_classes) == (60, 120)
    assert ntu60.classes == ntu120.classes[:60]
    assert (ntu60.benchmarks, ntu120.benchmarks) == (("xsub", "xview"), ("xsub", "xset"))
    assert (ntu60.num_channels, ntu60.has_score) == (3, False)
    assert ntu120.subjects.tolist() == [1, 3, 103]
    assert ntu120.cameras.tolist() == [1, 2, 3]
    assert ntu120.setups.tolist() == [1, 1, 18]
    assert ntu120[1:].subjects.tolist() == [3, 103]


def test_genuine_files(shared_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "raw/ntu60"
    source.mkdir(parents=True)
    names = [f"S001C001P001R001{action}" for action in ("A001", "A005", "A050")]
    for name in names:
        shutil.copy(shared_data / f"data/ntu_raw/{name}.skeleton", source)
    dataset = NTU60(tmp_path, split="all")
    assert dataset.names == names
    assert dataset.num_persons.tolist() == [1, 1, 2]
    for data in dataset:
        golden = np.load(shared_data / f"golden/ntu_raw/{data.name}.npz")["keypoint"]
        persons, frames = golden.shape[:2]
        x = data.x.view(persons, 25, frames, 3).transpose(1, 2)
        assert np.array_equal(x, golden)


def test_many_files_are_read_by_several_processes(
    make_raw: Callable[..., Path], tmp_path: Path
) -> None:
    names = [f"S001C001P{i // 60:03}R001A{i % 60 + 1:03}" for i in range(MIN_ITEMS + 50)]
    folder = make_raw(*names)
    check_items(NTU60(tmp_path / "a", split="all", source=folder), names)
    archive = make_zip(folder, tmp_path / "all.zip")
    check_items(NTU60(tmp_path / "b", split="all", source=archive), names)
    bad = folder / f"{names[-1]}.skeleton"
    bad.write_bytes(b"1\n1\n")
    dataset = NTU60(tmp_path / "a", split="all", source=folder)
    assert list(dataset.skipped) == names[-1:]
    check_items(dataset, names[:-1])
    with pytest.raises(InputError, match=rf"^{bad}: line 2 ends in the middle of a body"):
        NTU60(tmp_path / "a", split="all", source=folder, strict=True)


def test_raw_bodies(
    make_raw: Callable[..., Path], make_recording: Callable[..., bytes], tmp_path: Path
) -> None:
    source = make_raw(A)
    frames = {0: joints("x", 0)}, {}, {1: joints("x", 1), 0: joints("x", 2)}
    (source / f"{B}.skeleton").write_bytes(make_recording(*frames))
    dataset = NTU60(tmp_path / "root", split="all", source=source, raw_bodies=True)
    assert dataset.num_channels == 4
    assert dataset.num_persons.tolist() == [1, 2]
    x = dataset[1].x.view(2, 25, 3, 4)
    expected = np.zeros((2, 25, 3, 4), np.float32)
    for person, frame, number in ((0, 0, 0), (0, 2, 2), (1, 2, 1)):
        expected[person, :, frame, :3] = joints("x", number)
        expected[person, :, frame, 3] = np.arange(25) % 3
    assert np.array_equal(x, expected)
    # Another option, another store. Of two bodies too short to be persons the longer one stays.
    dataset = NTU60(tmp_path / "root", split="all", source=source)
    assert (dataset.num_channels, dataset.num_persons.tolist()) == (3, [1, 1])


def test_the_store_follows_the_folder(make_raw: Callable[..., Path], tmp_path: Path) -> None:
    source = make_raw(A)
    assert NTU60(tmp_path, split="all", source=source).names == [A]
    assert NTU60(tmp_path, split="all", source=make_raw(B)).names == [A, B]


def test_sources_in_the_raw_folder(make_raw: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    write(tmp_path / "raw/ntu60_3danno.pkl", annotations(A))
    assert NTU60(tmp_path, split="all").names == [A]
    make_raw(A, B, folder="raw/ntu60")
    assert NTU60(tmp_path, split="all").names == [A, B]


def test_half_precision_is_kept(tmp_path: Path) -> None:
    NTU60(tmp_path, split="all", source=write(tmp_path / "a.pkl", annotations(A)))
    assert np.load(tmp_path / "processed/ntu60/keypoint.npy").dtype == np.float16


def add(name: str, content: bytes = b"") -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (add("skeleton.skeleton"), r"skeleton.skeleton: 'skeleton' is not in the format SsssCccc"),
        (add(f"{A}.crlf.skeleton"), rf"{A}.crlf.skeleton: '{A}.crlf' is not in the format"),
        (add("S001C001P001R001A121.skeleton"), r"has camera 1 and action 121; NTU RGB\+D has"),
        (add(f"{B}.skeleton", b"1\n1\n"), rf"{B}.skeleton: line 2 ends in the middle of a body"),
        (add("a.zip", b"PK"), r"a.zip: not a complete zip archive"),
        (
            lambda folder: make_zip(folder, folder / "a.zip") and None,
            rf"the same clip as .*{A}.*; take one of them away",
        ),
        (
            lambda folder: os.truncate(folder / f"{A}.skeleton", 100 * 2**20),
            r"has 104,857,600 bytes, far too many for a clip",
        ),
        (lambda folder: (folder / f"{A}.skeleton").unlink(), r"holds no .skeleton file; name the"),
        (
            lambda folder: (folder / f"{A}.skeleton").rename(folder / f"{C}.skeleton") and None,
            r"none of the 1 clips has an action up to 60 and a skeleton that is not known to be",
        ),
        (
            lambda folder: (
                (folder / f"{A}.skeleton").rename(folder / f"{MISSING}.skeleton") and None
            ),
            r"none of the 1 clips has an action up to 60 and a skeleton that is not known to be",
        ),
    ],
)
def test_a_bad_folder(
    make_raw: Callable[..., Path],
    tmp_path: Path,
    harm: Callable[[Path], None],
    message: str,
) -> None:
    source = make_raw(A)
    harm(source)
    with pytest.raises(InputError, match=rf"^{source}.*{message}") as caught:
        NTU60(tmp_path / "root", source=source)
    assert str(caught.value).count(f"{source}: ") <= 1
    assert list((tmp_path / "root").rglob("*.npy")) == []


def test_a_damaged_archive(make_raw: Callable[..., Path], tmp_path: Path) -> None:
    source = make_zip(make_raw(A), tmp_path / "all.zip")
    data = source.read_bytes()
    start = data.index(b"S001") + 200
    source.write_bytes(data[:start] + bytes(40) + data[start + 40 :])
    with pytest.raises(InputError, match=rf"^{source}: nturgb.*{A}.skeleton: is damaged \("):
        NTU60(tmp_path / "root", source=source)


def test_an_archive_of_other_things(tmp_path: Path) -> None:
    source = tmp_path / "other.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("readme.txt", "")
    with pytest.raises(InputError, match=rf"^{source}: holds no .skeleton file"):
        NTU60(tmp_path / "root", source=source)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_dir": "clip 1"}, r"an annotation: 'clip 1' is not in the format SsssCccc"),
        ({"label": 5}, rf"clip '{A}' has label 5, its name says 0"),
        ({"keypoint": np.ones((1, 4, 20, 3))}, r"has 20 joints, the skeleton 'ntu25' has 25"),
        (
            {"keypoint": np.ones((1, 4, 17, 2)), "img_shape": (4, 4)},
            r"holds 2-D joints, ntu60 has 3-D ones; open it by",
        ),
        ({"keypoint": np.full((1, 4, 25, 3), np.nan)}, r"100 joints that are NaN"),
    ],
)
def test_a_bad_pickle(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    source = write(tmp_path / "ntu.pkl", annotations(A, **changes))
    with pytest.raises(InputError, match=rf"^{source}: .*{message}") as caught:
        NTU60(tmp_path / "root", source=source)
    assert str(caught.value).count(f"{source}: ") == 1


def test_raw_bodies_of_a_pickle(tmp_path: Path) -> None:
    source = write(tmp_path / "ntu.pkl", annotations(A))
    with pytest.raises(InputError, match=r"holds only the persons, not all bodies; give the raw"):
        NTU60(tmp_path / "root", source=source, raw_bodies=True)


def test_a_source_of_no_known_format(tmp_path: Path) -> None:
    source = tmp_path / "a.skeleton"
    source.write_bytes(b"")
    with pytest.raises(InputError, match=r"a.skeleton: ntu60 is read from a folder or .zip of"):
        NTU60(tmp_path / "root", source=source)
    with pytest.raises(InputError, match=r"none: no such file or folder; check --source"):
        NTU60(tmp_path / "root", source=tmp_path / "none")


@pytest.mark.parametrize("raw_bodies", [False, True])
def test_without_files_the_message_says_where_to_ask(tmp_path: Path, raw_bodies: bool) -> None:
    class Unreachable(NTU60):
        url = "http://127.0.0.1:9/ntu60_3danno.pkl"

    with pytest.raises(InputError) as caught:
        Unreachable(tmp_path, raw_bodies=raw_bodies)
    raw = tmp_path / "raw"
    for part in (NTU60.page, "agreement", str(raw / "ntu60"), "--source"):
        assert part in str(caught.value)
    # Only the annotations may be fetched, and only they would do.
    assert (Unreachable.url in str(caught.value)) != raw_bodies
