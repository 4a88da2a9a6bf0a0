from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pyg_stgcn.models import Assembly, create_model
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.run_sparsity import layer_reports, sparsity_summary
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.sparsity import kept_weights, sparsify


def run_of(**options: Any) -> Run:
    config = TrainOptions.of(dataset="x.pkl", **options)
    return Run(Path("run"), config, get_skeleton("coco17"), ["a", "b"], 3, {})


def backbone() -> nn.Module:
    model = create_model("stgcn", 2, "coco17", base_channels=2)
    for parameter in model.parameters():
        nn.init.normal_(parameter)  # Without zeros by chance.
    return model


def test_zeros_and_masks_are_counted_alike() -> None:
    run, model = run_of(), backbone()
    dense = sparsity_summary(model, run)
    assert dense["params_total"] == sum(part.numel() for part in model.parameters())
    assert dense["maskable_kept"] == dense["params_maskable"] and dense["sparsity"] == 0
    controller = sparsify(model, 0.75, exclude="head.*")
    masked = sparsity_summary(model, run)
    masks = kept_weights(model)
    controller.finalize()
    zeros = sum(int((part == 0).sum()) for part in model.parameters())
    for counts in (masked, sparsity_summary(model, run), sparsity_summary(model, run, masks)):
        assert counts["params_maskable"] - counts["maskable_kept"] == zeros > 0
        assert counts["params_total"] - counts["params_kept"] == zeros
        assert counts["sparsity"] == pytest.approx(zeros / counts["params_maskable"])
    # A kept weight may be zero.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert sparsity_summary(model, run, masks)["maskable_kept"] == masked["maskable_kept"]


def test_edges_are_counted_where_they_are_pruned() -> None:
    assert "edge_sparsity" not in sparsity_summary(backbone(), run_of())
    assert sparsity_summary(backbone(), run_of(edge_sparsity=0.5))["edge_sparsity"] == 0


def test_experts_are_counted_one_by_one() -> None:
    model = Assembly([backbone(), backbone()])
    run = run_of(levels=[0.5, 0.0], experts=["stgcn", "stgcn"])
    sparsify(model.experts[0], 0.5, exclude="head.*").finalize()
    one = sparsity_summary(model.experts[1], run)
    both = sparsity_summary(model, run)
    assert both["params_maskable"] == 2 * one["params_maskable"]
    zeros = sum(int((part == 0).sum()) for part in model.experts[0].parameters())
    assert both["params_maskable"] - both["maskable_kept"] == zeros > 0
    layers = layer_reports(model, run)
    names = dict(model.named_parameters())
    assert all(layer.name in names for layer in layers)
    assert sum(layer.kept for layer in layers) == both["maskable_kept"]
