from __future__ import annotations

import functools
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform, Compose, ToUndirected

from pyg_stgcn.datasets.store.fingerprint import (
    SOURCE_NOTE,
    describe_transform,
    file_sha256,
    same_source,
    source_fingerprint,
)


class Scale(BaseTransform):
    def __init__(self, factor: Any) -> None:
        self.factor = factor

    def forward(self, data: Data) -> Data:
        return data


class Versioned(Scale):
    def __init__(self, factor: Any, version: int) -> None:
        super().__init__(factor)
        self.version = version


class Versioned3(Scale):
    version = 3


def double(data: Any) -> Any:
    return data * 2


def halve(data: Any) -> Any:
    return data / 2


def test_a_file_is_known_by_its_contents(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    fingerprint = source_fingerprint(path)
    assert same_source(path, fingerprint)
    os.utime(path, (1, 1))
    assert same_source(path, fingerprint)
    path.write_bytes(b"12354")
    assert not same_source(path, fingerprint)
    path.write_bytes(b"123456")
    assert not same_source(path, fingerprint)


def test_a_file_is_read_only_where_it_may_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return file_sha256(path)

    monkeypatch.setattr("pyg_stgcn.datasets.store.fingerprint.file_sha256", counted)
    monkeypatch.setattr("pyg_stgcn.datasets.store.fingerprint._CLOCK_TICK", 0)
    notes, path = tmp_path / "notes", tmp_path / "file"
    notes.mkdir()
    path.write_bytes(b"12345")
    fingerprint = json.loads(json.dumps(source_fingerprint(path)))
    assert same_source(path, fingerprint, notes=notes)
    assert len(read) == 1
    copy = Path(shutil.copy2(path, tmp_path / "copy"))
    assert same_source(copy, fingerprint, notes=notes)
    assert len(read) == 2, "another file of the same size and time"
    assert same_source(copy, fingerprint, notes=notes)
    assert len(read) == 2, "the file that was found to be the same before"
    other = {**fingerprint, "sha256": "0"}
    assert not same_source(copy, other, notes=notes), "a note is of the fingerprint that it names"
    (notes / SOURCE_NOTE).write_bytes(b"{")
    assert same_source(copy, fingerprint, notes=notes)
    assert len(read) == 4
    assert same_source(copy, fingerprint, notes=tmp_path / "nowhere")
    assert same_source(path, fingerprint)


def test_a_file_that_has_just_changed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    fingerprint = source_fingerprint(path)
    assert fingerprint["state"] is None, "a second change within a tick of the clock would not show"
    stat = path.stat()
    path.write_bytes(b"12354")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert not same_source(path, fingerprint)


def test_a_folder_is_known_by_the_files_that_count(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "inner/a.raw").write_bytes(b"12345")
    (source / "b.raw").write_bytes(b"1")
    fingerprint = source_fingerprint(source, (".raw",))
    assert fingerprint["files"] == 2
    (source / "other.txt").write_bytes(b"")
    assert same_source(source, fingerprint, (".raw",))
    source = source.rename(tmp_path / "moved")
    assert same_source(source, fingerprint, (".raw",))
    (source / "inner").rename(source / "other")
    assert not same_source(source, fingerprint, (".raw",))
    (source / "other").rename(source / "inner")
    assert same_source(source, fingerprint, (".raw",))
    stat = (source / "b.raw").stat()
    os.utime(source / "b.raw", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert not same_source(source, fingerprint, (".raw",))


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of many files, last written a day ago."""
    source = tmp_path / "many"
    for part in ("a", "b"):
        (source / part).mkdir(parents=True)
        for number in range(600):
            (source / part / f"{number}.raw").touch()
    make_old(source)
    return source


def make_old(source: Path) -> None:
    yesterday = (time.time_ns() - 86_400 * 10**9,) * 2
    for folder in (source / "a", source / "b", source):
        os.utime(folder, ns=yesterday)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "more.raw").touch(),
        lambda folder: (folder / "7.raw").unlink(),
        lambda folder: (folder / "7.raw").rename(folder / "700.raw"),
        lambda folder: shutil.rmtree(folder),
        lambda folder: folder.rename(folder.with_name("c")),
    ],
)
def test_a_folder_of_many_files_follows_the_time_of_its_folders(
    many: Path, change: Callable[[Path], None]
) -> None:
    fingerprint = source_fingerprint(many, (".raw",))
    assert same_source(many, fingerprint, (".raw",))
    # As documented, this one is not seen.
    (many / "b/9.raw").write_bytes(b"1")
    assert same_source(many, fingerprint, (".raw",))
    change(many / "b")
    assert not same_source(many, fingerprint, (".raw",))


def test_a_copy_of_a_folder_of_many_files_is_the_same(many: Path, tmp_path: Path) -> None:
    fingerprint = source_fingerprint(many, (".raw",))
    (many / "a/note.txt").touch()
    copy = many.rename(tmp_path / "copy")
    assert same_source(copy, fingerprint, (".raw",))
    (copy / "b/9.raw").write_bytes(b"1")
    assert not same_source(copy, fingerprint, (".raw",))


def test_a_folder_that_has_just_changed_is_looked_at_file_by_file(many: Path) -> None:
    (many / "a/more.raw").touch()
    fingerprint = source_fingerprint(many, (".raw",))
    (many / "b/9.raw").write_bytes(b"1")
    assert not same_source(many, fingerprint, (".raw",))


def test_a_folder_and_a_file_are_never_the_same(tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.write_bytes(b"")
    assert not same_source(file, source_fingerprint(folder))
    assert not same_source(folder, source_fingerprint(file))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (None, Scale(1)),
        (Scale(1), Scale(2)),
        (Scale(1), Versioned(1, 1)),
        (Versioned(1, 1), Versioned(1, 2)),
        (double, halve),
        (functools.partial(max, 1), functools.partial(max, 2)),
        (Compose([Scale(1), Scale(2)]), Compose([Scale(2), Scale(1)])),
        (ToUndirected("add"), ToUndirected("mean")),
        (Scale(1).forward, Scale(1).__call__),
    ],
)
def test_different_transforms_are_told_apart(one: Any, other: Any) -> None:
    assert describe_transform(one) != describe_transform(other)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Scale(1),
        lambda: Scale(object()),
        lambda: double,
        lambda: Compose([Scale(1), double]),
        lambda: functools.partial(double, 2),
        lambda: object(),
        lambda: Scale(1).forward,
    ],
)
def test_equal_transforms_are_the_same(make: Callable[[], Any]) -> None:
    one, other = make(), make()
    assert describe_transform(one) == describe_transform(other)


def test_the_order_of_a_set_does_not_matter() -> None:
    one, other = {0, 8}, {8, 0}
    assert one == other and list(one) != list(other)
    assert describe_transform(Scale(one)) == describe_transform(Scale(other))


def test_plain_options_are_written_as_they_are() -> None:
    # Stores hold the descriptions of their transforms; another description builds them all again.
    name = f"{Scale.__module__}.Scale"
    for factor in (1, 0.5, (1, 2), [1, "x"], {"a": (0.5, None)}):
        assert describe_transform(Scale(factor)) == f"{name}(factor={factor!r})"


def test_a_version_is_written_behind_the_options() -> None:
    assert describe_transform(Versioned3(1)) == f"{__name__}.Versioned3(factor=1, version=3)"
