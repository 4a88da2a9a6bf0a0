from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.studies.jobs import Job
from pyg_stgcn.studies.records import (
    mean_subsets,
    read_metrics,
    read_subsets,
    read_summary,
    summary_of,
)
from pyg_stgcn.training.callbacks import METRICS

SUMMARY: dict[str, Any] = {
    "seed": 1,
    "seconds": 5.0,
    "views": 3,
    **dict.fromkeys(("top1", "mean_class", "sparsity", "params_kept_fraction"), 0.5),
}
COUNTS = {"params_total": 8, "params_kept": 4, "params_maskable": 6, "maskable_kept": 2}
SUBSET: dict[str, Any] = {
    "experts": [1],
    "levels": [0.5],
    "head": "shared",
    **dict.fromkeys(("kept", "params_kept", "top1", "top5", "mean_class"), 0.5),
}

EMPTY = {"experts": [], "kept_of_one": 1.0, "params_kept": 1, "params_kept_of_one": 1.0}


def write(folder: Path, rows: list[dict[str, Any]] | None = None, **changed: Any) -> Path:
    """The folder of a run with a summary, and the table of subsets if there is one."""
    folder.mkdir(exist_ok=True)
    summary = {k: v for k, v in (SUMMARY | changed).items() if v is not None}
    (folder / "summary.json").write_text(json.dumps(summary))
    if rows is not None:
        (folder / "assembly.json").write_text(json.dumps({"rows": rows}))
    return folder


def test_a_summary_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_summary(write(tmp_path)) == SUMMARY
    full = SUMMARY | COUNTS
    assert read_summary(write(tmp_path, **COUNTS), counts=True) == full


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"top1": None}, "top1"),
        ({"top1": "0.5"}, "top1"),
        ({"top1": 1.5}, r"top1 is 1\.5, not in \[0, 1\]"),
        ({"params_kept_fraction": -0.1}, "params_kept_fraction is -0.1"),
        ({"params_total": 8.5}, "params_total"),
        ({"assembly": {"experts": []}}, r"assembly\.kept_of_one"),
        ({"assembly": EMPTY}, "no first expert"),
    ],
)
def test_a_damaged_summary_is_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    write(tmp_path, **changed)
    with pytest.raises(InputError, match=message) as error:
        read_summary(tmp_path)
    assert str(tmp_path / "summary.json") in str(error.value)


def test_counts_are_needed_only_where_they_are_used(tmp_path: Path) -> None:
    read_summary(write(tmp_path))
    with pytest.raises(InputError, match="params_total"):
        read_summary(tmp_path, counts=True)


def test_the_summary_of_another_seed_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    assert summary_of(Job("run", tmp_path, {"seed": 1})) == SUMMARY
    with pytest.raises(InputError, match="seed is 1, but the run has 2"):
        summary_of(Job("run", tmp_path, {"seed": 2}))


def test_subsets_are_averaged_by_row(tmp_path: Path) -> None:
    other = SUBSET | {"top1": 0.75, "kept": 0.0}
    one = write(tmp_path / "one", [SUBSET, other])
    two = write(tmp_path / "two", [SUBSET | {"top1": 1.0}, other])
    first, second = mean_subsets([one, two])
    assert (first["top1"], first["kept"], second["top1"], second["kept"]) == (0.75, 0.5, 0.75, 0.0)
    assert (first["experts"], first["head"]) == ([1], "shared")


def test_subsets_of_other_experts_are_refused(tmp_path: Path) -> None:
    one = write(tmp_path / "one", [SUBSET])
    two = write(tmp_path / "two", [SUBSET | {"levels": [0.9]}])
    with pytest.raises(InputError, match="has other subsets"):
        mean_subsets([one, two])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no rows"),
        ([{k: v for k, v in SUBSET.items() if k != "top5"}], "no top5, it is of an older version"),
        ([SUBSET, SUBSET | {"top1": "high"}], r"rows\[1\]\.top1"),
    ],
)
def test_damaged_subsets_name_the_remedy(
    tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_subsets(write(tmp_path, rows))
    assert f"'pyg-stgcn evaluate {tmp_path} --views 3'" in str(error.value)


def test_a_metric_that_was_not_measured_is_none(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    values = ["1", *["0.5"] * (len(METRICS) - 2), ""]
    path.write_text(f"{','.join(METRICS)}\n{','.join(values)}\n")
    (row,) = read_metrics(path)
    assert list(row) == list(METRICS)
    assert row["epoch"] == 1 and row[METRICS[1]] == 0.5 and row[METRICS[-1]] is None


@pytest.mark.parametrize("lines", ["", "epoch\n1\n", "HEADER\n1,2\n", "HEADER\nNAN\n"])
def test_damaged_metrics_are_named(tmp_path: Path, lines: str) -> None:
    path = tmp_path / "metrics.csv"
    bad = ",".join(["1", *["nan"] * (len(METRICS) - 1)])
    path.write_text(lines.replace("HEADER", ",".join(METRICS)).replace("NAN", bad))
    with pytest.raises(InputError, match=r"metrics\.csv: damaged"):
        read_metrics(path)
