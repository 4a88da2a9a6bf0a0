from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.config_file import load_config
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.training.runner import train

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def started(tiny_pickle: Path, tmp_path: Path) -> TrainOptions:
    """Options of an unfinished run in ``tmp_path / "run"`` on its own pickle."""
    data = tmp_path / "mine.pkl"
    data.write_bytes(tiny_pickle.read_bytes())
    config = TrainOptions.of(
        dataset=str(data),
        channels=2,
        clip_frames=8,
        epochs=1,
        batch_size=12,
        eval_views=1,
        accelerator="cpu",
    )
    train(config, tmp_path / "run")
    (tmp_path / "run/summary.json").unlink()
    return config


def rewrite(path: Path, change: Change) -> None:
    content = pickle.loads(path.read_bytes())
    change(content)
    path.write_bytes(pickle.dumps(content))


def reorder(content: dict[str, Any]) -> None:
    content["meta"]["classes"] = [content["meta"]["classes"][i] for i in (1, 2, 0)]
    for annotation in content["annotations"]:
        annotation["label"] = (2, 0, 1)[annotation["label"]]


def drop_clip(content: dict[str, Any]) -> None:
    content["split"]["xsub_train"].pop()


def rename_class(content: dict[str, Any]) -> None:
    content["meta"]["classes"][1] = "waves"


def swap_clips(content: dict[str, Any]) -> None:
    train, val = content["split"]["xsub_train"], content["split"]["xsub_val"]
    train[0], val[0] = val[0], train[0]


def relabel(content: dict[str, Any]) -> None:
    for annotation in content["annotations"][:2]:
        annotation["label"] = 2


def move_center(content: dict[str, Any]) -> None:
    content["meta"]["center"] = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (reorder, "the order of the classes has changed .class 0 was 'head moves', now 'tail mov"),
        (rename_class, "the classes have changed .class 1 was 'tail moves', now 'waves'"),
        (drop_clip, "the number of train clips has changed from 36 to 35"),
        (swap_clips, "the names, classes or order of the train clips have changed"),
        (relabel, "the names, classes or order of the train clips have changed"),
        (move_center, "the skeleton has changed: center is .*, not "),
    ],
)
def test_a_run_is_not_resumed_on_other_data(
    started: TrainOptions, tmp_path: Path, change: Change, message: str
) -> None:
    rewrite(Path(started.data.dataset), change)
    before = (tmp_path / "run/config.toml").read_bytes()
    expected = rf"mine.pkl: since .* was started, {message}.* start again in another folder"
    with pytest.raises(InputError, match=expected):
        train(started, tmp_path / "run", resume=True)
    assert (tmp_path / "run/config.toml").read_bytes() == before


def test_changed_coordinates_are_told(
    started: TrainOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def shift(content: dict[str, Any]) -> None:
        content["annotations"][3]["keypoint"] += np.float32(0.5)

    rewrite(Path(started.data.dataset), shift)
    train(started, tmp_path / "run", resume=True)
    assert "coordinates of the train clips have changed since the run in" in caplog.text
    assert "coordinates of the val clips" not in caplog.text


def test_the_same_data_in_another_place(
    started: TrainOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    moved = Path(started.data.dataset).rename(tmp_path / "moved.pkl")
    train(started.replace(dataset=str(moved)), tmp_path / "run", resume=True)
    assert "changed" not in caplog.text
    config, _ = load_config(tmp_path / "run/config.toml")
    assert config.data.dataset == str(moved)
