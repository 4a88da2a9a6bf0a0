"""Windows between the frames of other clips; the coordinates of a frame tell where it is from."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from pyg_stgcn.datasets import SkeletonArrays
from pyg_stgcn.runs.batches import clip_transform, make_loader
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.stream_context import StreamContext

WINDOW, CONTEXT = 8, 12
#: Frames and persons of the clips: shorter and longer than the window, the context, and both.
CLIPS = ((30, 1), (5, 1), (8, 2), (60, 1), (13, 3))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> SkeletonArrays:
    """Joints at (clip + 1, person + 1, frame + 1)."""
    arrays = []
    for number, (frames, persons) in enumerate(CLIPS):
        array = np.ones((persons, frames, 20, 3), np.float32) * (number + 1)
        array[..., 1] = np.arange(persons)[:, None, None] + 1
        array[..., 2] = np.arange(frames)[:, None] + 1
        arrays.append(array)
    return SkeletonArrays(
        tmp_path_factory.mktemp("clips"),
        arrays=arrays,
        labels=[0, 1, 0, 1, 0],
        skeleton="kinect20",
        splits={"train": range(5)},
    )


def sources(data: Data) -> np.ndarray:
    """Clip, person and frame of every frame of every person ``[M, F, 3]``, counted from zero."""
    return data.x.view(data.num_persons, 20, -1, 3)[:, 0].numpy().astype(int) - 1


def is_joined(one: np.ndarray, other: np.ndarray, repeats: bool) -> bool:
    """Whether a frame follows another in its clip, or the first frame of a clip the last of one."""
    follows = one[0] == other[0] and one[2] + 1 == other[2]
    at_end, at_start = one[2] + 1 == CLIPS[one[0]][0], other[2] == 0
    return follows or (at_end and at_start) or (repeats and (at_end or at_start))


@pytest.mark.parametrize("train", [True, False])
def test_the_frames_around_a_window_are_those_of_other_clips(
    clips: SkeletonArrays, train: bool
) -> None:
    place = StreamContext(clips, WINDOW, CONTEXT, train=train)
    starts = set()
    for number in range(20 * len(CLIPS)):
        own = number % len(CLIPS)
        frames, persons = CLIPS[own]
        found = sources(place(clips[own]))
        assert found.shape == (persons, WINDOW + 2 * CONTEXT, 3)
        window = found[:, CONTEXT : CONTEXT + WINDOW]
        assert (window[..., 0] == own).all()
        assert (window[..., 1] == np.arange(persons)[:, None]).all()
        assert (window[..., 2] == (window[:1, :1, 2] + np.arange(WINDOW)) % frames).all()
        starts.add((own, window[0, 0, 2]))
        if frames >= WINDOW and not train:
            assert window[0, 0, 2] == (frames - WINDOW) // 2
        for person in found:
            others = person[person[:, 0] != own]
            assert (
                others[:, 1] == [person[CONTEXT, 1] % CLIPS[clip][1] for clip in others[:, 0]]
            ).all()
            assert all(is_joined(*pair, repeats=frames < WINDOW) for pair in pairwise(person))
        # Persons of a clip stand beside the same clips.
        assert (found[:, :, (0, 2)] == found[:1, :, (0, 2)]).all()
    assert (len(starts) > 20) == train


def test_validation_depends_on_nothing_but_the_clip(clips: SkeletonArrays) -> None:
    place = StreamContext(clips, WINDOW, CONTEXT, train=False)
    first = [place(clips[number]).x for number in range(5)]
    torch.rand(3)
    assert all(torch.equal(place(clips[number]).x, first[number]) for number in range(5))
    assert len({int(x[0, 0, 0]) for x in first}) > 1


def test_training_depends_on_the_seed_and_the_epoch(clips: SkeletonArrays) -> None:
    config = TrainOptions.of(dataset="a", context="stream", clip_frames=WINDOW)
    config = config.with_recipe(5, None)
    clips = clips.copy()
    clips.transform = clip_transform(config, clips, train=True, num_views=1, context=CONTEXT)

    def epoch(number: int, seed: int = 0) -> torch.Tensor:
        loader = make_loader(clips, 2, seed, shuffle=True)
        loader.sampler.set_epoch(number)
        return torch.cat([batch.x for batch in loader])

    assert epoch(1).shape == (20 * 8, WINDOW + 2 * CONTEXT, 3)
    assert torch.equal(epoch(1), epoch(1))
    assert not torch.equal(epoch(1), epoch(2))
    assert not torch.equal(epoch(1), epoch(1, seed=1))


def test_streams_of_bones_and_motion_are_made_of_the_joined_frames(clips: SkeletonArrays) -> None:
    def frames(stream: str) -> torch.Tensor:
        config = TrainOptions.of(dataset="a", stream=stream, clip_frames=WINDOW, scale=False)
        config = config.with_recipe(5, None)
        copy = clips.copy()
        copy.transform = clip_transform(config, copy, train=False, num_views=1, context=CONTEXT)
        return copy[3].x

    joints, motion = frames("joint"), frames("joint-motion")
    torch.testing.assert_close(motion[:, :-1], joints[:, 1:] - joints[:, :-1])
    assert not motion[:, -1].any()
    assert frames("joint+bone").shape == (20, WINDOW + 2 * CONTEXT, 6)
