from __future__ import annotations

import click
import pytest

from pyg_stgcn.cli import main
from pyg_stgcn.cli._messages import flags_of, with_flags

FLAGS = {"hold_out": "--hold-out", "init": "--init", "out": "--out", "val_split": "--val-split"}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("hold_out 2 of 36 clips", "--hold-out 2 of 36 clips"),
        ("init a.pt: no such file", "--init a.pt: no such file"),
        ("init: leave it out", "--init: leave it out"),
        ("label the clips, or use val_split", "label the clips, or use --val-split"),
        ("choose init='a b.pt' or val_split=0.2.", "choose --init a b.pt or --val-split 0.2."),
        ("leave it out (hold_out=True)", "leave it out (--hold-out)"),
        ("noise=0.1: out of range", "noise=0.1: out of range"),
        ("a: no clips (val_split, hold_out)", "a: no clips (--val-split, --hold-out)"),
        # Words of a sentence, names of files and classes, and names of no option.
        ("left out by init, see hold_out.csv", "left out by init, see hold_out.csv"),
        ("/data/val_split: missing", "/data/val_split: missing"),
        ("class 'hold_out' has no clip", "class 'hold_out' has no clip"),
        ("initial: out of range", "initial: out of range"),
        ("out_of_range 3", "out_of_range 3"),
        ("", ""),
    ],
)
def test_arguments_are_written_as_options(message: str, expected: str) -> None:
    assert with_flags(message, FLAGS) == expected


def test_options_of_other_commands_in_a_remedy() -> None:
    message = "init: held out none; train with hold_out=0.1"
    others = {"hold_out": "--hold-out", "init": "--init"}
    assert with_flags(message, {}, others) == "init: held out none; train with --hold-out 0.1"


def test_the_flags_of_a_command_and_of_its_parts() -> None:
    context = click.Context(main)
    train, datasets = (main.get_command(context, name) for name in ("train", "datasets"))
    assert train is not None and datasets is not None
    assert flags_of(train)["batch_size"] == "--batch-size"
    assert flags_of(train)["out"] == "--out" and "json" not in flags_of(train)
    assert flags_of(datasets).keys() >= {"root", "skeleton"}
