from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pyg_stgcn.poses.pose_clip import collect_clip
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.skeletons import Skeleton

CORNERS = Skeleton("corners", ("a", "b", "c"), ((1, 0), (2, 0)), center=0)


def frame(number: int, places: Sequence[float], score: float = 1) -> Frame:
    """Persons of the size 10 at some places."""
    offsets = np.array([[0, 0], [10, 0], [0, 10]], np.float32)
    joints = np.array(places, np.float32).reshape(-1, 1, 1) + offsets
    return Frame(number, joints, np.full(joints.shape[:2], score, np.float32))


def recording(frames: Sequence[Frame], **changes: object) -> Recording:
    values = {"skeleton": CORNERS, "num_channels": 2, "has_score": True} | changes
    return Recording("clip", Path("clip.json"), frames=lambda: iter(frames), **values)


def test_a_gap_becomes_frames_without_persons() -> None:
    frames = [frame(5, [10]), frame(6, [11]), frame(9, [12])]
    clip = collect_clip(recording(frames, fps=10.0, image_size=(480, 640)))
    assert clip.joints.shape == (1, 5, 3, 2)
    assert (clip.scores > 0).any(axis=-1).tolist() == [[True, True, False, False, True]]
    assert clip.joints[0, :, 0, 0].tolist() == [10, 11, 0, 0, 12]
    assert (clip.first_frame, clip.last_frame, clip.start, clip.end) == (5, 9, 0.5, 1.0)
    assert clip.to_array().shape == (1, 5, 3, 3)
    assert np.array_equal(clip.to_array()[..., 2], clip.scores)
