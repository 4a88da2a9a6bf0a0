"""How much two masks have in common, against chance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity.mask import is_edge_weight


@dataclass(frozen=True)
class Overlap:
    r"""What two masks over the same weights have in common.

    Two masks that keep :math:`a` and :math:`b` of a layer's :math:`n` weights, drawn independently,
    share :math:`a b / n` on average (the mean of the hypergeometric distribution), and layers add
    up. With :math:`e` for that number, and with the densities :math:`p = a/n` and :math:`q = b/n`
    of a single layer, the Jaccard index expected by chance is

    .. math::
        J_0 = \frac{e}{a + b - e} = \frac{p q}{p + q - p q}.

    That is the index of the expected intersection. The expected index itself is higher by a share
    below about :math:`4 / (a + b)`, which matters only where next to nothing is kept.

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
        """Shared weights as a share of those that either keeps; ``None`` if there are none."""
        return _jaccard(self.first + self.second, self.shared)

    @property
    def chance(self) -> float | None:
        """The Jaccard index of two random masks of the same layer densities."""
        return _jaccard(self.first + self.second, self.expected)

    @property
    def ratio(self) -> float | None:
        """The Jaccard index over that of chance; ``None`` if chance finds nothing shared."""
        if self.jaccard is None or not self.chance:
            return None
        return self.jaccard / self.chance


@dataclass(frozen=True)
class LayerOverlap(Overlap):
    """The same of one maskable parameter.

    Args:
        name (str): Dotted name of the parameter.
    """

    name: str
    is_edge: bool = False


def overlap(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> list[LayerOverlap]:
    """Compare the masks of two networks of one architecture, layer by layer.

    Args:
        first (dict): Boolean masks by the name of the parameter, see :func:`kept_weights`.
        second (dict): The same of another network, or of the same one at another time.

    Raises:
        InputError: If the two do not have the same parameters with the same shapes.
    """
    _check_same(first, second)
    return [_layer(name, mask, second[name]) for name, mask in first.items()]


def total_overlap(layers: Iterable[Overlap]) -> Overlap:
    """Add the overlaps of several layers up.

    What chance gives is that of masks with the density of each layer: that all layers of two
    networks are unequally dense in the same way counts as chance, not as agreement.
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
