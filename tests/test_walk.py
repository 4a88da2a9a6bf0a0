from __future__ import annotations

import os
from pathlib import Path

from pyg_stgcn.datasets.readers.raw_files import list_raw_files
from pyg_stgcn.datasets.store.fingerprint import same_source, source_fingerprint
from pyg_stgcn.walk import walk


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"clip")


def found(source: Path) -> list[str]:
    return sorted(str(file.path.relative_to(source)) for file in list_raw_files(source, ".raw"))


def test_linked_folders_are_read(tmp_path: Path) -> None:
    source, elsewhere = tmp_path / "source", tmp_path / "elsewhere"
    write(source / "a/1.raw")
    write(elsewhere / "inner/2.raw")
    before = source_fingerprint(source, (".raw",))
    (source / "linked").symlink_to(elsewhere)
    assert found(source) == ["a/1.raw", "linked/inner/2.raw"]
    assert source_fingerprint(source, (".raw",))["files"] == 2
    assert not same_source(source, before, (".raw",))
    after = source_fingerprint(source, (".raw",))
    write(elsewhere / "3.raw")
    assert not same_source(source, after, (".raw",))


def test_the_source_itself_may_be_a_link(tmp_path: Path) -> None:
    write(tmp_path / "there/inner/1.raw")
    (tmp_path / "source").symlink_to(tmp_path / "there")
    assert found(tmp_path / "source") == ["inner/1.raw"]


def test_links_in_a_circle_end_and_a_folder_comes_once(tmp_path: Path) -> None:
    source, elsewhere = tmp_path / "source", tmp_path / "elsewhere"
    write(source / "z/1.raw")
    write(elsewhere / "2.raw")
    # Sorted before what they lead to; the folder itself still goes first.
    (source / "a").symlink_to(source / "z")
    (source / "z/up").symlink_to(source)
    (elsewhere / "back").symlink_to(source)
    (source / "b").symlink_to(elsewhere)
    (source / "c").symlink_to(elsewhere)
    (source / "nowhere").symlink_to(tmp_path / "missing")
    assert found(source) == ["b/2.raw", "z/1.raw"]
    parents = [os.path.realpath(parent) for parent, _ in walk(source)]
    assert len(parents) == len(set(parents)) == 3


def test_a_link_to_what_is_inside_changes_nothing(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write(source / "z/1.raw")
    before = source_fingerprint(source, (".raw",))
    (source / "a").symlink_to(source / "z")
    assert source_fingerprint(source, (".raw",)) == before
