from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyg_stgcn.datasets import SBU
from pyg_stgcn.datasets.sbu import FOLDS
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton


def text_of(keypoint: np.ndarray) -> str:
    """The text of a ``skeleton_pos.txt`` with the joints [2, T, 15, 3]."""
    lines = []
    for frame in range(keypoint.shape[1]):
        numbers = keypoint[:, frame].reshape(-1).tolist()
        lines.append(",".join([str(frame + 1), *map(repr, numbers)]))
    return "\n".join(lines) + "\n"


def place(folder: Path, name: str, keypoint: np.ndarray) -> Path:
    file = folder.joinpath(*name.split("_"), "skeleton_pos.txt")
    file.parent.mkdir(parents=True)
    file.write_text(text_of(keypoint))
    return file


def random_clip(name: str) -> np.ndarray:
    rng = np.random.default_rng(list(name.encode()))
    return rng.uniform(0.1, 1, (2, int(rng.integers(3, 9)), 15, 3)).astype(np.float32)


def check_arrays(dataset: SBU, expected: dict[str, np.ndarray]) -> None:
    assert dataset.names == list(expected)
    for data in dataset:
        x = data.x.view(2, 15, -1, 3).transpose(1, 2)
        assert np.array_equal(x, expected[data.name])


def test_the_pickle_and_the_original_format_agree(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "data/sbu/sbu.pkl"
    content = pickle.loads(source.read_bytes())
    from_pickle = SBU(tmp_path / "a", split="all", source=source)
    assert from_pickle.classes == content["meta"]["classes"]
    assert from_pickle.skeleton == get_skeleton("sbu15")
    assert (len(from_pickle), set(from_pickle.num_persons)) == (282, {2})
    arrays = {item["frame_dir"]: item["keypoint"] for item in content["annotations"]}
    check_arrays(from_pickle, arrays)

    half = dict(list(arrays.items())[::2])
    for name, keypoint in half.items():
        place(tmp_path / "originals", name, keypoint)
    originals = SBU(tmp_path / "b", split="all", source=tmp_path / "originals")
    check_arrays(originals, half)
    labels = {item["frame_dir"]: item["label"] for item in content["annotations"]}
    assert originals.labels.tolist() == [labels[name] for name in half]
    assert originals.benchmarks == from_pickle.benchmarks
    for fold in originals.benchmarks:
        for split in ("train", "val"):
            part = SBU(tmp_path / "b", fold, split)
            published = content["split"][f"{fold}_{split}"]
            assert part.names == [name for name in published if name in half]


def test_every_pair_is_judged_once() -> None:
    pairs = [pair for fold in FOLDS for pair in fold]
    assert len(pairs) == len(set(pairs)) == 21


@pytest.mark.parametrize("within", ["s01s02/", ""])
def test_archives_of_the_pairs(tmp_path: Path, within: str) -> None:
    names = ["s01s02_01_001", "s01s02_08_002"]
    other = "s02s03_03_001"
    folder = tmp_path / "raw/sbu"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "s01s02.zip", "w") as archive:
        for name in names:
            _, action, take = name.split("_")
            member = f"{within}{action}/{take}/skeleton_pos.txt"
            archive.writestr(member, text_of(random_clip(name)))
            archive.writestr(member.replace("skeleton_pos.txt", "rgb_000001.png"), b"")
    place(folder, other, random_clip(other))
    dataset = SBU(tmp_path, split="all")
    check_arrays(dataset, {name: random_clip(name) for name in [*names, other]})
    assert dataset.labels.tolist() == [0, 7, 2]
    assert SBU(tmp_path, "fold1", "val").names == names
    assert SBU(tmp_path, "fold2", "val").names == [other]


def edit(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (edit("\n2,", "\n"), r"skeleton_pos.txt: line 2 has 90 numbers; a frame has 91"),
        (edit("\n2,", "\n2,x,"), r"line 2 has 92 numbers"),
        (edit(",0.", ",zero."), r"line 1 holds something else than numbers .*'zero"),
        (edit(",0.", ",nan,0."), r"line 1 has 92 numbers"),
        (lambda text: text.replace(",0.", ",1e99 ,0.", 1)[:-4], r"line 1 has 92 numbers"),
        (lambda text: "", r"clip 's01s02_01_001' is empty: 2 persons, 0 frames"),
        (lambda text: text.replace("0.", "nan", 1), r"has 1 joints that are NaN|something else"),
        (lambda text: "\0\xff" + text, r"line 1 "),
    ],
)
def test_a_damaged_file(tmp_path: Path, harm: Callable[[str], str], message: str) -> None:
    file = place(tmp_path / "originals", "s01s02_01_001", random_clip("a"))
    file.write_text(harm(file.read_text()), encoding="latin1")
    with pytest.raises(InputError, match=message):
        SBU(tmp_path / "root", split="all", source=tmp_path / "originals")
    assert list((tmp_path / "root").rglob("*.npy")) == []


def test_files_in_other_places(tmp_path: Path) -> None:
    originals = tmp_path / "originals"
    file = place(originals, "s01s02_01_001", random_clip("a"))
    (originals / "skeleton_pos.txt").write_bytes(file.read_bytes())
    with pytest.raises(InputError, match=r"originals/skeleton_pos.txt: does not lie in folders"):
        SBU(tmp_path / "root", source=originals)
    (originals / "skeleton_pos.txt").unlink()
    (originals / "again").mkdir()
    place(originals / "again", "s01s02_01_001", random_clip("a"))
    with pytest.raises(InputError, match=r"the same clip as .*; take one of them away"):
        SBU(tmp_path / "root", source=originals)
    (tmp_path / "a.txt").touch()
    with pytest.raises(InputError, match=r"a.txt: sbu is read from a folder or .zip of skeleton_"):
        SBU(tmp_path / "root", source=tmp_path / "a.txt")
