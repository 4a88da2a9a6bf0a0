from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_stgcn.skeletons import Skeleton, get_skeleton


def make_clip(
    keypoint: Tensor, skeleton: Skeleton, image_size: tuple[int, int] | None = None
) -> Data:
    """A clip from joints of shape (M, T, V, C)."""
    persons, frames, joints, channels = keypoint.shape
    edges = [skeleton.edge_index() + m * joints for m in range(persons)]
    clip = Data(
        x=keypoint.transpose(1, 2).reshape(persons * joints, frames, channels),
        edge_index=torch.cat(edges, dim=1),
        y=torch.tensor([3]),
        num_persons=persons,
        name="clip_1",
    )
    if image_size is not None:
        clip.image_size = torch.tensor([image_size], dtype=torch.float)
    return clip


def joints_of(clip: Data) -> Tensor:
    """The joints of a clip, (M, T, V, C)."""
    nodes, frames, channels = clip.x.shape
    persons = clip.x.view(clip.num_persons, nodes // clip.num_persons, frames, channels)
    return persons.transpose(1, 2)


def random_clip(persons: int = 1, frames: int = 12, skeleton: str = "ntu25") -> Data:
    """Random 3-D joints."""
    layout = get_skeleton(skeleton)
    return make_clip(torch.randn(persons, frames, layout.num_joints, 3), layout)


def flat_clip(frames: int = 12, skeleton: str = "coco17") -> Data:
    """Random 2-D joints with scores, in pixels of an image 100 high and 200 wide."""
    layout = get_skeleton(skeleton)
    keypoint = torch.rand(1, frames, layout.num_joints, 3) * torch.tensor([200.0, 100.0, 1.0])
    return make_clip(keypoint, layout, image_size=(100, 200))


def load_recording(shared_data: Path, name: str) -> tuple[Data, dict[str, np.ndarray]]:
    """A recorded clip and what another toolbox computed from it."""
    with np.load(shared_data / "golden" / "ntu_raw" / f"{name}.npz") as archive:
        golden = {key: archive[key] for key in archive}
    return make_clip(torch.from_numpy(golden["keypoint"]), get_skeleton("ntu25")), golden


@pytest.fixture(scope="session")
def clips() -> SimpleNamespace:
    """Makers of clips; test modules cannot import them from here."""
    return SimpleNamespace(
        make=make_clip,
        joints=joints_of,
        random=random_clip,
        flat=flat_clip,
        recording=load_recording,
    )
