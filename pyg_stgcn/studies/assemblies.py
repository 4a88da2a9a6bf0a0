"""Assemblies over several seeds, compared with their controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.subsets import write_subsets
from pyg_stgcn.plots.studies import plot_subsets
from pyg_stgcn.studies.jobs import Job
from pyg_stgcn.studies.over_seeds import NO_DIFFERENCE, means, paired_difference
from pyg_stgcn.studies.records import mean_subsets, summary_of
from pyg_stgcn.studies.sweeps import check_alike
from pyg_stgcn.tables import write_csv, write_json

CONTROLS = ("dense", "sparse", "equal")
_ASSEMBLY = "assembly"
_COLUMNS = (
    "name",
    "seeds",
    "top1",
    "top1_deviation",
    "mean_class",
    "kept",
    "params_kept",
    "difference",
    "difference_low",
    "difference_high",
    "minutes",
)
_SINGLE = ("dense", "sparse")
#: Options of an assembly that a single model does not have.
_OF_ASSEMBLIES = ("levels", "experts", "learned_weights")
#: Options that prune, or that need a pruned model.
_OF_PRUNING = ("edge_sparsity", "penalty", "penalty_groups")


def plan_assemblies(
    folder: Path,
    options: Mapping[str, object],
    levels: Sequence[float],
    controls: Sequence[str],
    seeds: Sequence[int],
) -> list[Job]:
    """Plan one training of the assembly, and one of each control, for each seed.

    ``"dense"`` is a dense model of the backbone, or one of each if they differ. ``"sparse"`` is a
    single model that keeps as many weights as all experts together. ``"equal"`` is an assembly of
    as many experts that keeps as many weights, but all experts have the same sparsity.

    Args:
        folder: Of the whole comparison. The folder of a run is named after its model and seed.
        options: Options of all runs, and those of the assembly.
        levels: Sparsity of each expert.
        controls: Any of :data:`CONTROLS`.
        seeds: Seeds of the assembly and of every control.

    Raises:
        InputError: A control does not exist for these levels or experts, or cannot start from the
            weights of ``init``.
    """
    _check_controls(options, controls)
    single = {name: value for name, value in options.items() if name not in _OF_ASSEMBLIES}
    experts = options.get("experts")
    backbones = list(dict.fromkeys(experts)) if isinstance(experts, list) else []
    variants: dict[str, dict[str, object]] = {_ASSEMBLY: {**options, "levels": list(levels)}}
    if "dense" in controls:
        dense = {name: value for name, value in single.items() if name not in _OF_PRUNING}
        for name in backbones or [None]:
            label = "dense" if len(backbones) < 2 else f"dense-{name}"
            variants[label] = dense if name is None else {**dense, "backbone": name}
    if "sparse" in controls:
        only = {"backbone": backbones[0]} if backbones else {}
        variants["sparse"] = {**single, **only, "sparsity": total_sparsity(levels)}
    if "equal" in controls:
        mean = round(sum(levels) / len(levels), 12)
        variants["equal"] = {**options, "levels": [mean] * len(levels)}
    return [
        Job(f"{label}-seed{seed}", folder / f"{label}-seed{seed}", {**variant, "seed": seed})
        for seed in seeds
        for label, variant in variants.items()
    ]


def _check_controls(options: Mapping[str, object], controls: Sequence[str]) -> None:
    experts = options.get("experts")
    if isinstance(experts, list) and len(set(experts)) > 1:
        why = {
            "sparse": "so there is no single one to keep their weights",
            "equal": "and those of equal sparsity would keep another number of weights",
        }
        for name in controls:
            if name in why:
                raise InputError(
                    f"control {name!r}: the experts are of different backbones, {why[name]}; "
                    "leave it out of the controls"
                )
    single = [name for name in controls if name in _SINGLE]
    if options.get("init") is not None and single:
        raise InputError(
            f"init {options['init']}: an assembly's weights do not fit the single models of the "
            f"controls ({', '.join(single)}); leave out either"
        )


def total_sparsity(levels: Sequence[float]) -> float:
    """Sparsity of a single model with as many kept weights as all experts together.

    Raises:
        InputError: The experts keep as many weights as a dense model, or more.
    """
    kept = round(sum(1 - level for level in levels), 12)
    if kept >= 1:
        raise InputError(
            f"control 'sparse': the experts keep {kept:g} times the weights of one dense model; "
            "leave it out of the controls, or raise the levels"
        )
    return round(1 - kept, 12)


def summarise_assemblies(
    jobs: Sequence[Job], folder: Path, figure: Path | None = None
) -> dict[str, Any]:
    """Write the tables and the figure of finished runs.

    The files are ``assemble.json``, ``assemble.csv``, ``subsets.csv`` and ``assemble.png``.

    Args:
        jobs: Finished trainings of :func:`plan_assemblies`.
        folder: Folder of the results.
        figure: Another file for the figure, such as a PDF.

    Returns:
        ``rows``, one of the assembly and of each control, with means over the seeds: ``kept``, the
        kept maskable weights in units of one expert; ``params_kept``, the non-zero parameters of
        all kinds that a prediction needs, in units of one dense model; ``difference``, the mean
        difference in top-1 between the assembly and this control of the same seed, with its 95 %
        confidence interval (Student's t). ``subsets``: means over the seeds of every subset of the
        experts. And the paths of the files.

    Raises:
        InputError: The runs differ in options that should be the same.
    """
    varied = {"backbone", "sparsity", "seed", *_OF_ASSEMBLIES}
    dense = [job for job in jobs if job.label.startswith("dense")]
    check_alike([job for job in jobs if job not in dense], varied)
    check_alike([jobs[0], *dense], varied | set(_OF_PRUNING))
    groups: dict[str, list[dict[str, Any]]] = {}
    for job in jobs:
        summary = summary_of(job, counts=True)
        if ("assembly" in summary) != bool(job.options.get("levels")):
            raise InputError(
                f"{job.files.summary}: is not that of {job.label}; train the run again "
                "in another folder"
            )
        name = job.label.removesuffix(f"-seed{summary['seed']}")
        groups.setdefault(name, []).append(summary)
    one = groups[_ASSEMBLY][0]["assembly"]["experts"][0]
    rows = [_row(name, group, groups[_ASSEMBLY], one) for name, group in groups.items()]
    subsets = mean_subsets([job.folder for job in jobs if job.label.startswith(f"{_ASSEMBLY}-")])
    files = {name: folder / name for name in ("assemble.csv", "subsets.csv", "assemble.png")}
    write_csv(files["assemble.csv"], _COLUMNS, rows)
    write_subsets(files["subsets.csv"], subsets)
    result = {
        "rows": rows,
        "subsets": subsets,
        "runs": [str(job.folder) for job in jobs],
        "csv": str(files["assemble.csv"]),
        "subsets_csv": str(files["subsets.csv"]),
        "png": str(files["assemble.png"]),
    }
    write_json(folder / "assemble.json", result)
    controls = {row["name"]: row for row in rows if row["name"] != _ASSEMBLY}
    plot_subsets((files["assemble.png"], figure), subsets, controls)
    return result


def _row(
    name: str,
    group: Sequence[dict[str, Any]],
    assemblies: Sequence[dict[str, Any]],
    one: Mapping[str, Any],
) -> dict[str, Any]:
    kept = [_kept(run, one) for run in group]
    params = [run.get("assembly", run)["params_kept"] / one["params_total"] for run in group]
    row: dict[str, Any] = {
        "name": name,
        "kept": float(np.mean(kept)),
        "params_kept": float(np.mean(params)),
        **means(group),
        **NO_DIFFERENCE,
    }
    if name == _ASSEMBLY:
        return row
    # Jobs are ordered by seed, so both lists match.
    pairs = [ours["top1"] - run["top1"] for ours, run in zip(assemblies, group, strict=True)]
    return row | paired_difference(pairs)


def _kept(run: Mapping[str, Any], one: Mapping[str, Any]) -> float:
    if "assembly" in run:
        return float(run["assembly"]["kept_of_one"])
    return float(run["maskable_kept"] / one["params_maskable"])
