from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pyg_stgcn.datasets import SkeletonPickle
from pyg_stgcn.runs.batches import EpochSampler, make_loader
from pyg_stgcn.transforms import standard_transform


@pytest.mark.parametrize("num_clips", [10, 11])
def test_processes_divide_the_order_of_one(num_clips: int) -> None:
    one = EpochSampler(num_clips, seed=3, shuffle=True)
    two = [EpochSampler(num_clips, seed=3, shuffle=True, rank=r, world_size=2) for r in (0, 1)]
    for sampler in (one, *two):
        sampler.set_epoch(4)
    whole, (even, odd) = list(one), map(list, two)
    assert sorted(clip for _, clip in whole) == list(range(num_clips))
    assert len(even) == len(odd) == len(two[0]) == -(-num_clips // 2)
    together = [key for pair in zip(even, odd, strict=True) for key in pair]
    assert together[:num_clips] == whole
    assert together[num_clips:] == whole[: num_clips % 2]


def test_a_short_last_step_is_filled_up_only_if_a_process_had_no_clip() -> None:
    def counts(num_clips: int) -> list[int]:
        places = [{"rank": rank, "world_size": 3, "step": 6} for rank in range(3)]
        return [len(list(EpochSampler(num_clips, 0, shuffle=True, **place))) for place in places]

    assert counts(12) == [4, 4, 4]
    assert counts(16) == [6, 5, 5]  # 2 + 1 + 1 clips in the last step
    assert counts(14) == [5, 5, 5]  # two clips, and one again


def test_judging_sees_every_clip_once() -> None:
    parts = [EpochSampler(7, seed=0, shuffle=False, rank=r, world_size=3) for r in range(3)]
    assert sorted(clip for part in parts for _, clip in part) == list(range(7))
    assert [len(part) for part in parts] == [len(list(part)) for part in parts]


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochSampler(50, seed=seed, shuffle=True)
        sampler.set_epoch(epoch)
        torch.rand(1)
        return [clip for _, clip in sampler]

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_batches_do_not_depend_on_the_workers(tiny_pickle: Path, tmp_path: Path) -> None:
    dataset = SkeletonPickle(tiny_pickle, root=tmp_path)
    dataset.transform = standard_transform(
        dataset.skeleton, stream="joint", clip_frames=16, train=True, has_score=False, rotation=0.5
    )

    def epoch(workers: int, number: int) -> torch.Tensor:
        loader = make_loader(dataset, 9, seed=5, shuffle=True, num_workers=workers)
        loader.sampler.set_epoch(number)
        return torch.cat([batch.x for batch in loader])

    alone = epoch(0, 1)
    assert torch.equal(alone, epoch(2, 1))
    assert not torch.equal(alone, epoch(0, 2))
