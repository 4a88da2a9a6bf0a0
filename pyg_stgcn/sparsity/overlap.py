"""Overlap of two masks, compared with chance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity.mask import is_edge_weight


@dataclass(frozen=True)
class Overlap:
    r"""Overlap of two masks over the same weights.

    Two random masks that keep :math:`a` and :math:`b` of a layer's :math:`n` weights have
    :math:`e = a b / n` kept weights in common on average (the mean of the hypergeometric
    distribution); several layers add up. With the densities :math:`p = a/n` and :math:`q = b/n` of
    a single layer, the Jaccard index expected by chance is

    .. math::
        J_0 = \frac{e}{a + b - e} = \frac{p q}{p + q - p q}.

    This is the index of the expected intersection. The expected index itself is higher, by a
    factor below about :math:`1 + 4 / (a + b)`, which matters only if very few weights are kept.

    Args:
        numel (int): Number of weights.
        first (int): Weights that the first mask keeps.
        second (int): Weights that the second mask keeps.
        shared (int): Weights that both keep.
        expected (float): Weights that both would keep by chance.
    """

    numel: int
    first: int
    second: int
    shared: int
    expected: float

    @property
    def jaccard(self) -> float | None:
        """Weights that both keep, as a fraction of those that either keeps; ``None`` if none."""
        return _jaccard(self.first + self.second, self.shared)

    @property
    def chance(self) -> float | None:
        """The Jaccard index of two random masks of the same layer densities."""
        return _jaccard(self.first + self.second, self.expected)

    @property
    def ratio(self) -> float | None:
        """The Jaccard index divided by that of chance; ``None`` if that is zero."""
        if self.jaccard is None or not self.chance:
            return None
        return self.jaccard / self.chance


@dataclass(frozen=True)
class LayerOverlap(Overlap):
    """Overlap of two masks of one maskable parameter.

    Args:
        name (str): Dotted name of the parameter.
        is_edge (bool): Whether these are edge weights.
    """

    name: str
    is_edge: bool = False


def overlap(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> list[LayerOverlap]:
    """Compare the masks of two networks of one architecture, layer by layer.

    Args:
        first (dict): Boolean masks by the name of the parameter, see :func:`kept_weights`.
        second (dict): Masks of another network, or of the same one at another time.

    Raises:
        InputError: If the two do not have the same parameters with the same shapes.

    Example:
        >>> layers = overlap(kept_weights(model), kept_weights(other))
        >>> total_overlap(layers).ratio
        1.7
    """
    _check_same(first, second)
    return [_layer(name, mask, second[name]) for name, mask in first.items()]


def total_overlap(layers: Iterable[Overlap]) -> Overlap:
    """Sum of the overlaps of several layers.

    Chance is that of random masks with the density of each layer: two networks whose layers differ
    in density in the same way agree by chance only.
    """
    parts = list(layers)
    return Overlap(
        numel=sum(part.numel for part in parts),
        first=sum(part.first for part in parts),
        second=sum(part.second for part in parts),
        shared=sum(part.shared for part in parts),
        expected=sum(part.expected for part in parts),
    )


def _jaccard(both: int, shared: float) -> float | None:
    return shared / (both - shared) if both else None


def _layer(name: str, first: Tensor, second: Tensor) -> LayerOverlap:
    ours, theirs = int(torch.count_nonzero(first)), int(torch.count_nonzero(second))
    return LayerOverlap(
        numel=first.numel(),
        first=ours,
        second=theirs,
        shared=int(torch.count_nonzero(first & second)),
        expected=ours * theirs / max(first.numel(), 1),
        name=name,
        is_edge=is_edge_weight(name, first),
    )


def _check_same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
    for name in [*first, *second]:
        one, other = (masks[name].shape if name in masks else None for masks in (first, second))
        if one != other:
            shapes = " and ".join(
                "is missing" if shape is None else "x".join(map(str, shape))
                for shape in (one, other)
            )
            raise InputError(
                f"{name}: {shapes} are not the same layer; compare networks of one architecture"
            )
