"""Masks from importances: weights below the k-th smallest of a pool are pruned."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from pyg_stgcn.sparsity.allocation import num_pruned_per_layer
from pyg_stgcn.sparsity.mask import MaskedParameter
from pyg_stgcn.sparsity.rankable import check_rankable
from pyg_stgcn.sparsity.structures import expand_units, protected_by_structure


def num_pruned(sparsity: float, numel: int) -> int:
    r"""Number of weights to prune of a pool: :math:`k - 1 = \mathrm{round}(\varsigma (n - 1))`."""
    return round(sparsity * (numel - 1))


def keep_highest(keys: Tensor, pruned: int) -> Tensor:
    """Mask that is false at exactly ``pruned`` of the lowest entries.

    The threshold is the ``pruned + 1``-th smallest entry. Of entries equal to it the first ones are
    pruned, so that the number is exact and the result the same on every device; NaN counts as
    infinity. A CUDA device is never synchronised.

    Args:
        keys (torch.Tensor): One value for each weight, 1-D.
        pruned (int): Number of weights to prune.
    """
    if pruned in (0, keys.numel()):
        return torch.full_like(keys, pruned == 0, dtype=torch.bool)
    if keys.device.type == "cpu":
        # numpy's vectorised selection: 3 to 12 times as fast as torch.kthvalue at 3 million.
        order = keys.clone()
        order.numpy().partition(pruned)
        threshold = order[pruned]
    else:
        threshold = keys.kthvalue(pruned + 1).values
    threshold = threshold.nan_to_num(nan=math.inf, posinf=math.inf, neginf=-math.inf)
    below = keys < threshold
    num_below = torch.count_nonzero(below)
    if keys.device.type == "cpu" and int(num_below) == pruned:
        return ~below
    tied = (keys == threshold) | (keys.isnan() & threshold.isposinf())
    return ~(below | (tied & (tied.cumsum(0) <= pruned - num_below)))


@torch.no_grad()
def choose_masks(
    pool: list[MaskedParameter], sparsity: float, allocation: str, min_density: float
) -> list[Tensor]:
    """Masks that prune the least important weights of a pool.

    Args:
        pool (list of MaskedParameter): The parameters that the sparsity is for.
        sparsity (float): Fraction to prune, in [0, 1). With units of several weights each layer is
            within half a unit of it; protected weights are never pruned.
        allocation (str): ``"global"``: one threshold for all layers; otherwise the numbers of
            :func:`~pyg_stgcn.sparsity.allocation.num_pruned_per_layer`. With the structure
            ``"2:4"`` all layers get the same sparsity.
        min_density (float): Least density of a layer, as a fraction of the density of the pool; the
            number of weights is rounded down.

    Returns:
        list of torch.Tensor: Boolean masks, true where a weight is kept.

    Raises:
        InputError: On a CPU, see :func:`check_rankable`.
    """
    masks = [entry.mask for entry in pool]
    sizes = [mask.numel() for mask in masks]
    pruned = num_pruned(sparsity, sum(sizes))
    if pruned == 0:
        return [torch.ones_like(mask) for mask in masks]
    keys = _keys(pool)
    # A GPU would have to be waited for.
    if keys.device.type == "cpu":
        check_rankable(pool, keys)
    layers = keys.split([math.prod(entry.unit_shape) for entry in pool])
    protected = [_protect(entry, layer) for entry, layer in zip(pool, layers, strict=True)]
    kept: Sequence[Tensor]
    if any(entry.parametrization.structure == "2:4" for entry in pool):
        # Half of a matrix is protected, nothing of a vector.
        counts = [
            round(sparsity * (size if mask.dim() < 2 else 2 * (size - num_protected)))
            for mask, size, num_protected in zip(masks, sizes, protected, strict=True)
        ]
        kept = _prune_each(layers, sizes, protected, counts)
    elif allocation == "global":
        least = min_density * (1 - pruned / sum(sizes))
        for layer, size in zip(layers, sizes, strict=True):
            if len(layer) < size and min_density > 0:
                # Rounding down could prune every unit of a layer of few.
                layer[layer.argmax()] = math.inf
            lift_best([layer], least)
        kept = _prune_together(keys, layers, sizes, protected, pruned)
    else:
        shapes = [mask.shape for mask in masks]
        counts = num_pruned_per_layer(allocation, shapes, pruned, min_density)
        kept = _prune_each(layers, sizes, protected, counts)
    return [
        expand_units(
            entry.parametrization.structure,
            part.view(entry.unit_shape),
            entry.mask.shape,
        )
        for entry, part in zip(pool, kept, strict=True)
    ]


def _prune_together(
    keys: Tensor,
    layers: Sequence[Tensor],
    sizes: Sequence[int],
    protected: Sequence[int],
    pruned: int,
) -> Sequence[Tensor]:
    """Prune by one threshold over all layers."""
    numbers = [layer.numel() for layer in layers]
    if numbers == list(sizes):
        return keep_highest(keys, min(pruned, len(keys) - sum(protected))).split(numbers)
    weights = torch.cat(
        [
            torch.full_like(layer, size / number, dtype=torch.float64)
            for layer, size, number in zip(layers, sizes, numbers, strict=True)
        ]
    )
    order = keys.argsort(stable=True)
    kept = torch.ones_like(keys, dtype=torch.bool)
    to_prune = weights[order].cumsum(0) <= pruned + 0.5
    to_prune &= keys[order] != math.inf
    kept[order[to_prune]] = False
    return kept.split(numbers)


def _prune_each(
    layers: Sequence[Tensor], sizes: Sequence[int], protected: Sequence[int], counts: Sequence[int]
) -> list[Tensor]:
    """Prune a number of weights from each layer, to the nearest unit."""
    kept = []
    for layer, size, num_protected, count in zip(layers, sizes, protected, counts, strict=True):
        if layer.numel() == size:
            kept.append(keep_highest(layer, min(count, size - num_protected)))
            continue
        unit = size / layer.numel()
        # Rounding must not empty a layer that keeps some of its weights.
        limit = layer.numel() - (count < size)
        kept.append(keep_highest(layer, min(round(count / unit), limit)))
    return kept


def _protect(entry: MaskedParameter, layer: Tensor) -> int:
    """Lift protected weights above every threshold, in place, and return their number."""
    protected = protected_by_structure(
        entry.parametrization.structure, layer.view(entry.unit_shape)
    )
    if entry.is_edge:
        protected = _best_edges(entry, layer)
    if protected is None:
        return 0
    layer.masked_fill_(protected.flatten(), math.inf)
    return int(protected.sum())


def _best_edges(entry: MaskedParameter, layer: Tensor) -> Tensor | None:
    """Mask of the most important edge into each node; ``None`` without a fitting edge_index."""
    edge_index = getattr(entry.owner, "edge_index", None)
    if not isinstance(edge_index, Tensor) or edge_index.shape[1:] != layer.shape:
        return None
    targets = edge_index[1]
    order = layer.argsort(descending=True, stable=True)
    order = order[targets[order].argsort(stable=True)]
    first = torch.ones_like(order, dtype=torch.bool)
    first[1:] = targets[order][1:] != targets[order][:-1]
    best = torch.zeros_like(first)
    best[order[first]] = True
    return best


def lift_best(layers: Iterable[Tensor], fraction: float) -> None:
    """Lift a fraction of each layer's keys, the highest ones, above every threshold, in place."""
    for layer in layers:
        lifted = int(fraction * layer.numel())
        if lifted:
            best = keep_highest(layer, layer.numel() - lifted) & (layer != math.inf)
            # But below protected weights.
            layer.masked_fill_(best, torch.finfo(layer.dtype).max)


def _keys(pool: list[MaskedParameter]) -> Tensor:
    """Importances of a pool in one vector, scaled for the comparison between layers."""
    # Single precision at least: half precision would make scaled scores of different layers equal.
    # Filling one buffer takes a tenth of the time of torch.cat over temporaries.
    dtype = torch.float32
    for entry in pool:
        dtype = torch.promote_types(dtype, entry.weight.dtype)
    sizes = [math.prod(entry.unit_shape) for entry in pool]
    keys = torch.empty(sum(sizes), dtype=dtype, device=pool[0].weight.device)
    for part, entry in zip(keys.split(sizes), pool, strict=True):
        part.copy_(entry.ranking.flatten()).mul_(entry.parametrization.rank_scale)
    return keys
