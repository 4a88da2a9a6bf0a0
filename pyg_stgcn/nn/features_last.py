"""Memory order: layers that expect channels first, applied to features that are last."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.nn.device_path import few_launches


def features_last(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    r"""Applies a layer for :math:`(P, C, T, V)` to features last.

    Seen as :math:`(P, C, T, V)`, features last are channels-last memory, which convolutions, batch
    norms and poolings take without a copy.

    Args:
        layer (callable): A two-dimensional convolution, batch norm or pooling.
        x (torch.Tensor): The features.

    Shapes:
        - **x:** :math:`(P, T, V, C)`
        - **output:** :math:`(P, T', V', C')`

    Raises:
        InputError: If the features have another number of dimensions.
    """
    check_frames(x)
    return layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def map_channels(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    r"""A linear map of features, on a GPU as a convolution over single joints.

    Autograd launches one operator for the gradients of a convolution, and three for those of
    :func:`torch.nn.functional.linear`.

    Shapes:
        - **x:** :math:`(P, T, V, C)`, **weight:** :math:`(C', C)`, **bias:** :math:`(C')`
        - **output:** :math:`(P, T, V, C')`
    """
    if not few_launches(x.device):
        return F.linear(x, weight, bias)
    return features_last(lambda x: F.conv2d(x, weight[:, :, None, None], bias), x)


def check_frames(x: Tensor) -> None:
    """Raises an error unless features have persons, frames, nodes and channels."""
    if x.dim() != 4:
        raise InputError(
            f"x: shape {tuple(x.shape)}, expected persons, frames, nodes and channels "
            f"[P, T, V, C]; for clips [P*V, T, C], x.view(-1, V, T, C).transpose(1, 2)"
        )
