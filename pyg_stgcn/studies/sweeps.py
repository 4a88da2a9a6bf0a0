"""Sweeps: runs over several sparsities, methods and seeds, compared in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pyg_stgcn.errors import InputError
from pyg_stgcn.plots.studies import plot_sweep
from pyg_stgcn.runs.config_file import load_config
from pyg_stgcn.runs.options import OPTIONS, PLACEMENT
from pyg_stgcn.runs.recipe import MaskPlan
from pyg_stgcn.runs.same_data import find_change
from pyg_stgcn.studies.jobs import Job
from pyg_stgcn.studies.over_seeds import NO_DIFFERENCE, means, paired_difference
from pyg_stgcn.studies.records import summary_of
from pyg_stgcn.tables import write_csv, write_json

_DENSE = "dense"
#: Options that a dense run would refuse.
_PENALTY = {"penalty", "penalty_groups"}
_COLUMNS = (
    "method",
    "sparsity",
    "achieved",
    "seeds",
    "top1",
    "top1_deviation",
    "mean_class",
    "difference",
    "difference_low",
    "difference_high",
    "params_kept_fraction",
    "minutes",
)


def plan_sweep(
    folder: Path,
    options: Mapping[str, object],
    sparsities: Sequence[float],
    methods: Sequence[str],
    seeds: Sequence[int],
) -> list[Job]:
    """Plan one training for each combination, and one dense training without penalty a seed.

    Args:
        folder: Of the whole sweep. The folder of a run is named after its sparsity, method and
            seed.
        options: Options of all runs.
        sparsities: 0 means dense.
        methods: Pruning methods.
        seeds: Seeds of every combination.
    """
    jobs = {}
    for seed in seeds:
        for sparsity in sparsities:
            for method in methods if sparsity else [_DENSE]:
                label = _DENSE if method == _DENSE else f"{method}-{sparsity:g}"
                varied: dict[str, object] = {"sparsity": sparsity, "seed": seed}
                if sparsity:
                    varied["method"] = method
                left_out = set() if sparsity else _PENALTY
                common = {name: value for name, value in options.items() if name not in left_out}
                label = f"{label}-seed{seed}"
                jobs[label] = Job(label, folder / label, {**common, **varied})
    return list(jobs.values())


def summarise_sweep(
    jobs: Sequence[Job], folder: Path, figure: Path | None = None
) -> dict[str, Any]:
    """Write the table and figure of finished runs: ``sweep.json``, ``.csv`` and ``.png``.

    ``difference`` is the mean difference in top-1 between a run and the dense one of the same seed,
    with the limits of its 95 % confidence interval (Student's t, for paired samples). It is missing
    without two seeds or without dense runs. ``achieved`` is the sparsity at the end, which may
    differ a little from the target, for example where whole channels are pruned.

    Args:
        jobs: Finished trainings.
        folder: Folder of the results.
        figure: Another file for the figure, such as a PDF.

    Returns:
        ``rows`` and ``runs``, and the files.

    Raises:
        InputError: The runs differ in more than sparsity, method and seed.
    """
    of_method = {*MaskPlan._fields, "score_lr", "score_weight_decay"}
    check_alike(jobs, {"sparsity", "method", "seed", *of_method, *_PENALTY})
    runs = [{**_read(job), "folder": str(job.folder)} for job in jobs]
    groups: dict[tuple[float, str], list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault((run["target"], run["method"]), []).append(run)
    dense = {run["seed"]: run["top1"] for run in runs if run["method"] == _DENSE}
    rows = [_row(group, dense) for _, group in sorted(groups.items())]
    files = {kind: folder / f"sweep.{kind}" for kind in ("json", "csv", "png")}
    write_csv(files["csv"], _COLUMNS, rows)
    result = {"rows": rows, "runs": runs, "csv": str(files["csv"]), "png": str(files["png"])}
    write_json(files["json"], result)
    points = [{**row, "sparsity": row["achieved"]} for row in rows]
    plot_sweep((files["png"], figure), points, "sweep: accuracy of sparse networks")
    return result


def check_alike(jobs: Sequence[Job], varied: set[str]) -> None:
    """Raise an error if runs differ in other options than the varied ones and the hardware."""
    loaded = [load_config(job.files.config_file) for job in jobs]
    configs = [config.flat() for config, _ in loaded]
    for job, (_, metadata) in zip(jobs, loaded, strict=True):
        change = find_change(loaded[0][1].get("data", {}), metadata.get("data", {}))
        if change is not None:
            raise InputError(
                f"{job.folder}: was trained on other data than {jobs[0].folder}: {change}; they "
                "cannot be compared, name another folder"
            )
    for job, config in zip(jobs, configs, strict=True):
        for name, value in config.items():
            if name not in varied | PLACEMENT and value != configs[0][name]:
                raise InputError(
                    f"{job.folder}: has {OPTIONS[name].flag} {value}, {jobs[0].folder} has "
                    f"{configs[0][name]}; they cannot be compared, name another folder"
                )


def _read(job: Job) -> dict[str, Any]:
    summary = summary_of(job)
    names = ("top1", "mean_class", "sparsity", "params_kept_fraction", "seconds", "seed")
    method = job.options.get("method", _DENSE)
    return {"method": method, "target": job.options["sparsity"]} | {n: summary[n] for n in names}


def _row(group: Sequence[dict[str, Any]], dense: Mapping[int, float]) -> dict[str, Any]:
    row = {
        "method": group[0]["method"],
        "sparsity": group[0]["target"],
        "achieved": float(np.mean([run["sparsity"] for run in group])),
        **means(group, ["params_kept_fraction"]),
        **NO_DIFFERENCE,
    }
    pairs = [run["top1"] - dense[run["seed"]] for run in group if run["seed"] in dense]
    compared = row["method"] != _DENSE and len(pairs) == len(group)
    return row | paired_difference(pairs) if compared else row
