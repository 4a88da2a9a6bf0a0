from __future__ import annotations

from pathlib import Path

from pyg_stgcn.studies.sweeps import plan_sweep


def test_dense_runs_are_planned_once_a_seed(tmp_path: Path) -> None:
    jobs = plan_sweep(tmp_path, {"epochs": 1}, (0, 0.9, 0.95), ("rigl", "set"), (0, 1, 2))
    assert len(jobs) == 3 * (1 + 2 * 2)
    assert sum("method" not in job.options for job in jobs) == 3
    assert len({job.folder for job in jobs}) == len(jobs)


def test_dense_runs_have_no_penalty(tmp_path: Path) -> None:
    dense, sparse = plan_sweep(tmp_path, {"penalty": 0.1}, (0, 0.9), ("score",), (0,))
    assert "penalty" not in dense.options
    assert sparse.options["penalty"] == 0.1


def test_a_command_has_all_options(tmp_path: Path) -> None:
    options: dict[str, object] = {"dataset": "synthetic", "scale": False}
    options |= {"freeze_backbone": True, "clip_frames": 8}
    (job,) = plan_sweep(
        tmp_path, options | {"augment": {"mirror": 0.5, "noise": 0.1}}, (0,), (), (1,)
    )
    assert job.words == [
        *("train", "--dataset", "synthetic", "--no-scale", "--freeze-backbone"),
        *("--clip-frames", "8", "--augment", "mirror=0.5", "--augment", "noise=0.1"),
        *("--sparsity", "0", "--seed", "1", "--root", str(Path("data").absolute())),
        *("--out", str(tmp_path / "dense-seed1")),
    ]
