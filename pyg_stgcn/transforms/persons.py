"""A fixed number of persons."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_stgcn.errors import InputError
from pyg_stgcn.transforms.clip_tensor import keep_present, kept_present, split_persons


@functional_transform("pad_persons")
class PadPersons(BaseTransform):
    r"""Gives every clip the same number of persons (functional name: :obj:`pad_persons`).

    Missing persons are filled up with zeros, further ones dropped. The models of this package do
    without; older toolboxes pad every clip to two persons and average over both.

    Args:
        num_persons: The number of persons.

    Shapes:
        - **input x:** :math:`(M \cdot V, T, C)`
        - **output x:** :math:`(\text{num\_persons} \cdot V, T, C)`, with ``edge_index`` and
          ``num_persons`` to match

    Raises:
        InputError: If the number is below one.
    """

    def __init__(self, num_persons: int = 2) -> None:
        if num_persons < 1:
            raise InputError(f"num_persons: {num_persons} is too few; give at least 1")
        self.num_persons = num_persons

    def forward(self, data: Data) -> Data:
        present = kept_present(data)
        persons = split_persons(data)[: self.num_persons]
        num_joints = persons.size(1)
        padded = persons.new_zeros(self.num_persons, *persons.shape[1:])
        padded[: persons.size(0)] = persons
        data.x = padded.flatten(0, 1)
        if present is not None:
            added = (self.num_persons - persons.size(0)) * num_joints
            present = F.pad(present[: len(data.x)], (0, 0, 0, added))
        keep_present(data, present)
        edges = data.edge_index[:, data.edge_index[0] < num_joints]
        offsets = torch.arange(self.num_persons) * num_joints
        data.edge_index = (edges.unsqueeze(1) + offsets.view(1, -1, 1)).flatten(1)
        data.num_persons = self.num_persons
        return data

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.num_persons})"
