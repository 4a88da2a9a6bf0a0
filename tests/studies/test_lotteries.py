from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from pyg_stgcn.studies.lotteries import Lottery

TOP1: dict[tuple[int, str], list[float]] = {
    (0, "dense"): [0.90, 0.92, 0.94],
    (1, "ticket"): [0.91, 0.93, 0.94],  # level with dense, clearly ahead of both
    (1, "random"): [0.80, 0.83, 0.83],
    (1, "redrawn"): [0.85, 0.86, 0.88],
    (2, "ticket"): [0.90, 0.92, 0.92],  # not clearly ahead of the redrawn
    (2, "random"): [0.70, 0.71, 0.73],
    (2, "redrawn"): [0.85, 0.92, 0.90],
    (3, "ticket"): [0.80, 0.81, 0.82],  # behind dense
    (3, "random"): [0.50, 0.52, 0.50],
    (3, "redrawn"): [0.60, 0.62, 0.61],
}


def lottery(folder: Path, *, seeds: int = 3, **options: Any) -> Lottery:
    return Lottery(folder, {"dataset": "x"}, list(range(seeds)), 3, 0.2, 1, **options)


@pytest.fixture
def finished(tmp_path: Path) -> Lottery:
    """A lottery whose runs have ended as the table above says."""
    planned = lottery(tmp_path)
    for (number, variant), values in TOP1.items():
        for seed, top1 in enumerate(values):
            folder = planned.job(variant, number, seed).folder
            folder.mkdir(parents=True)
            summary = {"top1": top1, "mean_class": top1, "seed": seed, "seconds": 60.0}
            summary |= {"sparsity": 1 - 0.8**number, "params_kept_fraction": 0.8**number}
            (folder / "summary.json").write_text(json.dumps(summary))
    return planned


def test_which_tickets_win(finished: Lottery) -> None:
    result = finished.summarise()
    rows = {(row["round"], row["variant"]): row for row in result["rows"]}
    assert [rows[number, "ticket"]["wins"] for number in (1, 2, 3)] == [True, False, False]
    assert all(row["wins"] is None for (_, variant), row in rows.items() if variant != "ticket")
    assert result["verdict"] == (
        "winning tickets at 80 %; worse than dense at 51.2 %; "
        "not clearly better than redrawn at 64 % of the weights"
    )
    assert rows[0, "dense"]["top1_deviation"] == pytest.approx(0.02)
    for (number, variant), values in TOP1.items():
        row = rows[number, variant]
        assert row["top1"] == pytest.approx(statistics.mean(values))
        if variant in ("random", "redrawn"):
            leads = [a - b for a, b in zip(TOP1[number, "ticket"], values, strict=True)]
            low, high = stats.ttest_1samp(leads, 0).confidence_interval(0.95)
            found = [row[name] for name in ("lead", "lead_low", "lead_high")]
            assert found == pytest.approx([statistics.mean(leads), low, high])
        else:
            assert row["lead"] is None


def test_no_verdict_without_seeds_or_controls(finished: Lottery) -> None:
    folder = finished.folder
    for few in (lottery(folder, seeds=1), lottery(folder, controls=["random"])):
        result = few.summarise()
        assert "no verdict" in result["verdict"]
        assert all(row["wins"] is None for row in result["rows"])


def test_one_shot_has_one_stage(finished: Lottery, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int]] = []
    monkeypatch.setattr(Lottery, "_draw", lambda self, number, seed: drawn.append((number, seed)))
    iterative = [len(jobs) for _, jobs in finished.stages()]
    assert iterative == [3, 9, 9, 9]
    drawn.clear()
    one_shot = lottery(finished.folder, one_shot=True)
    assert [(name, len(jobs)) for name, jobs in one_shot.stages()] == [
        ("dense", 3),
        ("one shot", 27),
    ]
    assert len(set(drawn)) == 9
    labels = [job.label for _, jobs in one_shot.stages() for job in jobs]
    assert len(set(labels)) == len(labels) == 30
