"""Masks over the parameters of any module: methods, schedules, reports and sparse files."""

from pyg_stgcn.sparsity.allocation import ALLOCATIONS
from pyg_stgcn.sparsity.container import load_sparse, save_sparse
from pyg_stgcn.sparsity.controller import SparsityController, sparsify
from pyg_stgcn.sparsity.group import ControllerGroup
from pyg_stgcn.sparsity.mask import (
    Mask,
    MaskedParameter,
    copy_masks,
    fold_state_dict,
    masked_parameters,
    score_parameters,
    weight_parameters,
)
from pyg_stgcn.sparsity.methods import (
    METHODS,
    DynamicMask,
    FeedbackMask,
    MagnitudeMask,
    RandomMask,
    RigLMask,
    ScoreMask,
    SETMask,
    register_method,
)
from pyg_stgcn.sparsity.overlap import LayerOverlap, Overlap, overlap, total_overlap
from pyg_stgcn.sparsity.penalty import GroupLasso
from pyg_stgcn.sparsity.report import (
    LayerReport,
    SparsitySummary,
    kept_weights,
    report,
    summary,
)
from pyg_stgcn.sparsity.schedule import SCHEDULES, Schedule, SparsitySchedule, make_schedule
from pyg_stgcn.sparsity.select import Pattern, check_masks
from pyg_stgcn.sparsity.structures import STRUCTURES
from pyg_stgcn.sparsity.tickets import (
    Ticket,
    full_masks,
    kept_after,
    load_ticket,
    prune_further,
    put_masks,
    random_masks,
    rate_for,
    save_ticket,
)

__all__ = [
    "ALLOCATIONS",
    "METHODS",
    "SCHEDULES",
    "STRUCTURES",
    "ControllerGroup",
    "DynamicMask",
    "FeedbackMask",
    "GroupLasso",
    "LayerOverlap",
    "LayerReport",
    "MagnitudeMask",
    "Mask",
    "MaskedParameter",
    "Overlap",
    "Pattern",
    "RandomMask",
    "RigLMask",
    "SETMask",
    "Schedule",
    "ScoreMask",
    "SparsityController",
    "SparsitySchedule",
    "SparsitySummary",
    "Ticket",
    "check_masks",
    "copy_masks",
    "fold_state_dict",
    "full_masks",
    "kept_after",
    "kept_weights",
    "load_sparse",
    "load_ticket",
    "make_schedule",
    "masked_parameters",
    "overlap",
    "prune_further",
    "put_masks",
    "random_masks",
    "rate_for",
    "register_method",
    "report",
    "save_sparse",
    "save_ticket",
    "score_parameters",
    "sparsify",
    "summary",
    "total_overlap",
    "weight_parameters",
]
