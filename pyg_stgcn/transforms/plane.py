"""Other inputs made of 2-D joints: without scores, and as fractions of the image."""

from __future__ import annotations

import torch
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_stgcn.errors import InputError
from pyg_stgcn.transforms.clip_tensor import clip_name, has_score, present_joints


@functional_transform("to_fractions")
class ToFractions(BaseTransform):
    r"""Turns positions from :math:`[-1, 1]`, as :class:`PreNormalize2D` leaves them, into fractions
    of the width and height of the image (functional name: :obj:`to_fractions`).

    Missing joints stay at zero. Apply it after augmentations, which turn and mirror about zero.

    Shapes:
        - **input x:** :math:`(M \cdot V, T, C)`, x and y first
        - **output x:** :math:`(M \cdot V, T, C)`

    Raises:
        InputError: If a clip is not 2-D.
    """

    def forward(self, data: Data) -> Data:
        if "image_size" not in data:
            raise InputError(f"{clip_name(data)}: has no image_size; only 2-D joints are in images")
        shown = present_joints(data).unsqueeze(-1)
        position = (data.x[..., :2] + 1) / 2 * shown
        data.x = torch.cat([position, data.x[..., 2:]], dim=-1)
        return data


@functional_transform("drop_score")
class DropScore(BaseTransform):
    r"""Leaves the scores of 2-D joints out of the input (functional name: :obj:`drop_score`).

    ``present`` still says which joints are missing.

    Shapes:
        - **input x:** :math:`(M \cdot V, T, 3)`, or :math:`(M \cdot V, T, 2)` without scores
        - **output x:** :math:`(M \cdot V, T, 2)`

    Raises:
        InputError: If a clip is not 2-D.
    """

    def forward(self, data: Data) -> Data:
        if has_score(data):
            data.present = present_joints(data)
            data.x = data.x[..., :2]
        elif data.x.size(-1) != 2:
            raise InputError(
                f"{clip_name(data)}: has {data.x.size(-1)} channels and no image_size; only 2-D "
                "joints have scores"
            )
        return data
