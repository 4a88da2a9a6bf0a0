from __future__ import annotations

from pathlib import Path

import pytest

from pyg_stgcn.runs.run_files import RunFiles, resume_command, run_folder_of

FOLDER = Path("runs/a")


def test_results_are_named_after_the_checkpoint_and_the_data() -> None:
    own = RunFiles(FOLDER)
    assert own.evaluation == FOLDER / "evaluation.json"
    assert own.robustness("-0.75-block", "csv") == FOLDER / "robustness-0.75-block.csv"
    other = RunFiles(FOLDER, checkpoint="best", data_name="mine-test")
    assert other.evaluation == FOLDER / "evaluation-best-mine-test.json"
    assert other.confusion("png") == FOLDER / "confusion-best-mine-test.png"
    assert other.held_out_predictions.suffix == own.predictions.suffix == ".npz"


def test_files_of_the_training_are_the_same_for_all_checkpoints() -> None:
    best = RunFiles(FOLDER, checkpoint="best", data_name="mine")
    own = RunFiles(FOLDER)
    for name in ("config_file", "metrics", "curves", "weights", "masks", "summary"):
        assert getattr(best, name) == getattr(own, name)


def test_every_file_has_a_place_of_its_own() -> None:
    files = RunFiles(FOLDER, checkpoint="last")
    names = [name for name, value in vars(RunFiles).items() if isinstance(value, property)]
    places = [getattr(files, name) for name in names if not name.startswith("is_")]
    places += [files.confusion("csv"), files.subsets("csv"), files.robustness("", "csv")]
    places += [files.early_weights(0), files.early_weights(1)]
    assert len(set(places)) == len(places) > 15
    assert all(place.is_relative_to(FOLDER) for place in places)


def test_started_and_finished(tmp_path: Path) -> None:
    files = RunFiles(tmp_path)
    assert not files.is_started and not files.is_finished
    files.config_file.touch()
    assert files.is_started and not files.is_finished
    files.summary.touch()
    assert files.is_finished


@pytest.mark.parametrize("name", ["weights", "last_checkpoint", "best_checkpoint"])
def test_the_run_of_a_file(name: str) -> None:
    assert run_folder_of(getattr(RunFiles(FOLDER), name)) == FOLDER


def test_a_command_for_a_shell() -> None:
    assert resume_command(Path("a b")) == "'pyg-stgcn train --resume --out 'a b''"
    assert resume_command(Path("a"), 2).endswith(" --out a' and the same options on all machines")
