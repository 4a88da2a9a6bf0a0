from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io


@pytest.fixture
def make_skeleton_zip(tmp_path: Path) -> Callable[..., Path]:
    """Write a small archive of the same layout as UTD-MHAD's."""

    def make(
        clips: Iterable[tuple[int, int, int]] = ((1, 1, 1), (1, 2, 1), (27, 3, 2), (2, 4, 1)),
        variable: str = "d_skel",
        shape: tuple[int, ...] = (20, 3, 9),
        name: str = "Skeleton.zip",
    ) -> Path:
        path = tmp_path / name
        rng = np.random.default_rng(0)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("Skeleton/", "")
            archive.writestr("Skeleton/Skeleton_joint_order.txt", "1. head;")
            for action, subject, trial in clips:
                file = io.BytesIO()
                scipy.io.savemat(file, {variable: rng.normal(size=shape)})
                member = f"Skeleton/a{action}_s{subject}_t{trial}_skeleton.mat"
                archive.writestr(member, file.getvalue())
        return path

    return make


def annotation(name: str, label: int = 0, shape: tuple[int, ...] = (1, 6, 25, 3)) -> dict[str, Any]:
    """A valid annotation; other data for every name."""
    rng = np.random.default_rng(sum(name.encode()))
    return {
        "frame_dir": name,
        "label": label,
        "total_frames": shape[1],
        "keypoint": rng.uniform(0.5, 1.5, size=shape).astype(np.float16),
    }


@pytest.fixture
def make_annotation() -> Callable[..., dict[str, Any]]:
    return annotation


@pytest.fixture
def make_pickle(tmp_path: Path) -> Callable[..., Path]:
    """Write a pickle; without contents, a valid one of four clips."""

    def make(
        content: Any = None, name: str = "data.pkl", protocol: int = 4, **entries: Any
    ) -> Path:
        if content is None:
            content = {
                "split": {"xsub_train": ["a", "b"], "xsub_val": ["c", "d"]},
                "annotations": [annotation(n, label=i % 3) for i, n in enumerate("abcd")],
            }
            content.update(entries)
        path = tmp_path / name
        path.write_bytes(pickle.dumps(content, protocol))
        return path

    return make


def recording(*frames: Mapping[int, np.ndarray]) -> bytes:
    """The text of a ``.skeleton`` file: for every frame, the joints [25, 3] by body."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body, joints in bodies.items():
            lines += [f"{72057594037931101 + body} 0 1 1 0 1 0 -0.027 0.057 2", "25"]
            for number, (x, y, z) in enumerate(joints):
                state = number % 3
                lines.append(f"{x} {y} {z} 277.4 191.8 1036.2 519.1 -0.2 0.05 0.96 -0.1 {state}")
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture
def make_recording() -> Callable[..., bytes]:
    return recording
