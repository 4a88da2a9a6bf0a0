"""Reports of the sparsity of a module: of each layer, and of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pyg_stgcn.sparsity.mask import masked_parameters, weight_parameters
from pyg_stgcn.sparsity.select import (
    Pattern,
    check_masks,
    dense_parameters,
    is_edge_weight,
    select_parameters,
)


@dataclass(frozen=True)
class LayerReport:
    """Kept weights of one maskable parameter.

    Args:
        name (str): Dotted name of the parameter.
        shape (tuple of int): Its shape.
        numel (int): Number of weights.
        kept (int): Weights that are not pruned.
        dead_rows (int): Outputs (first dimension) with no kept weight; 0 for a vector.
        dead_cols (int): Inputs (second dimension) with no kept weight; 0 for a vector.
        is_edge (bool): Whether these are edge weights.
    """

    name: str
    shape: tuple[int, ...]
    numel: int
    kept: int
    dead_rows: int
    dead_cols: int
    is_edge: bool = False

    @property
    def sparsity(self) -> float:
        """Fraction of zeros."""
        return _sparsity(self.numel, self.kept)

    @property
    def empty(self) -> bool:
        """Whether no weight is kept, so that the layer ignores its input."""
        return self.kept == 0


@dataclass(frozen=True)
class SparsitySummary:
    """Kept weights of a whole module; the scores of masks are not counted.

    Args:
        params_total (int): Parameters of the dense module.
        params_maskable (int): Those among them that are maskable weights.
        maskable_kept (int): Maskable weights that are not pruned.
        edges_maskable (int): Maskable edge weights.
        edges_kept (int): Edge weights that are not pruned.
        dense (tuple of str): Names of the parameters of two or more dimensions that are not
            maskable, such as embeddings, excluded weights, and those not called weight.
    """

    params_total: int
    params_maskable: int
    maskable_kept: int
    edges_maskable: int
    edges_kept: int
    dense: tuple[str, ...] = ()

    @property
    def params_kept(self) -> int:
        """Parameters of every kind that are not pruned."""
        pruned_edges = self.edges_maskable - self.edges_kept
        return self.params_total - (self.params_maskable - self.maskable_kept) - pruned_edges

    @property
    def sparsity(self) -> float:
        """Fraction of zeros among the maskable weights."""
        return _sparsity(self.params_maskable, self.maskable_kept)

    @property
    def edge_sparsity(self) -> float:
        """Fraction of zeros among the maskable edge weights."""
        return _sparsity(self.edges_maskable, self.edges_kept)

    @property
    def params_kept_fraction(self) -> float:
        """Fraction kept of *all* parameters, the number to quote beside the sparsity."""
        return self.params_kept / self.params_total


def kept_weights(
    module: nn.Module,
    masks: Mapping[str, Tensor] | None = None,
    *,
    include: Pattern | None = None,
    exclude: Pattern = (),
    edges: bool = False,
) -> dict[str, Tensor]:
    """Boolean masks of every maskable parameter of a module, by its dotted name.

    The masks of a masked module are read, and those of a finalised one can be given. Without any,
    the zeros count as pruned, in the parameters that :func:`sparsify` would choose from the same
    arguments; but a kept weight may be zero too.

    Args:
        module (torch.nn.Module): A masked or a plain module.
        masks (dict, optional): Masks that a plain module was trained with, true where a weight is
            kept. An empty dictionary counts as none.
        include (str, sequence of str or callable, optional): As for :func:`sparsify`; ignored
            where there are masks.
        exclude (str, sequence of str or callable): The same.
        edges (bool): Whether edge weights of a module without masks count as maskable.

    Raises:
        InputError: If a mask fits no parameter of the module, or if a module without masks has
            nothing that could be masked.
    """
    if masked := masked_parameters(module):
        return {entry.name: entry.mask for entry in masked}
    if masks:
        return check_masks(module, masks)
    chosen = select_parameters(module, include, exclude, edges=edges)
    return {entry.name: entry.parameter.detach() != 0 for entry in chosen}


def report(
    module: nn.Module,
    masks: Mapping[str, Tensor] | None = None,
    *,
    include: Pattern | None = None,
    exclude: Pattern = (),
    edges: bool = False,
) -> list[LayerReport]:
    """Reports of all maskable parameters of a module; arguments as for :func:`kept_weights`.

    Example:
        >>> controller = sparsify(model, 0.9)
        >>> for layer in report(model):
        ...     print(layer.name, layer.sparsity)
    """
    kept = kept_weights(module, masks, include=include, exclude=exclude, edges=edges)
    return [_layer(name, mask) for name, mask in kept.items()]


def summary(
    module: nn.Module,
    masks: Mapping[str, Tensor] | None = None,
    *,
    include: Pattern | None = None,
    exclude: Pattern = (),
    edges: bool = False,
) -> SparsitySummary:
    """Sum of the reports of all layers; arguments as for :func:`kept_weights`."""
    layers = report(module, masks, include=include, exclude=exclude, edges=edges)
    weights = [layer for layer in layers if not layer.is_edge]
    edge_layers = [layer for layer in layers if layer.is_edge]
    return SparsitySummary(
        params_total=sum(parameter.numel() for parameter in weight_parameters(module)),
        params_maskable=sum(layer.numel for layer in weights),
        maskable_kept=sum(layer.kept for layer in weights),
        edges_maskable=sum(layer.numel for layer in edge_layers),
        edges_kept=sum(layer.kept for layer in edge_layers),
        dense=dense_parameters(module, {layer.name for layer in layers}),
    )


def _sparsity(numel: int, kept: int) -> float:
    return (numel - kept) / numel if numel else 0.0


def _layer(name: str, kept: Tensor) -> LayerReport:
    matrix = kept.dim() >= 2
    return LayerReport(
        name=name,
        shape=tuple(kept.shape),
        numel=kept.numel(),
        kept=int(torch.count_nonzero(kept)),
        dead_rows=_num_dead(kept, 0) if matrix else 0,
        dead_cols=_num_dead(kept, 1) if matrix else 0,
        is_edge=is_edge_weight(name, kept),
    )


def _num_dead(kept: Tensor, dim: int) -> int:
    return int((~kept.transpose(0, dim).flatten(1).any(1)).sum())
