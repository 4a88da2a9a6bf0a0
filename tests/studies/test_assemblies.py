from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.config_file import save_config
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.studies.assemblies import plan_assemblies, summarise_assemblies, total_sparsity
from pyg_stgcn.studies.jobs import Job

TOP1 = {"assembly": [0.9, 0.95, 0.92], "dense": [0.85, 0.88, 0.9], "sparse": [0.9, 0.8, 0.7]}
EXPERT = {"params_total": 100, "params_maskable": 80}


def summary(job: Job, top1: float) -> dict[str, Any]:
    """The summary of a run of 100 parameters, 80 of them maskable."""
    kept = {"assembly": 0.6, "dense": 1.0, "sparse": 0.5}[job.label.split("-")[0]]
    content: dict[str, Any] = {"seed": job.options["seed"], "seconds": 120, "views": 1}
    content |= {"top1": top1, "mean_class": top1, "sparsity": 1 - kept}
    content |= {"params_total": 100, "params_maskable": 80, "maskable_kept": round(80 * kept)}
    params = 20 + content["maskable_kept"]
    content |= {"params_kept": params, "params_kept_fraction": params / 100}
    if job.options.get("levels"):
        counts = {"kept_of_one": kept, "params_kept": params, "params_kept_of_one": params / 100}
        content["assembly"] = {"experts": [EXPERT, EXPERT], **counts}
    return content


@pytest.fixture
def finished(tmp_path: Path) -> list[Job]:
    """Jobs whose runs have ended as the table above says."""
    options: dict[str, object] = {"dataset": "synthetic", "epochs": 1}
    jobs = plan_assemblies(tmp_path, options, (0.6, 0.8), ("dense", "sparse"), (0, 1, 2))
    for job in jobs:
        name, seed = job.label.split("-")[0], job.options["seed"]
        job.folder.mkdir()
        config = TrainOptions.of(**job.options).with_recipe(2, "xsub")
        save_config(job.files.config_file, config, {"data": {}})
        job.files.summary.write_text(json.dumps(summary(job, TOP1[name][seed])))
        if name == "assembly":
            row: dict[str, Any] = {"experts": [1], "levels": [0.6], "head": "shared"}
            row |= {"kept": 0.4, "params_kept": 0.5, "top5": 1.0}
            row |= {"top1": TOP1[name][seed], "mean_class": 0.5}
            both = row | {"experts": [1, 2], "levels": [0.6, 0.8], "kept": 0.6}
            job.files.subsets("json").write_text(json.dumps({"rows": [row, both]}))
    return jobs


def test_rows_compare_runs_of_the_same_seed(finished: list[Job], tmp_path: Path) -> None:
    result = summarise_assemblies(finished, tmp_path)
    rows = {row["name"]: row for row in result["rows"]}
    assert list(rows) == ["assembly", "dense", "sparse"]
    assert [rows[name]["kept"] for name in rows] == pytest.approx([0.6, 1.0, 0.5])
    assert [rows[name]["params_kept"] for name in rows] == pytest.approx([0.68, 1.0, 0.6])
    assert rows["assembly"]["difference"] is None
    for name in ("dense", "sparse"):
        pairs = [ours - one for ours, one in zip(TOP1["assembly"], TOP1[name], strict=True)]
        test = stats.ttest_rel(TOP1["assembly"], TOP1[name]).confidence_interval(0.95)
        found = [rows[name][f"difference{part}"] for part in ("", "_low", "_high")]
        assert found == pytest.approx([statistics.mean(pairs), test.low, test.high])
    with Path(result["csv"]).open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["name"] for row in table] == list(rows)
    assert [float(row["top1"]) for row in table] == [row["top1"] for row in rows.values()]
    assert Path(result["png"]).read_bytes().startswith(b"\x89PNG")


def test_subsets_are_means_over_the_seeds(finished: list[Job], tmp_path: Path) -> None:
    result = summarise_assemblies(finished, tmp_path)
    assert [row["experts"] for row in result["subsets"]] == [[1], [1, 2]]
    for row in result["subsets"]:
        assert row["top1"] == pytest.approx(statistics.mean(TOP1["assembly"]))
    lines = Path(result["subsets_csv"]).read_text().splitlines()
    assert len(lines) == 3 and "1+2" in lines[2]


def test_runs_with_other_options_are_refused(finished: list[Job], tmp_path: Path) -> None:
    job = finished[-1]
    config = TrainOptions.of(**job.options, clip_frames=5).with_recipe(2, "xsub")
    save_config(job.files.config_file, config, {"data": {}})
    with pytest.raises(InputError, match=r"has --clip-frames 5, .* cannot be compared"):
        summarise_assemblies(finished, tmp_path)


def test_the_summary_of_a_single_model_is_not_that_of_an_assembly(
    finished: list[Job], tmp_path: Path
) -> None:
    assembly, dense, *_ = finished
    assembly.files.summary.write_bytes(dense.files.summary.read_bytes())
    with pytest.raises(InputError, match="is not that of assembly-seed0"):
        summarise_assemblies(finished, tmp_path)


def test_controls_of_the_same_total(tmp_path: Path) -> None:
    levels = (0.6, 0.8, 0.95, 0.99)
    options = {"backbone": "dgstgcn", "learned_weights": True, "epochs": 2}
    jobs = plan_assemblies(tmp_path, options, levels, ("dense", "sparse", "equal"), (0, 1))
    made = {job.label: job.options for job in jobs}
    assert len(made) == len({job.folder for job in jobs}) == 8
    assert made["assembly-seed1"] == {**options, "levels": list(levels), "seed": 1}
    assert made["dense-seed0"] == {"backbone": "dgstgcn", "epochs": 2, "seed": 0}
    assert made["sparse-seed0"] == {**made["dense-seed0"], "sparsity": 0.34}
    assert made["equal-seed0"] == {**options, "levels": [0.835] * 4, "seed": 0}


def test_of_a_dense_control_nothing_is_pruned_or_penalised(tmp_path: Path) -> None:
    pruned = {"edge_sparsity": 0.5, "penalty": 0.1, "penalty_groups": "input"}
    options = {**pruned, "exclude": "head.*,stem.*"}
    jobs = plan_assemblies(tmp_path, options, (0.6, 0.9), ("dense", "sparse", "equal"), (0,))
    made = {job.label: job.options for job in jobs}
    assert made["dense-seed0"] == {"exclude": "head.*,stem.*", "seed": 0}
    for name in ("assembly", "sparse", "equal"):
        assert made[f"{name}-seed0"].items() >= options.items()


def test_controls_of_a_mixture(tmp_path: Path) -> None:
    options = {"experts": ["stgcn", "ctrgcn", "stgcn"]}
    jobs = plan_assemblies(tmp_path, options, (0.5, 0.9, 0.9), ("dense",), (0,))
    assert [job.label for job in jobs] == [
        *("assembly-seed0", "dense-stgcn-seed0", "dense-ctrgcn-seed0")
    ]
    assert jobs[2].options == {"backbone": "ctrgcn", "seed": 0}
    for control in ("sparse", "equal"):
        with pytest.raises(InputError, match=f"'{control}': the experts are of different"):
            plan_assemblies(tmp_path, options, (0.5, 0.9, 0.9), (control,), (0,))


def test_experts_may_keep_more_than_one_dense_model() -> None:
    assert total_sparsity((0.5, 0.6)) == 0.1
    # In floats a sum just below one, of weights that a dense model has too.
    with pytest.raises(InputError, match="keep 1 times the weights"):
        total_sparsity((0.9,) * 10)
    with pytest.raises(InputError, match=r"keep 1\.4 times the weights"):
        total_sparsity((0.1, 0.5))
