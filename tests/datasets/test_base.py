from __future__ import annotations

import copy
import logging
import os
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import BaseTransform

from pyg_stgcn.datasets.base import SkeletonDataset
from pyg_stgcn.datasets.readers.reading import BadClip, ClipSource
from pyg_stgcn.datasets.store.clip_store import Clip, ClipStore
from pyg_stgcn.datasets.store.duplicates import first_copies
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton

CHAIN = Skeleton("chain", ("a", "b", "c"), ((0, 1), (2, 1)), center=1)
NUM_CLIPS = 12


def keypoint(i: int) -> np.ndarray:
    rng = np.random.default_rng(i)
    return rng.normal(size=(1 + i % 2, 4 + i, 3, 2)).astype(np.float32)


class Toy(SkeletonDataset):
    """Twelve clips of one or two persons, read from no file."""

    name = "toy"
    reads = 0
    pause = 0.0

    def read(self) -> ClipSource:
        type(self).reads += 1
        names = [f"clip {i}" for i in range(NUM_CLIPS)]
        return ClipSource(
            skeleton=CHAIN,
            classes=["x", "y", "z"],
            splits={"odd_train": names[1::2], "odd_val": names[::2], "few_train": names[:2]},
            clips=self._clips(),
        )

    def _clips(self) -> Iterator[Clip]:
        for i in range(NUM_CLIPS):
            time.sleep(self.pause)
            yield Clip(f"clip {i}", i % 3, keypoint(i))


class ToyFile(Toy):
    """The same, from a file."""

    name = "toy-file"

    @property
    def raw_file_names(self) -> list[str]:
        return ["toy.bin"]


@pytest.fixture(autouse=True)
def _count_from_zero() -> None:
    Toy.reads = ToyFile.reads = 0


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "toy.bin"
    path.write_bytes(b"first")
    return path


def store_folder(dataset: SkeletonDataset) -> Path:
    return Path(dataset.processed_dir) / dataset.name


def test_an_item_is_a_temporal_graph(tmp_path: Path) -> None:
    dataset = Toy(tmp_path, split="all")
    data = dataset[3]
    expected = keypoint(3)
    assert data.x.shape == (2 * 3, 7, 2)
    assert data.x.dtype == torch.float32
    for person, frame, joint in ((0, 0, 0), (1, 6, 2), (0, 3, 1)):
        node = person * 3 + joint
        assert np.array_equal(data.x[node, frame], expected[person, frame, joint])
    edges = {tuple(edge) for edge in data.edge_index.T.tolist()}
    assert edges == {(0, 1), (1, 0), (2, 1), (1, 2), (3, 4), (4, 3), (5, 4), (4, 5)}
    assert data.edge_index.shape == (2, 8)
    assert (data.y.tolist(), data.num_persons, data.name) == ([0], 2, "clip 3")
    assert "image_size" not in data
    data.validate(raise_on_error=True)


def test_metadata_of_a_dataset(tmp_path: Path) -> None:
    dataset = Toy(tmp_path)
    assert dataset.skeleton == CHAIN
    assert (dataset.classes, dataset.num_classes) == (["x", "y", "z"], 3)
    assert (dataset.num_channels, dataset.num_node_features, dataset.has_score) == (2, 2, False)
    assert (dataset.benchmarks, dataset.benchmark) == (("odd", "few"), "odd")
    assert dataset.labels.tolist() == [1, 0, 2, 1, 0, 2]
    assert dataset.labels.dtype == np.int64
    assert dataset.names == [f"clip {i}" for i in range(1, NUM_CLIPS, 2)]
    assert dataset.num_frames.tolist() == [5, 7, 9, 11, 13, 15]
    assert dataset.num_persons.tolist() == [2] * 6
    assert str(dataset) == "Toy(6)"


def test_splits_and_benchmarks(tmp_path: Path) -> None:
    assert len(Toy(tmp_path, split="val")) == 6
    assert len(Toy(tmp_path, split="all")) == NUM_CLIPS
    assert Toy(tmp_path, "few").names == ["clip 0", "clip 1"]
    with pytest.raises(InputError, match=r"benchmark 'few' has no val clips"):
        Toy(tmp_path, "few", "val")
    with pytest.raises(
        InputError, match=r"benchmark 'xsub' does not exist in toy; it has: odd, few"
    ):
        Toy(tmp_path, "xsub")
    with pytest.raises(
        InputError,
        match=r"toy: split 'test' does not exist; choose one of train, val, odd_train, odd_val, "
        r"few_train, all",
    ):
        Toy(tmp_path, split="test")
    assert Toy(tmp_path, "few", "odd_val").names == Toy(tmp_path, split="val").names
    assert Toy(tmp_path).splits == {"odd_train": 6, "odd_val": 6, "few_train": 2}
    with pytest.raises(InputError, match=r"toy has no source file; leave out --source"):
        Toy(tmp_path, source=tmp_path)


def test_parts_of_a_dataset(tmp_path: Path) -> None:
    dataset = Toy(tmp_path, split="all")
    mask = dataset.labels == 2
    for part, expected in (
        (dataset[2:5], [2, 3, 4]),
        (dataset[0.75:], [9, 10, 11]),
        (dataset[[5, 1]], [5, 1]),
        (dataset[torch.tensor([7, 0])], [7, 0]),
        (dataset[torch.from_numpy(mask)], [2, 5, 8, 11]),
        (dataset[mask], [2, 5, 8, 11]),
        (dataset.index_select([4]), [4]),
        (dataset[2:8][1:3], [3, 4]),
        (dataset.copy([1, 2]), [1, 2]),
        (dataset.copy(), list(range(NUM_CLIPS))),
    ):
        assert part.names == [f"clip {i}" for i in expected]
        assert part.labels.tolist() == [i % 3 for i in expected]
        assert [data.name for data in part] == part.names
        assert part.num_classes == 3
        assert part.y.equal(torch.cat([data.y for data in part]))
    shuffled, order = dataset.shuffle(return_perm=True)
    assert shuffled.names == [dataset.names[i] for i in order]
    assert len(dataset) == NUM_CLIPS


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda dataset: pickle.loads(pickle.dumps(dataset))]
)
def test_copies_give_the_same_items_from_the_same_file(tmp_path: Path, duplicate: Any) -> None:
    dataset = Toy(tmp_path)[1:4]
    other = duplicate(dataset)
    assert len(pickle.dumps(dataset)) < 10_000
    assert other.names == dataset.names
    for ours, theirs in zip(other, dataset, strict=True):
        assert torch.equal(ours.x, theirs.x)


def test_items_are_the_users_own(tmp_path: Path) -> None:
    dataset = Toy(tmp_path)
    before = dataset[0].clone()
    changed = dataset[0]
    changed.x.zero_()
    changed.edge_index.zero_()
    assert torch.equal(dataset[0].x, before.x)
    assert torch.equal(dataset[0].edge_index, before.edge_index)


def first_frames(data: Data) -> Data:
    data.x = data.x[:, :4]
    return data


def test_workers_give_the_same_items(tmp_path: Path) -> None:
    dataset = Toy(tmp_path, transform=first_frames)
    alone = list(DataLoader(dataset, batch_size=4))
    together = list(DataLoader(dataset, batch_size=4, num_workers=2))
    assert len(alone) == len(together) == 2
    for one, other in zip(alone, together, strict=True):
        assert one.name == other.name
        for key in ("x", "edge_index", "y", "batch", "ptr", "num_persons"):
            assert torch.equal(one[key], other[key])


def halve(data: Data) -> Data:
    data.x = data.x[:, ::2] / 2
    return data


def test_transform_and_pre_transform(tmp_path: Path) -> None:
    expected = torch.from_numpy(keypoint(1)).transpose(1, 2).reshape(6, 5, 2)[:, ::2] / 2
    later = Toy(tmp_path, transform=halve)
    assert torch.equal(later[0].x, expected)
    assert later.num_frames[0] == 5
    before = Toy(tmp_path, pre_transform=halve)
    assert torch.equal(before[0].x, expected)
    assert before.num_frames[0] == 3
    assert Toy.reads == 2


class Scale(BaseTransform):
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def forward(self, data: Data) -> Data:
        data.x = data.x * self.factor
        return data


def test_another_pre_transform_builds_again(tmp_path: Path) -> None:
    for factor, reads in ((2.0, 1), (2.0, 1), (3.0, 2)):
        dataset = Toy(tmp_path, split="all", pre_transform=Scale(factor))
        assert Toy.reads == reads
        assert np.allclose(dataset[0].x[0, :, 0], factor * keypoint(0)[0, :, 0, 0])


def two_persons(data: Data) -> bool:
    return data.num_persons == 2


def test_a_pre_filter_decides_what_is_stored(tmp_path: Path) -> None:
    odd = [f"clip {i}" for i in range(1, NUM_CLIPS, 2)]
    shapes: list[torch.Size] = []

    def filter_first(data: Data) -> Data:
        shapes.append(data.x.shape)
        return halve(data)

    dataset = Toy(tmp_path, split="all", pre_filter=two_persons, pre_transform=filter_first)
    assert dataset.names == odd
    assert dataset.skipped == {}
    # As in PyG, the transform sees what the filter keeps.
    assert len(shapes) == len(odd)
    assert Toy(tmp_path, pre_filter=two_persons).splits == {
        "odd_train": 6,
        "odd_val": 0,
        "few_train": 1,
    }
    with pytest.raises(InputError, match=r"pre_filter: keeps none of 12 clips"):
        Toy(tmp_path, pre_filter=lambda data: False)


class AtLeast(BaseTransform):
    def __init__(self, frames: int) -> None:
        self.frames = frames

    def forward(self, data: Data) -> bool:
        return bool(data.x.size(1) >= self.frames)


def test_another_pre_filter_builds_again(tmp_path: Path) -> None:
    for pre_filter, clips, reads in (
        (None, 12, 1),
        (AtLeast(10), 6, 2),
        (AtLeast(10), 6, 2),
        (AtLeast(12), 4, 3),
        (two_persons, 6, 4),
        (None, 12, 5),
    ):
        assert len(Toy(tmp_path, split="all", pre_filter=pre_filter)) == clips
        assert Toy.reads == reads


def test_functions_that_share_a_name_are_doubtful(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def build(number: int) -> None:
        Toy(tmp_path, split="all", pre_filter=lambda data: data.num_persons == number)

    build(1)
    assert "<lambda>" not in caplog.text
    build(2)
    assert "<lambda>" in caplog.text and "force_reload=True" in caplog.text
    caplog.clear()
    for _ in range(2):
        Toy(tmp_path, split="all", pre_filter=two_persons)
    assert "force_reload=True" not in caplog.text


def test_a_log_says_what_takes_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As PyG does, datasets keep quiet in tests.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    for log, said in ((False, ""), (True, "Processing toy...\nDone!\n")):
        Toy(tmp_path / str(log), log=log)
        assert capsys.readouterr().err == said
        Toy(tmp_path / str(log))
        assert capsys.readouterr().err == ""


def add_attribute(data: Data) -> Data:
    data.speed = 1
    return data


def drop_edge(data: Data) -> Data:
    data.edge_index = data.edge_index[:, 1:]
    return data


@pytest.mark.parametrize(
    ("pre_transform", "message"), [(add_attribute, "attributes speed"), (drop_edge, "the bones")]
)
def test_a_pre_transform_whose_result_cannot_be_kept(
    tmp_path: Path, pre_transform: Callable[[Data], Data], message: str
) -> None:
    with pytest.raises(InputError, match=rf"pre_transform .*{message}.*use it as transform"):
        Toy(tmp_path, pre_transform=pre_transform)


def test_the_store_is_built_once_and_without_pickles(tmp_path: Path) -> None:
    Toy(tmp_path)
    Toy(tmp_path, split="val")
    assert Toy.reads == 1
    Toy(tmp_path, force_reload=True)
    assert Toy.reads == 2
    files = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {".npy", ".json", ".lock"}


def test_a_source_that_has_changed_is_read_again(tmp_path: Path, source: Path) -> None:
    root = tmp_path / "root"
    ToyFile(root, source=source)
    ToyFile(root, source=source)
    os.utime(source, (1, 1))
    ToyFile(root, source=source)
    assert ToyFile.reads == 1, "the same contents at another time are no change"
    source.write_bytes(b"other")
    ToyFile(root, source=source)
    assert ToyFile.reads == 2


def test_other_contents_of_the_same_size_and_time_are_noticed(tmp_path: Path, source: Path) -> None:
    root = tmp_path / "root"
    ToyFile(root, source=source)
    stat = source.stat()
    source.write_bytes(b"fir5t")
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert source.stat().st_mtime_ns == stat.st_mtime_ns
    ToyFile(root, source=source)
    assert ToyFile.reads == 2


def test_a_source_that_changes_while_it_is_read_is_read_again(tmp_path: Path, source: Path) -> None:
    class Changing(ToyFile):
        def read(self) -> ClipSource:
            found = super().read()
            if type(self).reads == 1:
                source.write_bytes(b"other")
            return found

    Changing(tmp_path / "root", source=source)
    Changing(tmp_path / "root", source=source)
    Changing(tmp_path / "root", source=source)
    assert Changing.reads == 2


def test_a_damaged_header_is_read_again(
    tmp_path: Path, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = ToyFile(tmp_path / "root", source=source)
    names = sorted(path.name for path in store_folder(dataset).glob("*.npy"))
    for name in names:
        path = store_folder(dataset) / name
        # Closes a bracket too early: NumPy's reader of headers would raise a SyntaxError.
        path.write_bytes(path.read_bytes().replace(b"(", b")", 1))
        again = ToyFile(tmp_path / "root", source=source)
        assert f"{name}: damaged, its header" in caplog.text
        assert torch.equal(again[5].x, dataset[5].x)
    assert ToyFile.reads == 1 + len(names) > 4


def test_a_folder_of_the_user_stays_where_it_is(tmp_path: Path) -> None:
    own = tmp_path / "processed/toy"
    own.mkdir(parents=True)
    (own / "notes.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(InputError, match=rf"{own}: .* is not replaced; .*--root"):
            Toy(tmp_path, force_reload=force)
    assert (own / "notes.txt").read_text() == "mine"
    assert Toy.reads == 0


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_of_dots_has_a_folder_of_its_own(tmp_path: Path, name: str) -> None:
    Toy(tmp_path)

    class Dots(Toy):
        pass

    Dots.name = name
    assert len(Dots(tmp_path)) == len(Dots(tmp_path)) == len(Toy(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["processed"]
    assert (tmp_path / "processed/toy/meta.json").exists()


def test_a_store_outlives_its_source(tmp_path: Path, source: Path) -> None:
    ToyFile(tmp_path / "root", source=source)
    source.unlink()
    assert len(ToyFile(tmp_path / "root")) == 6


def test_a_damaged_store_is_built_again_where_it_can(
    tmp_path: Path, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = ToyFile(tmp_path / "root", source=source)
    os.truncate(store_folder(dataset) / "keypoint.npy", 200)
    with caplog.at_level(logging.WARNING):
        again = ToyFile(tmp_path / "root", source=source)
    assert torch.equal(again[5].x, torch.from_numpy(keypoint(11)).transpose(1, 2).reshape(6, 15, 2))
    assert "building the store again" in caplog.text
    assert "keypoint.npy: damaged, 200 bytes" in caplog.text


def test_a_damaged_store_without_a_source_is_refused(tmp_path: Path, source: Path) -> None:
    dataset = ToyFile(tmp_path / "root", source=source)
    os.truncate(store_folder(dataset) / "keypoint.npy", 200)
    source.unlink()
    with pytest.raises(
        InputError,
        match=r"cannot be used \(.*keypoint.npy: damaged.*cannot be built again: .*no such",
    ):
        ToyFile(tmp_path / "root")
    assert store_folder(dataset).exists()


def test_datasets_share_a_root(tmp_path: Path, source: Path) -> None:
    for _ in range(2):
        Toy(tmp_path / "root")
        ToyFile(tmp_path / "root", source=source)
    assert (Toy.reads, ToyFile.reads) == (1, 1)


def test_two_processes_build_one_store(tmp_path: Path, children: Any) -> None:
    class Slow(Toy):
        pause = 0.03

    def open_and_tell() -> tuple[int, str, float]:
        dataset = Slow(tmp_path, split="all")
        return Slow.reads, dataset._store.meta["id"], float(dataset[7].x.sum())

    for _ in range(3):
        children.start(open_and_tell)
    results = [children.result() for _ in range(3)]
    assert sorted(reads for reads, _, _ in results) == [0, 0, 1]
    assert len({result[1:] for result in results}) == 1


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"store cannot be written .*--root"):
        Toy(tmp_path / "file")


class Worn(SkeletonDataset):
    """200 clips, some of which cannot be used and some of which are copies."""

    name = "worn"
    bad: tuple[int, ...] = (7, 150)

    def read(self) -> ClipSource:
        names = [f"clip {i}" for i in range(200)]
        splits = {"x_train": names[:120], "x_val": names[120:], "y_train": names}
        return ClipSource(CHAIN, ["a", "b"], splits, self._clips(), total=200)

    def _clips(self) -> Iterator[Clip | BadClip]:
        for i in range(200):
            if i in self.bad[:1]:
                yield BadClip(f"clip {i}", f"line 3 of clip {i} is missing")
            elif i in self.bad:
                yield Clip(f"clip {i}", 0, np.full((1, 2, 3, 2), np.nan))
            else:
                # 130 and 131 are recordings of 5, and 140 is a recording of 139.
                original = {130: 5, 131: 5, 140: 139}.get(i, i)
                yield Clip(f"clip {i}", i % 2, keypoint(original))


def test_a_few_bad_clips_are_left_out_with_a_report(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = Worn(tmp_path, split="all")
    assert len(dataset) == 198
    assert set(dataset.skipped) == {"clip 7", "clip 150"}
    assert dataset.skipped["clip 7"] == "line 3 of clip 7 is missing"
    assert "NaN" in dataset.skipped["clip 150"]
    assert dataset.split_sizes("x") == {"train": 119, "val": 79}
    assert (
        "worn: 2 of 200 clips cannot be used and are left out:\n  clip 7: line 3 of clip 7 is"
        in (caplog.text)
    )
    assert "\n  clip 'clip 150' has 6 joints that are NaN" in caplog.text
    assert Worn(tmp_path, split="all").skipped == dataset.skipped


def test_strict_refuses_what_is_otherwise_left_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 3 of clip 7 is missing"):
        Worn(tmp_path / "new", strict=True)
    assert not list((tmp_path / "new").rglob("*.npy"))
    lenient = Worn(tmp_path)
    with pytest.raises(InputError, match="line 3 of clip 7 is missing"):
        Worn(tmp_path, strict=True)
    assert len(Worn(tmp_path)) == len(lenient), "the store that was there is not lost"


class Worse(Worn):
    bad = (7, 8, 9)


def test_many_bad_clips_are_an_error(tmp_path: Path) -> None:
    message = (
        r"clip 7 is missing; 2 more of 10 clips cannot be used; leave them out with --skip-bad"
    )
    with pytest.raises(InputError, match=message):
        Worse(tmp_path)
    assert not list(tmp_path.rglob("*.npy"))


def test_any_number_of_bad_clips_is_left_out_on_demand(tmp_path: Path) -> None:
    dataset = Worse(tmp_path, split="all", skip_bad=True)
    assert set(dataset.skipped) == {"clip 7", "clip 8", "clip 9"}
    assert len(Worse(tmp_path, split="all")) == 197, "the store that was built so is used"
    with pytest.raises(InputError, match=r"strict .*skip_bad .*one of the two"):
        Worse(tmp_path, skip_bad=True, strict=True)


def test_a_dataset_without_a_good_clip_is_an_error(tmp_path: Path) -> None:
    class Worst(Worn):
        bad = tuple(range(200))

    with pytest.raises(InputError, match=r"199 more of 200 clips cannot be used$"):
        Worst(tmp_path, skip_bad=True)
    assert not list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize("bad", [1, 100, 101])
def test_half_of_the_clips_of_a_user_may_be_bad(
    tmp_path: Path, bad: int, caplog: pytest.LogCaptureFixture
) -> None:
    class Own(Worn):
        def read(self) -> ClipSource:
            return replace(super().read(), own=True)

    Own.bad = tuple(range(1, bad + 1))
    if bad == 101:
        with pytest.raises(InputError, match=r"100 more of 200 .*; leave them out with --skip-bad"):
            Own(tmp_path)
        assert not list(tmp_path.rglob("*.npy"))
    dataset = Own(tmp_path, split="all", skip_bad=bad == 101)
    assert (len(dataset), len(dataset.skipped)) == (200 - bad, bad)
    assert f"worn: {bad} of 200 clips cannot be used" in caplog.text
    shown = caplog.text.count("joints that are NaN") + caplog.text.count("is missing")
    assert shown == min(bad, 10)
    assert (f"and {bad - 10} more; 'pyg-stgcn datasets info'" in caplog.text) == (bad > 10)


def test_copies_of_clips_are_found_reported_and_left_out_on_demand(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = Worn(tmp_path, "x", "val")
    assert dataset.duplicates == [["clip 5", "clip 130", "clip 131"], ["clip 139", "clip 140"]]
    assert dataset.leaks("x") == ["clip 130", "clip 131"]
    assert dataset.leaks("y") == []
    assert "2 validation clips of benchmark x are exact copies of training clips" in caplog.text
    clean = Worn(tmp_path, "x", "val", drop_leaks=True)
    assert sorted(set(dataset.names) - set(clean.names)) == ["clip 130", "clip 131"]
    assert clean.split_sizes("x") == {"train": 119, "val": 77}
    assert len(Worn(tmp_path, "x", "train", drop_leaks=True)) == 119


def test_copies_are_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Worn(tmp_path)
    calls = []

    def counted(store: ClipStore) -> NDArray[np.int64]:
        calls.append(store)
        return first_copies(store)

    monkeypatch.setattr("pyg_stgcn.datasets.store.duplicates.first_copies", counted)
    dataset = Worn(tmp_path, "x", "all", drop_leaks=True)
    assert not calls
    sizes = [dataset.split_sizes(benchmark) for benchmark in dataset.benchmarks]
    leaks = [dataset.leaks(benchmark) for benchmark in dataset.benchmarks]
    assert len(sizes) == len(leaks) == 2 and dataset.duplicates
    assert len(calls) == 1
