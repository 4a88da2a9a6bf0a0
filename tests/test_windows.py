"""Lengths and strides of windows."""

from __future__ import annotations

import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.windows import Windows


@pytest.mark.parametrize(
    ("text", "fps", "step", "expected"),
    [
        ("60/15", None, 1, (60, 15)),
        ("2s/0.5s", 30, 1, (60, 15)),
        ("2s/15", 30, 1, (60, 15)),
        (" 2s / .5s ", 29.97, 1, (60, 15)),
        # Every tenth frame of a video is kept.
        ("2s/1s", 30, 10, (6, 3)),
        ("2s", 25, 1, (50, 50)),
        ("0.001s", 25, 1, (1, 1)),
    ],
)
def test_length_and_stride(
    text: str, fps: float | None, step: int, expected: tuple[int, int]
) -> None:
    assert Windows.parse(text).frames(fps, step, "walk") == expected


@pytest.mark.parametrize(
    "text",
    ["", "2 s/", "/15", "2m", "0", "0s/1s", "1.5/1", "-3", "60/15/5", "nan", "1e3", "200000"],
)
def test_what_is_no_window(text: str) -> None:
    with pytest.raises(InputError, match="write length/stride"):
        Windows.parse(text)


def test_what_does_not_fit_a_recording() -> None:
    with pytest.raises(InputError, match=r"^walk: .* such as fps=25"):
        Windows.parse("2s/0.5s").frames(None, 1, "walk")
    with pytest.raises(InputError, match="leave out 10 of every 25 frames"):
        Windows.parse("15/25").frames(None, 1, "walk")
