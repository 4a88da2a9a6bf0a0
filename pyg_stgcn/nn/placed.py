"""Layers of networks whose pruned channels are removed: they compute the kept channels only."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Place(nn.Module):
    r"""Puts channels at their places among others, and adds a constant to each.

    Channels with the same place are summed.

    Args:
        place (torch.Tensor): The place of every input channel; -1 if it has none.
        offset (torch.Tensor): The constants, the same at all joints or one for every joint.

    Shapes:
        - **place:** :math:`(C)`, **offset:** :math:`(C')` or :math:`(V, C')`
        - **input:** :math:`(*, V, C)`
        - **output:** :math:`(*, V, C')`

    Example:
        >>> place = Place(torch.tensor([2, 0]), torch.tensor([0.0, 5.0, 0.0]))
        >>> place(torch.tensor([[1.0, 2.0]]))
        tensor([[2., 5., 1.]])
    """

    place: Tensor
    matrix: Tensor
    source: Tensor

    def __init__(self, place: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.register_buffer("place", place)
        self.offset = nn.Parameter(offset)
        matrix = self._matrix().to(offset.dtype)
        self.register_buffer("matrix", matrix, persistent=False)
        # The input of every output; one of zeros comes after the inputs.
        inputs = torch.arange(place.numel(), device=place.device)
        source = torch.full((offset.size(-1),), place.numel(), device=place.device)
        source[place[place >= 0]] = inputs[place >= 0]
        self.register_buffer("source", source, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Places the channels."""
        if torch.compiler.is_exporting():
            # An exported file would keep every zero of the matrix.
            return F.pad(x, (0, 1)).index_select(-1, self.source) + self.offset
        if self.offset.dim() == 1:
            return F.linear(x, self.matrix, self.offset)
        return F.linear(x, self.matrix) + self.offset

    def _matrix(self) -> Tensor:
        rows = torch.arange(self.offset.size(-1), device=self.place.device)
        return rows.unsqueeze(1) == self.place

    def extra_repr(self) -> str:
        """Shows the numbers of channels."""
        return f"{self.place.numel()}, {self.offset.size(-1)}"


class PlaceFirst(Place):
    r"""The same for channels first, in place of a batch norm that is part of a map before it.

    Shapes:
        - **input:** :math:`(P, C, T, V)`
        - **output:** :math:`(P, C', T, V)`
    """

    def forward(self, x: Tensor) -> Tensor:
        """Places the channels."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Merge(Place):
    r"""The same for channels before persons, many of which have the same place.

    Shapes:
        - **input:** :math:`(C, P, T, V)`
        - **output:** :math:`(P, T, V, C')`
    """

    def forward(self, x: Tensor) -> Tensor:
        """Adds up the channels."""
        offset = self.offset.expand(x.size(3), -1).t()[:, None, None]
        if torch.compiler.is_exporting():
            matrix = self._matrix().to(x.dtype)
            out = (matrix @ x.flatten(1)).unflatten(1, x.shape[1:]) + offset
        else:
            # Under autocast, the channels are in half precision and the offset is not.
            dtype = torch.promote_types(x.dtype, offset.dtype)
            out = offset.to(dtype).expand(-1, x.size(1), x.size(2), -1).contiguous()
            out = out.index_add(0, self.place.clamp(min=0), x.to(dtype))
        # Features last again: what follows is slower on a mixture of memory orders.
        return out.permute(1, 2, 3, 0).contiguous()


class PlacedNorm(nn.BatchNorm2d):
    r"""A batch norm of the kept channels, and the places of these, see :class:`Place`.

    Shapes:
        - **input:** :math:`(P, C, T, V)`
        - **output:** :math:`(P, C', T, V)`
    """

    def __init__(self, place: Place, **options: Any) -> None:
        offset = place.offset
        super().__init__(place.place.numel(), **options, device=offset.device, dtype=offset.dtype)
        self.place = place

    def forward(self, input: Tensor) -> Tensor:
        """Normalises and places the channels."""
        out = super().forward(input).permute(0, 2, 3, 1)
        return self.place(out).permute(0, 3, 1, 2)


class PlacedLinear(nn.Linear):
    r"""A linear map to the kept channels, and the places of these, see :class:`Place`.

    Shapes:
        - **input:** :math:`(*, C)`
        - **output:** :math:`(*, C')`
    """

    def __init__(self, in_features: int, place: Place) -> None:
        rows, offset = place.place.numel(), place.offset
        super().__init__(in_features, rows, False, device=offset.device, dtype=offset.dtype)
        self.place = place

    def forward(self, input: Tensor) -> Tensor:
        """Maps and places the channels."""
        return self.place(super().forward(input))


class JointLinear(nn.Linear):
    r"""A linear map with a bias for every joint.

    Args:
        in_features (int): Channels :math:`C` of the input.
        out_features (int): Channels :math:`C'` of the output.
        num_joints (int): Number of joints :math:`V`.
        **options: ``device`` and ``dtype``.

    Shapes:
        - **input:** :math:`(*, V, C)`
        - **output:** :math:`(*, V, C')`
    """

    def __init__(
        self, in_features: int, out_features: int, num_joints: int, **options: Any
    ) -> None:
        super().__init__(in_features, out_features, bias=False, **options)
        self.bias = nn.Parameter(self.weight.new_empty(num_joints, out_features))

    def forward(self, input: Tensor) -> Tensor:
        """Maps the channels."""
        return F.linear(input, self.weight) + self.bias


class ConstantConv2d(nn.Conv2d):
    r"""A convolution over time that also sees channels which are the same in all frames.

    These channels are not computed. The frames beyond the ends of a clip are zero in them as in
    all others, so their part of the output is the convolution of one channel of ones.

    Args:
        num_joints (int): Joints for which they differ, 1 if they are the same at all.
        *args, **kwargs: Those of :class:`torch.nn.Conv2d`; the kernel is :math:`(S, 1)`.

    Shapes:
        - **constant:** the weights of the channel of ones :math:`(V, S, C')`
        - **input:** :math:`(P, C, T, V)`
        - **output:** :math:`(P, C', T', V)`
    """

    def __init__(self, num_joints: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.constant = nn.Parameter(
            self.weight.new_empty(num_joints, self.kernel_size[0], self.out_channels)
        )

    def forward(self, input: Tensor) -> Tensor:
        """Convolves."""
        joints, span, channels = self.constant.shape
        kernels = self.constant.transpose(1, 2).reshape(-1, 1, span)
        ones = input.new_ones(1, 1, input.size(2))
        part = F.conv1d(ones, kernels, None, self.stride[0], int(self.padding[0]), self.dilation[0])
        return super().forward(input) + part.view(1, joints, channels, -1).permute(0, 2, 3, 1)
