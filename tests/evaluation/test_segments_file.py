from __future__ import annotations

from pathlib import Path

import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.segments_file import read_segments
from pyg_stgcn.evaluation.stream_metrics import Segment

CLASSES = ["walk", "sit down", "stand-up"]
UTKINECT = """s01_e01
walk: 252 390
standUp: 702 772
sitDown: 572 686

s05_e02
walk: 10 10
sitDown: NaN NaN
"""


def test_the_form_of_utkinect(tmp_path: Path) -> None:
    path = tmp_path / "actionLabel.txt"
    path.write_text(UTKINECT, encoding="utf-8")
    assert read_segments(path, CLASSES) == {
        "s01_e01": [Segment(0, 252, 391), Segment(1, 572, 687), Segment(2, 702, 773)],
        "s05_e02": [Segment(0, 10, 11)],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("walk: 1 2", r"line 1: 'walk: 1 2' comes before any recording"),
        ("a\nrun: 1 2", r"line 2: the model has no class 'run'"),
        ("a\nwalk: 1", r"line 2: 'walk: 1' is no action"),
        ("a\nwalk: 5 2", r"line 2: ends in frame 2, before its start"),
        ("a\nwalk: 5 -2", r"line 2: '5 -2' are no frames"),
        ("a\na", r"line 2: the recording 'a' comes twice"),
        ("", r"names no recording"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_segments(path, CLASSES)
