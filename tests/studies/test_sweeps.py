from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
from scipy import stats

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.config_file import save_config
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.studies.jobs import Job
from pyg_stgcn.studies.sweeps import plan_sweep, summarise_sweep

TOP1 = {(0, "dense"): [0.9, 0.92], (0.8, "score"): [0.85, 0.9], (0.9, "score"): [0.7, 0.6]}


@pytest.fixture
def finished(tmp_path: Path) -> list[Job]:
    """Jobs whose runs have ended as the table above says."""
    options: dict[str, object] = {"dataset": "synthetic", "epochs": 1}
    jobs = plan_sweep(tmp_path, options, (0, 0.8, 0.9), ("score",), (0, 1))
    for job in jobs:
        job.folder.mkdir()
        config = TrainOptions.of(**job.options).with_recipe(2, "xsub")
        save_config(job.files.config_file, config, {"data": {}})
        sparsity, seed = job.options["sparsity"], job.options["seed"]
        top1 = TOP1[sparsity, job.options.get("method", "dense")][seed]
        summary = {"seed": seed, "seconds": 60, "top1": top1, "mean_class": top1 / 2}
        # The sparsity at the end is not quite the target.
        summary |= {"sparsity": sparsity * 0.99, "params_kept_fraction": 1 - sparsity * 0.9}
        job.files.summary.write_text(json.dumps(summary))
    return jobs


def test_rows_compare_sparse_with_dense_runs_of_the_same_seed(
    finished: list[Job], tmp_path: Path
) -> None:
    result = summarise_sweep(finished, tmp_path)
    rows = {(row["sparsity"], row["method"]): row for row in result["rows"]}
    assert list(rows) == list(TOP1)
    dense = TOP1[0, "dense"]
    assert rows[0, "dense"]["difference"] is None
    for (sparsity, method), top1 in TOP1.items():
        row = rows[sparsity, method]
        assert (row["seeds"], row["minutes"]) == (2, 1)
        assert row["top1"] == pytest.approx(statistics.mean(top1))
        assert row["top1_deviation"] == pytest.approx(statistics.stdev(top1))
        assert row["achieved"] == pytest.approx(0.99 * sparsity)
        assert row["params_kept_fraction"] == pytest.approx(1 - 0.9 * sparsity)
        if sparsity:
            interval = stats.ttest_rel(top1, dense).confidence_interval(0.95)
            limits = [row["difference_low"], row["difference_high"]]
            assert limits == pytest.approx([interval.low, interval.high])
    assert json.loads((tmp_path / "sweep.json").read_text()) == result
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_without_dense_runs_there_is_no_difference(finished: list[Job], tmp_path: Path) -> None:
    sparse = [job for job in finished if job.options["sparsity"]]
    rows = summarise_sweep(sparse, tmp_path)["rows"]
    assert [row["difference"] for row in rows] == [None, None]


def test_runs_with_other_options_are_refused(finished: list[Job], tmp_path: Path) -> None:
    job = finished[-1]
    config = TrainOptions.of(**job.options, lr=0.5).with_recipe(2, "xsub")
    save_config(job.files.config_file, config, {"data": {}})
    with pytest.raises(InputError, match=r"has --lr 0\.5, .* cannot be compared"):
        summarise_sweep(finished, tmp_path)


def test_dense_runs_are_planned_once_a_seed(tmp_path: Path) -> None:
    jobs = plan_sweep(tmp_path, {"epochs": 1}, (0, 0.9, 0.95), ("rigl", "set"), (0, 1, 2))
    assert len(jobs) == 3 * (1 + 2 * 2)
    assert sum("method" not in job.options for job in jobs) == 3
    assert len({job.folder for job in jobs}) == len(jobs)


def test_dense_runs_have_no_penalty(tmp_path: Path) -> None:
    dense, sparse = plan_sweep(tmp_path, {"penalty": 0.1}, (0, 0.9), ("score",), (0,))
    assert "penalty" not in dense.options
    assert sparse.options["penalty"] == 0.1
