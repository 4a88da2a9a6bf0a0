"""Assemblies: the kept weights of the experts, and the accuracy of every subset of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.evaluation_data import EvaluationData, open_clips_for
from pyg_stgcn.evaluation.metrics import classification_metrics
from pyg_stgcn.evaluation.run_evaluation import evaluate_model
from pyg_stgcn.models import Assembly
from pyg_stgcn.plots.studies import plot_subsets
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.predictions import Predictions
from pyg_stgcn.runs.run_sparsity import Masks, expert_masks, layer_reports, sparsity_summary
from pyg_stgcn.tables import write_csv, write_json


def assembly_summary(run: Run, model: Assembly, masks: Masks | None = None) -> dict[str, Any]:
    """Count the kept weights of an assembly, in units of one of its experts.

    Args:
        run: Defines the experts.
        model: With masks, which are counted, or finalised.
        masks: Masks of a finalised model, see :meth:`Run.load_masks`; without them, its zeros are
            counted.

    Returns:
        - ``experts``: backbone, level and :func:`sparsity_summary` of each; ``maskable_needed`` and
          ``params_needed`` leave out the expert's own classifier, which only the training uses;
        - ``kept_of_one``: the needed maskable weights of all experts, divided by the maskable
          weights of the first;
        - ``params_kept``: the non-zero parameters of all kinds that a prediction needs;
        - ``params_kept_of_one``: the same, divided by all parameters of a dense model like the
          first expert.
    """
    config = run.config
    assert config.model.experts is not None
    parts = zip(config.model.experts, config.model.levels, model.experts, strict=True)
    experts: list[dict[str, Any]] = []
    params_kept = _numel(model) - sum(_numel(expert) for expert in model.experts)
    for number, (name, level, expert) in enumerate(parts):
        kept_masks = expert_masks(masks, number)
        counts = sparsity_summary(expert, run, kept_masks)
        # A single expert uses its own classifier as the shared one.
        maskable, params = 0, 0
        if len(model.experts) > 1:
            maskable, params = _kept_of_head(expert, run, kept_masks)
        counts["maskable_needed"] = counts["maskable_kept"] - maskable
        counts["params_needed"] = counts["params_kept"] - params
        experts.append({"model": name, "level": level, **counts})
        params_kept += int(counts["params_needed"])
    kept = sum(expert["maskable_needed"] for expert in experts)
    return {
        "experts": experts,
        "kept_of_one": kept / experts[0]["params_maskable"],
        "params_kept": params_kept,
        "params_kept_of_one": params_kept / experts[0]["params_total"],
    }


def _kept_of_head(expert: nn.Module, run: Run, masks: Masks) -> tuple[int, int]:
    """Kept maskable weights, and kept parameters of all kinds, of an expert's own classifier."""
    layers = layer_reports(expert, run, masks)
    layers = [layer for layer in layers if layer.name.startswith("head.")]
    pruned = sum(layer.numel - layer.kept for layer in layers)
    return sum(layer.kept for layer in layers), _numel(expert.head) - pruned


def _numel(module: nn.Module | Tensor) -> int:
    assert isinstance(module, nn.Module)
    return sum(parameter.numel() for parameter in module.parameters())


def subsets(num_experts: int) -> list[tuple[int, ...]]:
    """All non-empty subsets of experts, counted from 0, small ones first.

    >>> subsets(2)
    [(0,), (1,), (0, 1)]
    """
    experts = range(num_experts)
    return [members for size in experts for members in combinations(experts, size + 1)]


class SubsetLogits(nn.Module):
    r"""Logits of every subset of an assembly's experts, then of every expert's own classifier.

    The shared classifier classifies the mean features of a subset. The features of each expert are
    computed once.

    Args:
        assembly (Assembly): The trained model.

    Shapes:
        - **output:** :math:`(N, S, \mathrm{classes})`, where :math:`S = 2^E - 1 + E` (or 1 for a
          single expert, which has no classifier of its own)
    """

    def __init__(self, assembly: Assembly) -> None:
        super().__init__()
        self.assembly = assembly
        self.subsets = subsets(len(assembly.experts))

    def forward(
        self, x: Tensor, batch: Tensor | None = None, batch_size: int | None = None
    ) -> Tensor:
        """Maps clips to the logits of all subsets and experts."""
        features = self.assembly.expert_features(x, batch, batch_size)
        shared = [
            self.assembly.head(self.assembly.mean_features(features, members))
            for members in self.subsets
        ]
        return torch.stack([*shared, *self.assembly.expert_logits(features)], dim=1)


def evaluate_subsets(
    run: Run,
    model: Assembly,
    counts: dict[str, Any],
    *,
    num_views: int,
    device: torch.device | str = "cpu",
    data: EvaluationData | None = None,
) -> dict[str, Any]:
    """Evaluate every subset of an assembly's experts on the validation clips, or on others.

    Writes ``assembly.json``, ``.csv`` and ``.png`` into the run; for other clips, the names end in
    the names of the data and the split.

    Args:
        run: Defines the data, the experts and their levels.
        model: In evaluation mode; moved to ``device``.
        counts: Its :func:`assembly_summary`.
        num_views: Views drawn from each clip; their probabilities are averaged.
        device: Where to compute.
        data: The clips (default: the validation clips of the run).

    Returns:
        ``counts``, ``rows`` and the files. A row has ``experts`` (counted from 1),
        ``levels``, ``head`` (``"shared"``, or an expert's ``"own"``), ``kept`` (the needed maskable
        weights of its members, in units of the first expert), ``params_kept`` (its needed non-zero
        parameters of all kinds, in units of a dense model like the first expert), ``top1``,
        ``top5`` and ``mean_class``.

    Raises:
        InputError: The data are missing, or are not those of the run.
    """
    clips = open_clips_for(run, data).labelled()
    predictions = evaluate_model(
        SubsetLogits(model).eval(), clips.dataset, clips.config, num_views=num_views, device=device
    )
    rows = _rows(run, model, counts["experts"], predictions)
    files = {kind: clips.files.subsets(kind) for kind in ("json", "csv", "png")}
    write_subsets(files["csv"], rows)
    result = {
        "dataset": clips.config.data.dataset,
        "benchmark": clips.config.data.benchmark,
        "split": clips.split,
        **counts,
        "views": num_views,
        "rows": rows,
        "assembly_csv": str(files["csv"]),
        "assembly_png": str(files["png"]),
    }
    write_json(files["json"], result)
    plot_subsets(files["png"], rows, {})
    return result


def _rows(
    run: Run, model: Assembly, experts: Sequence[dict[str, Any]], predictions: Predictions
) -> list[dict[str, Any]]:
    """One row for each subset under the shared classifier, and for each expert under its own."""
    members = subsets(len(model.experts))
    cases = [(one, "shared") for one in members]
    cases += [((number,), "own") for number in range(len(model.experts))]
    return [
        {
            "experts": [number + 1 for number in case],
            "levels": [run.config.model.levels[number] for number in case],
            "head": head,
            **_kept_of_subset(model, experts, case, head),
            **classification_metrics(predictions.probabilities[:, column], predictions.labels),
        }
        # A single expert has no classifier of its own.
        for column, (case, head) in enumerate(cases[: predictions.probabilities.shape[1]])
    ]


def _kept_of_subset(
    model: Assembly, experts: Sequence[dict[str, Any]], members: Sequence[int], head: str
) -> dict[str, float]:
    """Needed maskable weights, and parameters of all kinds, in units of the first expert."""
    part, shared = "kept", 0
    if head == "shared":
        part = "needed"
        shared = 0 if model.shared_head is None else _numel(model.shared_head)
        # Every member has one factor in the mean.
        shared += 0 if model.expert_factors is None else len(members)
    maskable, params = (
        sum(experts[number][f"{kind}_{part}"] for number in members)
        for kind in ("maskable", "params")
    )
    return {
        "kept": maskable / experts[0]["params_maskable"],
        "params_kept": (params + shared) / experts[0]["params_total"],
    }


def write_subsets(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows of :func:`evaluate_subsets`; lists are joined by ``+``."""
    joined = [
        row
        | {name: "+".join(f"{value:g}" for value in row[name]) for name in ("experts", "levels")}
        for row in rows
    ]
    write_csv(path, list(rows[0]), joined)


def evaluate_assembly(
    folder: str | Path,
    *,
    num_views: int = 10,
    device: torch.device | str = "cpu",
    data: EvaluationData | None = None,
    checkpoint: str | None = None,
) -> dict[str, Any]:
    """Evaluate every subset of the experts of a finished run, see :func:`evaluate_subsets`.

    Args:
        folder: The run directory.
        num_views: Views drawn from each clip; their probabilities are averaged.
        device: Where to compute.
        data: The clips (default: the validation clips of the run).
        checkpoint: ``"best"`` or ``"last"`` for the weights of that checkpoint, also of an
            unfinished run; the names of the files contain it (default: the final weights).

    Raises:
        InputError: The folder holds no finished run of an assembly, or its data are missing.
    """
    run = Run.open(folder, checkpoint)
    model = run.load_model()
    if not isinstance(model, Assembly):
        raise InputError(
            f"{folder}: is a single {run.config.model.backbone}; name the run of an "
            "assembly, such as "
            "'pyg-stgcn assemble' makes"
        )
    counts = assembly_summary(run, model, run.load_masks(model))
    return evaluate_subsets(run, model, counts, num_views=num_views, device=device, data=data)
