from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton, list_skeletons
from pyg_stgcn.transforms import STREAMS, PreNormalize3D, ToStream, UniformSample, parse_streams

RECORDINGS = ("S001C001P001R001A001", "S001C001P001R001A005", "S001C001P001R001A050")
NTU = get_skeleton("ntu25")


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize(("stream", "key"), list(zip(STREAMS, ("j", "b", "jm", "bm"), strict=True)))
def test_recordings_equal_golden(
    shared_data: Path, clips: SimpleNamespace, name: str, stream: str, key: str
) -> None:
    clip, golden = clips.recording(shared_data, name)
    output = ToStream(stream, NTU)(PreNormalize3D(NTU, align_spine=False)(clip))
    expected = torch.from_numpy(golden[f"feature/{key}"])
    torch.testing.assert_close(clips.joints(output).double(), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", list_skeletons())
def test_summing_bones_along_the_tree_gives_the_joints(clips: SimpleNamespace, name: str) -> None:
    skeleton = get_skeleton(name)
    clip = clips.random(persons=2, skeleton=name)
    bones = ToStream("bone", skeleton)(clip).x.view(2, skeleton.num_joints, -1, 3)
    joints = clip.x.view_as(bones)
    parents = {child: parent for child, parent in skeleton.stream_bones if child != parent}
    for joint in range(skeleton.num_joints):
        total, at = bones[:, joint].clone(), joint
        while at in parents:
            at = parents[at]
            total += bones[:, at]
        torch.testing.assert_close(total, joints[:, joint] - joints[:, at], rtol=0, atol=1e-5)
    roots = set(range(skeleton.num_joints)) - set(parents)
    assert len(roots) == 1
    assert not bones[:, list(roots)].any()


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 2**32))
def test_summing_motion_gives_the_way(clips: SimpleNamespace, frames: int, seed: int) -> None:
    torch.manual_seed(seed)
    clip = clips.random(frames=frames)
    motion = ToStream("joint-motion", NTU)(clip).x
    assert not motion[:, -1].any()
    torch.testing.assert_close(
        motion.cumsum(1)[:, :-1], clip.x[:, 1:] - clip.x[:, :1], rtol=0, atol=1e-5
    )


def test_scores_of_bones_and_motion(clips: SimpleNamespace) -> None:
    coco = get_skeleton("coco17")
    clip = clips.flat(frames=3)
    score = clip.x[..., 2]
    bone = ToStream("bone", coco)(clip).x
    assert torch.equal(bone[0], torch.stack([torch.zeros(3), torch.zeros(3), score[0]], dim=1))
    torch.testing.assert_close(bone[11, :, 2], (score[11] + score[0]) / 2)
    torch.testing.assert_close(bone[11, :, :2], clip.x[11, :, :2] - clip.x[0, :, :2])
    for stream, still in (("joint-motion", clip.x), ("bone-motion", bone)):
        motion = ToStream(stream, coco)(clip).x
        torch.testing.assert_close(motion[:, 0, 2], (still[:, 0, 2] + still[:, 1, 2]) / 2)
        torch.testing.assert_close(motion[:, 0, :2], still[:, 1, :2] - still[:, 0, :2])
        assert not motion[:, 2].any()


def test_streams_follow_each_other_in_the_channels(clips: SimpleNamespace) -> None:
    clip = clips.random(persons=2)
    before = clip.x.clone()
    joined = ToStream("bone-motion+joint+bone", NTU)(clip).x
    parts = [ToStream(stream, NTU)(clip).x for stream in ("bone-motion", "joint", "bone")]
    assert torch.equal(joined, torch.cat(parts, dim=-1))
    assert torch.equal(clip.x, before)
    assert parse_streams("bone-motion+joint+bone") == ("bone-motion", "joint", "bone")


def test_mistakes(clips: SimpleNamespace) -> None:
    with pytest.raises(
        InputError, match=r"'joints': .* \(did you mean 'joint'\?\); choose one of joint"
    ):
        ToStream("bone+joints", NTU)
    with pytest.raises(InputError, match="stream '': there is no such stream"):
        ToStream("", NTU)
    with pytest.raises(InputError, match="'bone' comes twice"):
        ToStream("bone+bone", NTU)
    with pytest.raises(InputError, match=r"clip_1: 20 joints a person do not fit .*'ntu25'"):
        ToStream("bone", NTU)(clips.random(skeleton="kinect20"))
    with pytest.raises(InputError, match=r"clip_1: .*apply ToStream before UniformSample"):
        ToStream("bone", NTU)(UniformSample(5)(clips.random()))
