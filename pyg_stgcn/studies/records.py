"""Results that finished runs have written, read for a comparison."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pyg_stgcn.checked import brief, check_entries, shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.jsonfile import read_json, read_text
from pyg_stgcn.runs.run_files import RunFiles
from pyg_stgcn.studies.jobs import Job
from pyg_stgcn.training.callbacks import METRICS

_FRACTIONS = ("top1", "mean_class", "sparsity", "params_kept_fraction")
_SUMMARY: dict[str, Any] = {
    "seed": int,
    "seconds": float,
    **dict.fromkeys(_FRACTIONS, float),
}
_COUNTS = dict.fromkeys(("params_total", "params_kept", "params_maskable", "maskable_kept"), int)
_ASSEMBLY: dict[str, Any] = {
    "experts": list[dict],
    "kept_of_one": float,
    "params_kept": int,
    "params_kept_of_one": float,
}
#: Entries of a subset of experts that are averaged over seeds.
_AVERAGED = ("kept", "params_kept", "top1", "top5", "mean_class")
_SUBSET: dict[str, Any] = {"experts": list[int], "levels": list[float], "head": str}
_SUBSET |= dict.fromkeys(_AVERAGED, float)


def read_summary(folder: Path, *, counts: bool = False) -> dict[str, Any]:
    """The ``summary.json`` of a finished run.

    Args:
        folder: The run directory.
        counts: Whether the numbers of parameters are required too.

    Raises:
        InputError: It is missing or damaged, or a required entry is missing or of another type.
    """
    path = RunFiles(folder).summary
    remedy = "put the file back as the run wrote it, or train the run again in another folder"
    summary = read_json(path, remedy)
    check_entries(summary, _SUMMARY, path, remedy)
    check_entries(summary, _COUNTS, path, remedy, all_needed=counts)
    for name in _FRACTIONS:
        if not 0 <= summary[name] <= 1:
            raise InputError(f"{path}: {name} is {summary[name]}, not in [0, 1]; {remedy}")
    if "assembly" in summary:
        check_entries(summary["assembly"], _ASSEMBLY, path, remedy, "assembly.")
        experts = summary["assembly"]["experts"]
        for number, expert in enumerate(experts):
            needed = {"params_total": int, "params_maskable": int}
            check_entries(expert, needed, path, remedy, f"assembly.experts[{number}].")
        if not experts or not experts[0]["params_total"] or not experts[0]["params_maskable"]:
            raise InputError(f"{path}: assembly.experts has no first expert; {remedy}")
    return summary


def summary_of(job: Job, *, counts: bool = False) -> dict[str, Any]:
    """The ``summary.json`` of a finished training.

    Args:
        job: The training.
        counts: As for :func:`read_summary`.

    Raises:
        InputError: As :func:`read_summary`, or it is of another seed.
    """
    summary = read_summary(job.folder, counts=counts)
    seed = job.options.get("seed", 0)
    if summary["seed"] != seed:
        raise InputError(
            f"{job.files.summary}: seed is {summary['seed']}, but the run has {seed}; "
            "train the run again in another folder"
        )
    return summary


def read_subsets(folder: Path) -> list[dict[str, Any]]:
    """The rows of an assembly's ``assembly.json``, one for each subset of its experts.

    Raises:
        InputError: It is missing, damaged, or lacks entries.
    """
    path = RunFiles(folder).subsets("json")
    views = shown(read_summary(folder).get("views"))
    remedy = f"evaluate the run again with 'pyg-stgcn evaluate {folder} --views {views}'"
    content = read_json(path, remedy)
    check_entries(content, {"rows": list[dict]}, path, remedy)
    rows: list[dict[str, Any]] = content["rows"]
    if not rows:
        raise InputError(f"{path}: has no rows; {remedy}")
    if missing := [name for name in _AVERAGED if name not in rows[0]]:
        raise InputError(f"{path}: no {missing[0]}, it is of an older version; {remedy}")
    for number, row in enumerate(rows):
        check_entries(row, _SUBSET, path, remedy, f"rows[{number}].")
    return rows


def mean_subsets(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Means over the seeds of the rows of several assemblies.

    Args:
        folders: Of runs with the same experts.

    Raises:
        InputError: A file is missing or damaged, or the assemblies differ in their experts.
    """
    tables = [read_subsets(folder) for folder in folders]
    same = ("experts", "levels", "head")
    cases = [[[row[name] for name in same] for row in rows] for rows in tables]
    for folder, case in zip(folders, cases, strict=True):
        if case != cases[0]:
            raise InputError(
                f"{RunFiles(folder).subsets('json')}: has other subsets than that of {folders[0]}; "
                f"evaluate both runs again with 'pyg-stgcn evaluate'"
            )
    return [
        rows[0] | {name: float(np.mean([row[name] for row in rows])) for name in _AVERAGED}
        for rows in zip(*tables, strict=True)
    ]


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of a ``metrics.csv``; a metric that an epoch did not measure is ``None``.

    Raises:
        InputError: It is missing or damaged.
    """
    remedy = "put the file back as the run wrote it, or train the run again in another folder"
    try:
        header, *lines = csv.reader(read_text(path, remedy).splitlines())
        if header != list(METRICS):
            raise ValueError(f"does not begin with {','.join(METRICS)}")
        return [_metrics_of(line) for line in lines]
    except (ValueError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged ({brief(error)}); {remedy}") from None


def _metrics_of(line: Sequence[str]) -> dict[str, float | None]:
    values = [float(value) if value else None for value in line]
    row = dict(zip(METRICS, values, strict=True))
    if row["epoch"] is None or not all(math.isfinite(value or 0) for value in values):
        raise ValueError(f"{shown(line)} are not the numbers of an epoch")
    return row
