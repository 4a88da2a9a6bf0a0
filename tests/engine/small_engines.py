"""Files of small models, and poses for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.recognition import engine_bytes
from tests.reference.small_models import short

JOINTS, CLIP, CLASSES = 17, 9, ["sit", "stand", "wave", "walk"]


def content_of(name: str, planar: bool = False) -> bytes:
    steps = {"stream": "joint", "clip_frames": CLIP, "has_score": planar}
    return engine_bytes(short(name, JOINTS), CLASSES, steps)


def poses(frames: int = CLIP) -> NDArray[np.float32]:
    """One person, as raw frames and, with the axes of joints and frames changed, prepared ones."""
    shape = (frames, JOINTS, 3)
    return np.random.default_rng(frames).uniform(0.1, 1, shape).astype(np.float32)


def prepared() -> NDArray[Any]:
    return poses().transpose(1, 0, 2)
