from __future__ import annotations

import copy
import json
import os
import pickle
import signal
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.datasets.store.clip_store import Clip, ClipStore
from pyg_stgcn.errors import InputError

META = {"dtype": "float32", "splits": {"x_train": ["clip 2", "clip 0"], "empty": []}, "entry": 7}


def make_clips(count: int = 3, joints: int = 4, dtype: str = "float32") -> list[Clip]:
    rng = np.random.default_rng(0)
    return [
        Clip(f"clip {i}", i, rng.normal(size=(1 + i % 2, 3 + i, joints, 3)).astype(dtype))
        for i in range(count)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "made" / "store"


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_clips_come_back_unchanged(folder: Path, dtype: str) -> None:
    clips = make_clips(dtype=dtype)
    clips.append(Clip("bänder ☃", 1, clips[0].keypoint, image_size=(256.0, 340.0)))
    ClipStore.build(folder, clips, {**META, "dtype": dtype})
    store = ClipStore.open(folder)
    assert len(store) == 4
    for i, clip in enumerate(clips):
        read = store[i]
        assert (read.name, read.label, read.image_size) == (clip.name, clip.label, clip.image_size)
        assert read.keypoint.dtype == dtype
        assert np.array_equal(read.keypoint, clip.keypoint)
        assert read.present is not None and read.present.all()
    assert store.labels.tolist() == [0, 1, 2, 1]
    assert store.num_frames.tolist() == [3, 4, 5, 3]
    assert store.num_persons.tolist() == [1, 2, 1, 1]
    assert store.num_channels == 3
    assert store.splits == ("x_train", "empty")
    assert store.split("x_train").tolist() == [2, 0]
    assert store.split("empty").tolist() == []
    assert store.meta["entry"] == 7


def test_frames_are_one_flat_array_that_numpy_reads(folder: Path) -> None:
    clips = make_clips()
    ClipStore.build(folder, clips, META)
    flat = np.concatenate([clip.keypoint.reshape(-1, 4, 3) for clip in clips])
    assert np.array_equal(np.load(folder / "keypoint.npy"), flat)


@pytest.mark.parametrize("joints", [1, 7, 8, 9, 25])
def test_present_joints_come_back_unchanged(folder: Path, joints: int) -> None:
    rng = np.random.default_rng(0)
    clips = [
        replace(clip, present=rng.random(clip.keypoint.shape[:3]) < 0.5)
        for clip in make_clips(5, joints)
    ]
    ClipStore.build(folder, clips, {"dtype": "float32", "splits": {}})
    store = ClipStore.open(folder)
    for i, clip in enumerate(clips):
        assert store[i].present.dtype == bool
        assert np.array_equal(store[i].present, clip.present)
    chosen = np.array([3, 0, 4])
    flat = np.concatenate([clips[i].present.reshape(-1, joints) for i in chosen])
    assert np.array_equal(store.present_in(chosen), flat)


def test_a_joint_at_zero_is_missing_unless_the_clip_says_more(folder: Path) -> None:
    clip = make_clips(1)[0]
    clip.keypoint[0, 1, 2] = 0
    store = ClipStore.build(folder, [clip], {"dtype": "float32", "splits": {}})
    assert np.argwhere(~store[0].present).tolist() == [[0, 1, 2]]


def test_coordinates_cannot_be_changed(folder: Path) -> None:
    clip = ClipStore.build(folder, make_clips(), META)[0]
    with pytest.raises(ValueError, match="read-only"):
        clip.keypoint[0] = 0


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_refer_to_the_file(folder: Path, duplicate: Any) -> None:
    clips = make_clips(joints=2000)
    store = ClipStore.build(folder, clips, META)
    other = duplicate(store)
    assert len(pickle.dumps(store)) < 2000 < store[0].keypoint.nbytes
    assert np.array_equal(other[1].keypoint, clips[1].keypoint)


def test_a_copy_notices_that_the_store_was_built_again(folder: Path) -> None:
    other = pickle.loads(pickle.dumps(ClipStore.build(folder, make_clips(), META)))
    ClipStore.build(folder, make_clips(), META)
    with pytest.raises(InputError, match="built this store again"):
        other[0]


def test_building_reads_one_clip_at_a_time(folder: Path) -> None:
    alive: list[str] = []

    class Tracked(np.ndarray):
        def __del__(self) -> None:
            if self.base is None:
                alive.pop()

    def clips() -> Iterator[Clip]:
        for i in range(20):
            keypoint = Tracked((1, 2, 4, 3), np.float32)
            keypoint[:] = i
            alive.append("")
            yield Clip(f"clip {i}", 0, keypoint)
            del keypoint
            assert len(alive) <= 2

    assert len(ClipStore.build(folder, clips(), META)) == 20


@pytest.mark.parametrize(
    ("clips", "splits", "message"),
    [
        ([], {}, "no clip"),
        (make_clips() + make_clips(1), {}, "'clip 0' occurs twice"),
        (
            make_clips(),
            {"x_train": ["clip 1", "b", "c", "d", "e"]},
            r"names 4 clips.*'b', 'c', 'd'",
        ),
        (make_clips() + [Clip("z", 0, np.ones((1, 2, 5, 3)))], {}, "5 joints of 3.*4 joints of 3"),
    ],
)
def test_what_cannot_be_stored_leaves_nothing(
    folder: Path, clips: list[Clip], splits: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ClipStore.build(folder, clips, {"dtype": "float32", "splits": splits})
    assert list(folder.parent.iterdir()) == []


def test_an_error_of_the_reader_leaves_the_old_store(folder: Path) -> None:
    ClipStore.build(folder, make_clips(), META)

    def clips() -> Iterator[Clip]:
        yield make_clips()[0]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ClipStore.build(folder, clips(), META)
    assert len(ClipStore.open(folder)) == 3
    assert list(folder.parent.iterdir()) == [folder]


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


def _edit_meta(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    content["store"].update(changes)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "file", ["keypoint.npy", "present.npy", "table.npy", "names.npy", "splits.npy"]
)
@pytest.mark.parametrize("harm", [_truncate, Path.unlink])
def test_opening_notices_missing_and_short_files(folder: Path, file: str, harm: Any) -> None:
    ClipStore.build(folder, make_clips(), META)
    harm(folder / file)
    with pytest.raises(InputError, match=rf"{file}: (damaged|cannot be read)"):
        ClipStore.open(folder)


@pytest.mark.parametrize("file", ["table.npy", "names.npy", "splits.npy"])
def test_opening_notices_changed_tables(folder: Path, file: str) -> None:
    ClipStore.build(folder, make_clips(), META)
    _flip(folder / file)
    with pytest.raises(InputError, match=rf"{file}: damaged"):
        ClipStore.open(folder)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.write_text("{"), "damaged"),
        (lambda path: path.write_text("[]"), "damaged"),
        (lambda path: path.write_text('{"store": {}, "crc32": 0}'), "damaged"),
        (lambda path: _edit_meta(path, entry=8), "damaged, its checksum"),
        (Path.unlink, "cannot be read"),
    ],
)
def test_opening_notices_damaged_metadata(folder: Path, harm: Any, message: str) -> None:
    ClipStore.build(folder, make_clips(), META)
    harm(folder / "meta.json")
    with pytest.raises(InputError, match=rf"meta.json: {message}"):
        ClipStore.open(folder)


@pytest.mark.parametrize("file", ["keypoint.npy", "present.npy"])
def test_reading_notices_changed_coordinates(folder: Path, file: str) -> None:
    ClipStore.build(folder, make_clips(), META)
    _flip(folder / file)
    store = ClipStore.open(folder)
    assert store[0].label == 0
    with pytest.raises(InputError, match=rf"{file}: damaged, clip 'clip 2'"):
        store[2]


def test_opening_reads_little_of_a_large_store(folder: Path) -> None:
    psutil = pytest.importorskip("psutil")
    keypoint = np.ones((2, 250, 25, 3), np.float32)
    clips = (Clip(f"clip {i}", 0, keypoint) for i in range(500))
    ClipStore.build(folder, clips, {"dtype": "float32", "splits": {}})
    process = psutil.Process()
    before = process.memory_info().rss
    store = ClipStore.open(folder)
    assert (folder / "keypoint.npy").stat().st_size > 70 * 2**20
    assert len(store) == 500
    assert process.memory_info().rss - before < 10 * 2**20


def test_killed_while_building_leaves_no_store(folder: Path, children: Any) -> None:
    underway = children.event()

    def clips() -> Iterator[Clip]:
        yield make_clips()[0]
        underway.set()
        time.sleep(60)

    process = children.start(lambda: ClipStore.build(folder, clips(), META))
    assert underway.wait(30)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not folder.exists()
    assert len(list(folder.parent.iterdir())) == 1, "the half-written files are under another name"
    assert len(ClipStore.build(folder, make_clips(), META)) == 3
    assert list(folder.parent.iterdir()) == [folder]


def test_full_disk_is_one_clear_error(folder: Path, children: Any) -> None:
    resource = pytest.importorskip("resource")

    def build() -> int:
        # A file that may not grow fails like one on a full disk.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        return len(ClipStore.build(folder, make_clips(joints=2000), META))

    children.start(build)
    error = children.result()
    assert isinstance(error, InputError)
    assert str(folder) in str(error)
    assert "free some space" in str(error)
    assert list(folder.parent.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"store cannot be written .*--root"):
        ClipStore.build(tmp_path / "file" / "store", make_clips(), META)


def test_every_bit_of_a_header_counts(folder: Path) -> None:
    store = ClipStore.build(folder, make_clips(), META)
    opened = 0
    for name, recorded in store.meta["files"].items():
        original = (folder / name).read_bytes()
        # A part of all bits, another one of every file.
        for bit in range(len(name), 8 * recorded["header"], 7):
            data = bytearray(original)
            data[bit // 8] ^= 1 << bit % 8
            (folder / name).write_bytes(data)
            with pytest.raises(InputError, match=rf"{name}: damaged"):
                ClipStore.open(folder)
            opened += 1
        (folder / name).write_bytes(original)
    assert opened > 500
    assert len(ClipStore.open(folder)) == 3


def test_a_valid_header_of_another_type_is_noticed(folder: Path) -> None:
    ClipStore.build(folder, make_clips(), META)
    for file, one, other in (("keypoint.npy", b"<f4", b">f4"), ("table.npy", b"<i8", b">i8")):
        path = folder / file
        original = path.read_bytes()
        path.write_bytes(original.replace(one, other, 1))
        np.load(path)
        with pytest.raises(InputError, match=rf"{file}: damaged, its header"):
            ClipStore.open(folder)
        path.write_bytes(original)


@pytest.mark.parametrize(
    ("one", "other"),
    [("ntu60", "ntu60-hrnet"), ("[ab]", "a"), ("*", "c"), ("a", "a.b"), ("a.b", "a"), ("a", ".a")],
)
def test_a_build_leaves_that_of_its_neighbour_alone(tmp_path: Path, one: str, other: str) -> None:
    folder, neighbour = tmp_path / one, tmp_path / other

    def clips() -> Iterator[Clip]:
        yield make_clips()[0]
        ClipStore.build(folder, make_clips(), META)
        yield from make_clips()[1:]

    assert len(ClipStore.build(neighbour, clips(), META)) == 3
    assert sorted(tmp_path.iterdir()) == sorted([folder, neighbour])


def _users_folder(folder: Path) -> None:
    (folder / "inner").mkdir(parents=True)
    (folder / "inner/notes.txt").write_text("mine")


def _users_folder_with_json(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text('{"store": {"mine": 1}, "crc32": 0}')
    (folder / "notes.txt").write_text("mine")


def _users_arrays(folder: Path) -> None:
    folder.mkdir(parents=True)
    np.save(folder / "keypoint.npy", np.zeros(3))


def _users_file(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("mine")


@pytest.mark.parametrize(
    "make", [_users_folder, _users_folder_with_json, _users_arrays, _users_file]
)
def test_what_is_no_store_is_not_replaced(folder: Path, make: Any) -> None:
    def clips() -> Iterator[Clip]:
        raise AssertionError("read before the place was checked")
        yield

    make(folder)
    before = {path: path.is_file() and path.read_bytes() for path in folder.parent.rglob("*")}
    with pytest.raises(InputError, match=rf"{folder}: is in the place of .* --root"):
        ClipStore.build(folder, clips(), META)
    after = {path: path.is_file() and path.read_bytes() for path in folder.parent.rglob("*")}
    assert after == before


def _damage_meta(folder: Path) -> None:
    ClipStore.build(folder, make_clips(), META)
    (folder / "meta.json").write_text("{")


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: folder.mkdir(parents=True),
        lambda folder: ClipStore.build(folder, make_clips(4), META),
        _damage_meta,
    ],
)
def test_a_store_or_an_empty_folder_is_replaced(folder: Path, make: Any) -> None:
    make(folder)
    assert len(ClipStore.build(folder, make_clips(), META)) == 3
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("umask", [0o022, 0o027])
def test_others_may_read_a_store_as_the_umask_says(folder: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        ClipStore.build(folder, make_clips(), META)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~umask
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_deeply_nested_description_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text(100_000 * "[")
    with pytest.raises(InputError, match=r"meta\.json: damaged, it does not describe a store"):
        ClipStore.open(tmp_path)
