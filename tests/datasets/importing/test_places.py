from __future__ import annotations

from pathlib import Path

import pytest

from pyg_stgcn.datasets.importing.places import all_in_splits, find_place

FILES = ["train/wave/x.v2.json", "Test/walk/y.json", "wave/val/z.json"]


@pytest.mark.parametrize(
    ("path", "name", "label", "split"),
    [
        ("train/wave/x.v2.json", "train/wave/x.v2", "wave", "train"),
        ("Test/walk/y.json", "Test/walk/y", "walk", "test"),
        ("wave/validation/z.json", "wave/validation/z", "wave", "val"),
        ("wave/clip1/alphapose-results.json", "wave/clip1", "wave", None),
        ("train/z.json", "train/z", None, "train"),
        ("z.json", "z", None, None),
    ],
)
def test_folders_are_classes_and_splits(
    tmp_path: Path, path: str, name: str, label: str | None, split: str | None
) -> None:
    place = find_place(tmp_path, tmp_path / path, None, folders_are_splits=True)
    assert (place.name, place.label, place.split) == (name, label, split)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    place = find_place(tmp_path, tmp_path / "train/x.json", None, folders_are_splits=False)
    assert (place.label, place.split) == ("train", None)
    paths = [tmp_path / path for path in FILES]
    assert all_in_splits(tmp_path, paths)
    assert not all_in_splits(tmp_path, [*paths, tmp_path / "bus" / "x.json"])


def test_recordings_of_one_path(tmp_path: Path) -> None:
    """The class of recordings in one archive is its folder; frames of two videos lie in theirs."""
    found = find_place(tmp_path, tmp_path / "wave/all.npz", "a", folders_are_splits=False)
    assert (found.name, found.label) == ("wave/all/a", "wave")
    (tmp_path / "walk").mkdir()
    found = find_place(tmp_path, tmp_path / "walk", "a", folders_are_splits=False)
    assert (found.name, found.label) == ("walk/a", "walk")
