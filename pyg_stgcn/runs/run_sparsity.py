"""Sparsity of the model of a run: parameter by parameter, and in total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from pyg_stgcn.models import Assembly
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.sparsity import (
    LayerReport,
    SparsitySummary,
    report,
    summary,
)

#: Boolean masks by the names of the parameters, true where a weight is kept.
Masks = Mapping[str, Tensor]


def layer_reports(model: nn.Module, run: Run, masks: Masks | None = None) -> list[LayerReport]:
    """Report of every maskable parameter; of an assembly, expert by expert.

    Args:
        model: With masks, or finalised.
        run: Selects the maskable parameters.
        masks: Masks of a finalised model, see :meth:`Run.load_masks` (default: zeros are counted).
    """
    if not isinstance(model, Assembly):
        return report(model, masks, **run.maskable)
    return [
        replace(layer, name=f"experts.{number}.{layer.name}")
        for number, expert in enumerate(model.experts)
        for layer in report(expert, expert_masks(masks, number), **run.maskable)
    ]


def sparsity_summary(
    model: nn.Module, run: Run, masks: Masks | None = None
) -> dict[str, int | float]:
    """Numbers of parameters, maskable weights and kept weights of a trained model.

    Args:
        model: With masks, or finalised.
        run: Selects the maskable parameters.
        masks: Masks of a finalised model, see :meth:`Run.load_masks` (default: zeros are counted).

    Returns:
        ``params_total``, ``params_maskable``, ``maskable_kept``, ``sparsity`` (zeros among the
        maskable weights), ``params_kept`` and ``params_kept_fraction`` (of *all* parameters); with
        pruned edges also ``edges_maskable``, ``edges_kept`` and ``edge_sparsity``.
    """
    counts = _summary(model, run, masks)
    names = ["params_total", "params_maskable", "maskable_kept", "sparsity"]
    names += ["params_kept", "params_kept_fraction"]
    if run.config.sparsity.edge_sparsity:
        names += ["edges_maskable", "edges_kept", "edge_sparsity"]
    return {name: getattr(counts, name) for name in names}


def _summary(model: nn.Module, run: Run, masks: Masks | None) -> SparsitySummary:
    if not isinstance(model, Assembly):
        return summary(model, masks, **run.maskable)
    parts = [
        summary(expert, expert_masks(masks, number), **run.maskable)
        for number, expert in enumerate(model.experts)
    ]
    added = ("params_maskable", "maskable_kept", "edges_maskable", "edges_kept")
    return SparsitySummary(
        params_total=sum(parameter.numel() for parameter in model.parameters()),
        **{name: sum(getattr(part, name) for part in parts) for name in added},
    )


def expert_masks(masks: Masks | None, number: int) -> dict[str, Tensor]:
    """Masks of one expert of an assembly, with names as in the expert itself."""
    prefix = f"experts.{number}."
    return {
        name.removeprefix(prefix): mask
        for name, mask in (masks or {}).items()
        if name.startswith(prefix)
    }
