"""Inputs of 2-D joints without scores, and as fractions of the image."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.transforms import DropScore, PreNormalize2D, ToFractions, standard_transform

COCO = get_skeleton("coco17")


def test_fractions_are_pixels_by_the_size_of_the_image(clips: SimpleNamespace) -> None:
    clip = clips.flat(frames=40)
    clip.x[3, 5:9] = 0
    height, width = clip.image_size.view(2)
    expected = clip.x[..., :2] / torch.stack([width, height])
    found = ToFractions()(PreNormalize2D()(clip.clone()))
    assert not found.present.all()
    torch.testing.assert_close(found.x[..., :2], expected * found.present.unsqueeze(-1))
    assert torch.equal(found.x[..., 2], clip.x[..., 2])


@pytest.mark.parametrize("stream", ["joint", "bone", "joint-motion", "bone-motion+joint"])
def test_without_scores_the_other_channels_are_the_same(
    clips: SimpleNamespace, stream: str
) -> None:
    clip = clips.flat(frames=40)
    clip.x[3, 5:9] = 0
    options = {"stream": stream, "clip_frames": 16, "train": False, "has_score": True}
    scored = standard_transform(COCO, **options)(clip.clone()).x
    plain = standard_transform(COCO, **options, use_score=False)(clip.clone()).x
    positions = [part[..., :2] for part in scored.split(3, dim=-1)]
    assert torch.equal(plain, torch.cat(positions, dim=-1))


def test_a_clip_that_has_no_scores(clips: SimpleNamespace) -> None:
    clip = clips.flat(frames=40)
    clip.x = clip.x[..., :2]
    assert torch.equal(DropScore()(clip.clone()).x, clip.x)


def test_clips_in_space_are_refused(clips: SimpleNamespace) -> None:
    for step in (DropScore(), ToFractions()):
        with pytest.raises(InputError, match="no image_size"):
            step(clips.random())
    for option in ({"use_score": False}, {"fractions": True}):
        with pytest.raises(InputError, match=rf"^{next(iter(option))}: is for 2-D clips"):
            standard_transform(
                COCO, stream="joint", clip_frames=9, train=True, has_score=False, **option
            )


def test_fractions_come_after_the_augmentations(clips: SimpleNamespace) -> None:
    """A rotation about the centre of the image, not about its corner."""
    clip = clips.flat(frames=40)
    options = {"stream": "joint", "clip_frames": 16, "train": True, "has_score": True}
    torch.manual_seed(1)
    expected = standard_transform(COCO, **options, rotation=1.0)(clip.clone())
    torch.manual_seed(1)
    found = standard_transform(COCO, **options, rotation=1.0, fractions=True)(clip.clone())
    shown = (expected.x[..., :2] != 0).any(dim=-1)
    torch.testing.assert_close(found.x[shown][:, :2], (expected.x[shown][:, :2] + 1) / 2)
