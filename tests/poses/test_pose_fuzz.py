"""Damaged pose files are refused, or read to finite numbers: they raise nothing else."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses import open_poses

RNG = np.random.default_rng(0)
CLIP = (RNG.uniform(10, 400, (3, 17, 3)) / (1, 1, 500)).round(2)
LANDMARKS = [
    [dict(zip(("x", "y", "z", "visibility"), row, strict=True)) for row in frame]
    for frame in RNG.uniform(0.1, 0.9, (3, 33, 4)).round(3).tolist()
]
RESULTS = [
    [{"track_id": 3, "keypoints": dict(zip(("x", "y", "visible"), frame.T.tolist(), strict=True))}]
    for frame in CLIP
]
TABLE = [
    ["frame", "person", *(f"{part}_{joint}" for joint in range(17) for part in "xyv")],
    *([number, 0, *frame.reshape(-1)] for number, frame in enumerate(CLIP)),
]
LABEL = [0, 0.5, 0.5, 0.2, 0.3, *(CLIP[0] / 500).reshape(-1), 0.9, 4]
ANNOTATION = {
    "frame_dir": "a",
    "keypoint": CLIP[None, ..., :2],
    "keypoint_score": CLIP[None, ..., 2],
    "img_shape": (480, 640),
}
WRITERS: dict[str, Callable[[Path], object]] = {
    "a.npy": lambda path: np.save(path, CLIP),
    "a.npz": lambda path: np.savez(path, keypoints=CLIP, fps=3.0, image_size=(480, 640)),
    "a.csv": lambda path: path.write_text("\n".join(",".join(map(str, row)) for row in TABLE)),
    "a.json": lambda path: path.write_text(json.dumps(RESULTS)),
    "b.json": lambda path: path.write_text(json.dumps({"fps": 30, "frames": LANDMARKS})),
    "a_1.txt": lambda path: path.write_text(" ".join(map(str, LABEL))),
    "a.pkl": lambda path: path.write_bytes(pickle.dumps([ANNOTATION])),
}
WORDS = (b"null", b"NaN", b"-1", b"1e400", b'"x"', b"[]", b"{}", b",", b"\n", b"9" * 20, b"\xff")


def damaged(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    kind = rng.random()
    if kind < 0.2:
        return content[:start]
    if kind < 0.4:
        return content[:start] + content[rng.randrange(start, len(content)) :]
    return content[:start] + rng.choice(WORDS) + content[start + rng.randrange(8) :]


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    whole = path.read_bytes()
    assert list(open_poses(path, image_size=(480, 640))[0].frames())
    rng = random.Random(name)
    for _ in range(60):
        path.write_bytes(damaged(whole, rng))
        try:
            for recording in open_poses(path, image_size=(480, 640)):
                for frame in recording.frames():
                    assert np.isfinite(frame.joints).all()
                    assert not frame.joints[frame.scores == 0].any()
        except InputError as error:
            assert str(path) in str(error)
            assert len(str(error)) < 800
