"""Memory order: layers that expect channels first, applied to features that are last."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


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
    """
    return layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
