"""The streams of a clip: joints, bones and their motion."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_stgcn.errors import InputError
from pyg_stgcn.names import parse_streams
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.transforms.clip_tensor import clip_name, has_score, present_joints, split_joints


@functional_transform("to_stream")
class ToStream(BaseTransform):
    r"""Replaces joint positions by a stream made of them (functional name: :obj:`to_stream`).

    - ``"joint"``: the positions.
    - ``"bone"``: every joint relative to its parent; zero for a joint without one.
    - ``"joint-motion"``, ``"bone-motion"``: the change to the next frame; zero in the last one.

    The score of 2-D clips becomes the mean of the two joints' scores in a bone, and the mean of
    the two frames' scores (zero in the last frame) in a motion. A joint without a parent keeps
    its own. Bones and motions that need a missing joint are zero: a joint that appears does not
    jump.

    Args:
        stream: One of the names, or several joined by ``"+"``, as in ``"joint+bone"``, whose
            channels then follow each other.
        skeleton: The skeleton of the clips.

    Shapes:
        - **input x:** :math:`(M \cdot V, T, C)`
        - **output x:** :math:`(M \cdot V, T, S \cdot C)` for :math:`S` streams

    Raises:
        InputError: If there is no such stream, or a clip does not fit the skeleton, or its frames
            have been sampled already.
    """

    def __init__(self, stream: str, skeleton: Skeleton) -> None:
        self.stream = stream
        self.skeleton = skeleton
        self.streams = parse_streams(stream)
        self.parent = torch.arange(skeleton.num_joints)
        for child, parent in skeleton.stream_bones:
            self.parent[child] = parent

    def forward(self, data: Data) -> Data:
        if "num_views" in data:
            raise InputError(
                f"{clip_name(data)}: its frames have been sampled already; motion needs them all, "
                f"apply ToStream before UniformSample"
            )
        joints = split_joints(data, self.skeleton)
        found = present_joints(data, self.skeleton)
        # Most clips lack nothing.
        present = None if bool(found.all()) else found.view(joints.shape[:3])
        scored = has_score(data)
        streams = []
        for stream in self.streams:
            x, shown = joints, present
            if stream.startswith("bone"):
                x, shown = self._bones(joints, present, scored)
            streams.append(_motion(x, shown, scored) if stream.endswith("motion") else x)
        data.x = torch.cat(streams, dim=-1).flatten(0, 1)
        return data

    def _bones(
        self, joints: Tensor, present: Tensor | None, scored: bool
    ) -> tuple[Tensor, Tensor | None]:
        """The bones, and where both of their ends are present, if not everywhere."""
        parents = joints.index_select(1, self.parent)
        shown = None if present is None else present & present.index_select(1, self.parent)
        return _difference(joints, parents, shown, scored), shown

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.stream!r}, {self.skeleton.name})"


def _motion(x: Tensor, shown: Tensor | None, scored: bool) -> Tensor:
    both = None if shown is None else shown[:, :, 1:] & shown[:, :, :-1]
    motion = torch.zeros_like(x)
    motion[:, :, :-1] = _difference(x[:, :, 1:], x[:, :, :-1], both, scored)
    return motion


def _difference(end: Tensor, start: Tensor, shown: Tensor | None, scored: bool) -> Tensor:
    """End less start, zero where not both are shown; of the scores their mean."""
    difference = end - start
    if shown is not None:
        difference.masked_fill_(~shown.unsqueeze(-1), 0)
    if scored:
        difference[..., -1] = (end[..., -1] + start[..., -1]) / 2
    return difference
