"""Masks over the parameters of any module, with schedules, reports and a sparse weight file."""

from pyg_stgcn.sparsity.allocation import ALLOCATIONS
from pyg_stgcn.sparsity.controller import SparsityController, sparsify
from pyg_stgcn.sparsity.files import load_sparse, save_sparse
from pyg_stgcn.sparsity.mask import (
    Mask,
    MaskedParameter,
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
)
from pyg_stgcn.sparsity.patterns import PATTERNS
from pyg_stgcn.sparsity.penalty import GroupLasso
from pyg_stgcn.sparsity.report import LayerReport, SparsitySummary, report, summary
from pyg_stgcn.sparsity.schedule import SCHEDULES, Schedule, SparsitySchedule, make_schedule
from pyg_stgcn.sparsity.select import Pattern

__all__ = [
    "ALLOCATIONS",
    "METHODS",
    "PATTERNS",
    "SCHEDULES",
    "DynamicMask",
    "FeedbackMask",
    "GroupLasso",
    "LayerReport",
    "MagnitudeMask",
    "Mask",
    "MaskedParameter",
    "Pattern",
    "RandomMask",
    "RigLMask",
    "SETMask",
    "Schedule",
    "ScoreMask",
    "SparsityController",
    "SparsitySchedule",
    "SparsitySummary",
    "load_sparse",
    "make_schedule",
    "masked_parameters",
    "report",
    "save_sparse",
    "score_parameters",
    "sparsify",
    "summary",
    "weight_parameters",
]
