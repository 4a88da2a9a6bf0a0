"""Batches of clips of unequal length."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from pyg_stgcn.datasets import ClipLoader, SkeletonArrays, pad_clips
from pyg_stgcn.errors import InputError
from pyg_stgcn.models import create_model

LENGTHS = (7, 12, 9, 5)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> SkeletonArrays:
    generator = torch.Generator().manual_seed(0)
    arrays = [
        torch.randn(1 + i % 2, frames, 25, 3, generator=generator).numpy()
        for i, frames in enumerate(LENGTHS)
    ]
    return SkeletonArrays(tmp_path_factory.mktemp("root"), arrays, [0, 1, 0, 1], "ntu25")


def test_pygs_loader_needs_equal_lengths(dataset: SkeletonArrays) -> None:
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        next(iter(DataLoader(dataset, batch_size=2)))


def test_shorter_clips_get_empty_frames(dataset: SkeletonArrays) -> None:
    batch = next(iter(ClipLoader(dataset, batch_size=4)))
    assert batch.x.shape == (6 * 25, 12, 3)
    assert batch.num_frames.tolist() == list(LENGTHS)
    assert batch.y.equal(dataset.y)
    assert batch.num_persons.tolist() == [1, 2, 1, 2]
    for number, frames in enumerate(LENGTHS):
        nodes, item = batch.batch == number, dataset[number]
        assert batch.x[nodes, :frames].equal(item.x)
        assert not batch.x[nodes, frames:].any()
        assert batch.present[nodes, :frames].equal(item.present)
        assert not batch.present[nodes, frames:].any()
        assert batch[number].edge_index.equal(item.edge_index)


def test_items_stay_as_they_are_and_need_no_padding_where_equal(dataset: SkeletonArrays) -> None:
    items = [dataset[1], dataset[0], dataset[0]]
    before = [item.clone() for item in items]
    pad_clips(items)
    for item, old in zip(items, before, strict=True):
        assert item.x.equal(old.x)
        assert "num_frames" not in item
    expected = next(iter(DataLoader(items[1:], batch_size=2)))
    assert pad_clips(items[1:]).x.equal(expected.x)


def test_a_network_takes_the_batches(dataset: SkeletonArrays) -> None:
    model = create_model("stgcn", 2, dataset.skeleton, base_channels=4).eval()
    loader = ClipLoader(dataset, 3, shuffle=True, generator=torch.Generator().manual_seed(1))
    sizes = [len(model(batch.x, batch.batch)) for batch in loader]
    assert sizes == [3, 1]


def test_what_is_no_clip_is_refused() -> None:
    with pytest.raises(InputError, match=r"x of shape \(5, 3\): no clip"):
        pad_clips([Data(x=torch.zeros(5, 3))])
    with pytest.raises(InputError, match=r"x of shape None"):
        pad_clips([Data()])
