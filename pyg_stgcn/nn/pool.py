"""From the persons of a batch to its samples."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad
from torch_geometric.utils import segment


def person_pool(x: Tensor, num_persons: Tensor) -> Tensor:
    r"""The mean over the persons of every sample.

    Args:
        x (torch.Tensor): One vector per person, sample after sample.
        num_persons (torch.Tensor): How many persons every sample has.

    Shapes:
        - **x:** :math:`(P, C)`, **num_persons:** :math:`(N)` with sum :math:`P`
        - **output:** :math:`(N, C)`
    """
    return segment(x, pad(num_persons.cumsum(0), (1, 0)), reduce="mean")
