from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.opening import open_dataset
from pyg_stgcn.runs.options import TrainOptions

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def write(tiny_pickle: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write a pickle like the tiny one, with the clips of a range, after a change."""

    def write(name: str, clips: slice = slice(None), change: Change = lambda content: None) -> Path:
        content = pickle.loads(tiny_pickle.read_bytes())
        del content["split"]
        content["annotations"] = content["annotations"][clips]
        change(content)
        path = tmp_path / name
        path.write_bytes(pickle.dumps(content))
        return path

    return write


def config_of(dataset: Path, **options: Any) -> TrainOptions:
    return TrainOptions.of(dataset=str(dataset), **options)


def names(config: TrainOptions, split: str) -> list[str]:
    return open_dataset(config, split).names


def test_a_list_is_divided(write: Callable[..., Path]) -> None:
    path = write("mine.pkl")
    with pytest.raises(InputError, match=r"mine\.pkl: no division .*val.split.*val"):
        open_dataset(config_of(path), "train")
    config = config_of(path, val_split=0.2)
    train, val = open_dataset(config, "train"), open_dataset(config, "val")
    # A fifth of the 18 clips of each of three classes, to the nearest clip.
    assert [(val.labels == label).sum() for label in range(3)] == [4, 4, 4]
    assert sorted([*train.names, *val.names]) == names(config, "all")
    assert names(config.replace(seed=7), "val") == val.names


def test_clips_without_a_label_are_not_divided(
    write: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    def change(content: dict[str, Any]) -> None:
        for annotation in content["annotations"][:5]:
            annotation["label"] = -1

    config = config_of(write("mine.pkl", change=change), val_split=0.2)
    used = [*names(config, "train"), *names(config, "val")]
    assert sorted(used) == names(config, "all")[5:]
    assert "5 clips without a label left out" in caplog.text


def test_training_clips_are_divided_and_test_clips_are_left(write: Callable[..., Path]) -> None:
    splits = {"train": [f"clip{i:02}" for i in range(30)], "test": ["clip40", "clip41"]}
    path = write("mine.pkl", change=lambda content: content.update(split=splits))
    config = config_of(path, val_split=0.2)
    used = [*names(config, "train"), *names(config, "val")]
    assert sorted(used) == splits["train"]
    assert names(config, "test") == splits["test"]
    # Without the option they serve for validation.
    assert names(config_of(path), "val") == splits["test"]


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": ["clip00"], "val": ["clip01"]}, "has validation clips of its own, .* 'val'"),
        ({"x_train": ["clip00"], "x_validation": ["clip01"]}, "of its own, .* 'x_validation'"),
        ({"testA": ["clip00"]}, r"none of the splits of .* \(testA\) is called 'train'"),
        ({"test": ["clip00"]}, "benchmark 'default' has no train clips"),
    ],
)
@pytest.mark.parametrize("option", ["val_split", "val"])
def test_splits_that_contradict(
    write: Callable[..., Path], splits: dict[str, list[str]], message: str, option: str
) -> None:
    path = write("mine.pkl", change=lambda content: content.update(split=splits))
    value = {"val_split": 0.2, "val": str(write("val.pkl"))}[option]
    with pytest.raises(InputError, match=message):
        open_dataset(config_of(path, **{option: value}), "train")


def test_options_that_contradict(write: Callable[..., Path]) -> None:
    path = write("mine.pkl")
    with pytest.raises(InputError, match="val_split and val exclude each other"):
        open_dataset(config_of(path, val_split=0.2, val=str(path)), "train")
    for fraction in (0.0, 1.0, -0.5, 2.0):
        with pytest.raises(InputError, match=r"val.split"):
            config_of(path, val_split=fraction)


def test_labels_of_another_file_are_matched_by_name(write: Callable[..., Path]) -> None:
    def reorder(content: dict[str, Any]) -> None:
        content["meta"]["classes"] = [content["meta"]["classes"][i] for i in (1, 2, 0)]
        for annotation in content["annotations"]:
            annotation["label"] = (2, 0, 1)[annotation["label"]]

    train, val = write("a.pkl", slice(36)), write("b.pkl", slice(36, None))
    config = config_of(train, val=str(val))
    other = config.replace(val=str(write("c.pkl", slice(36, None), reorder)))
    expected, found = open_dataset(config, "val"), open_dataset(other, "val")
    assert len(expected) == 18 and len(open_dataset(config, "train")) == 36
    assert found.names == expected.names
    assert found.labels.tolist() == expected.labels.tolist()
    assert [int(data.y) for data in found] == expected.labels.tolist()
    assert found.classes == expected.classes


def test_another_file_without_meta_is_on_the_same_skeleton(write: Callable[..., Path]) -> None:
    val = write("b.pkl", slice(36, None), lambda content: content.pop("meta"))
    config = config_of(write("a.pkl", slice(36)), val=str(val))
    assert open_dataset(config, "val").skeleton == open_dataset(config, "train").skeleton


def rename_class(content: dict[str, Any]) -> None:
    content["meta"]["classes"][1] = "waves"


def move_center(content: dict[str, Any]) -> None:
    content["meta"]["center"] = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename_class, "'waves' is not among the classes of .*a.pkl; it lacks 'tail moves'"),
        (move_center, "its skeleton is not that of .*a.pkl: center is '.*', not '.*'"),
    ],
)
def test_another_file_that_does_not_fit(
    write: Callable[..., Path], change: Change, message: str
) -> None:
    config = config_of(write("a.pkl"), val=str(write("b.pkl", change=change)))
    with pytest.raises(InputError, match=rf"^val .*b\.pkl: .*{message}"):
        open_dataset(config, "val")


def test_copies_in_another_file(
    write: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(write("a.pkl", slice(36)), val=str(write("b.pkl", slice(33, None))))
    assert len(open_dataset(config, "val")) == 21
    assert "3 of its 21 clips are exact copies of training clips; leave them out" in caplog.text
    clean = config.replace(drop_leaks=True)
    assert names(clean, "val") == [f"clip{i}" for i in range(36, 54)]
    with pytest.raises(InputError, match="all clips are copies of training clips"):
        open_dataset(clean.replace(val=config.data.dataset), "val")


def test_test_clips_without_labels_cannot_validate(write: Callable[..., Path]) -> None:
    def change(content: dict[str, Any]) -> None:
        clips = [annotation["frame_dir"] for annotation in content["annotations"]]
        content["split"] = {"train": clips[:40], "test": clips[40:]}
        for annotation in content["annotations"][45:]:
            annotation["label"] = -1

    config = config_of(write("a.pkl", change=change))
    with pytest.raises(InputError, match=r"9 of the 14 val clips have no label, .*'clip45'; label"):
        open_dataset(config, "val")
    assert len(open_dataset(config.replace(val_split=0.2), "val")) == 9
