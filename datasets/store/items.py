"""Clips as temporal graphs, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.errors import InputError
from pyg_stgcn.transforms.clip_tensor import keep_present, kept_present


def clip_to_data(clip: Clip, edge_index: Tensor) -> Data:
    """Turn a clip into a temporal graph.

    Shapes:
        - **edge_index:** bones of one person in both directions :math:`(2, 2 |\\mathcal{B}|)`
        - **output:** see :class:`SkeletonDataset`
    """
    persons, frames, joints, channels = clip.keypoint.shape
    x = torch.from_numpy(clip.keypoint.astype(np.float32))
    data = Data(
        x=x.transpose(1, 2).reshape(persons * joints, frames, channels),
        edge_index=_repeat_edges(edge_index, persons, joints),
        y=torch.tensor([clip.label]),
        num_persons=persons,
        name=clip.name,
    )
    if clip.present is not None:
        present = torch.from_numpy(clip.present)
        data.present = present.transpose(1, 2).reshape(persons * joints, frames)
    if clip.image_size is not None:
        data.image_size = torch.tensor([clip.image_size], dtype=torch.float32)
    return data


def _repeat_edges(edge_index: Tensor, persons: int, joints: int) -> Tensor:
    shift = torch.arange(persons) * joints
    return (edge_index.unsqueeze(1) + shift.view(1, -1, 1)).flatten(1)


def data_to_clip(data: Data, clip: Clip, edge_index: Tensor) -> Clip:
    """Convert the output of a :obj:`pre_transform` to a clip, if a store can hold it.

    If the transform has changed joints or frames but not ``present``, coordinates decide.
    """
    stored = {"x", "edge_index", "y", "num_persons", "name", "image_size", "present"}
    added = sorted(set(data.keys()) - stored)
    joints = clip.keypoint.shape[2]
    persons = int(data.num_persons)
    if added or data.x.dim() != 3 or data.x.size(0) != persons * joints:
        what = f"attributes {', '.join(added)}" if added else f"x of shape {tuple(data.x.shape)}"
        raise InputError(
            f"pre_transform gives {what} for clip {clip.name!r}, which a store cannot hold; use it "
            "as transform"
        )
    if not torch.equal(data.edge_index, _repeat_edges(edge_index, persons, joints)):
        raise InputError(f"pre_transform changes the bones of {clip.name!r}; use it as transform")
    x = data.x.view(persons, joints, *data.x.shape[1:]).transpose(1, 2)
    present = kept_present(data)
    shown = present if present is None else present.view(persons, joints, -1).transpose(1, 2)
    size = tuple(data.image_size.view(-1).tolist()) if "image_size" in data else None
    return replace(
        clip,
        label=int(data.y),
        keypoint=x.numpy(),
        image_size=size,
        present=None if shown is None else shown.numpy(),
    )


def refresh_present(data: Data) -> Data:
    """Makes the ``present`` of an item fit again, if its transform has changed joints or frames
    without it, so that items can be batched.
    """
    x = data.get("x")
    if x is None or x.dim() != 3:
        keep_present(data, None)
    elif "present" in data and kept_present(data) is None:
        keep_present(data, (x != 0).any(dim=-1))
    return data
