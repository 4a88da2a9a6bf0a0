from __future__ import annotations

import pytest

from pyg_stgcn.titles import fit_title, text_width


@pytest.mark.parametrize(
    "title",
    [
        "waving with one hand, seen from the side and from above, for a long time",
        "a1_s1_t1_" + 40 * "skeleton_",
        "$$ ^{ " * 20,
        "W" * 120,
        "dataset: clip\nclass: drink water",
    ],
)
def test_lines_fit_and_nothing_is_lost(title: str) -> None:
    fitted = fit_title(title, "medium", 3.0)
    lines = fitted.split("\n")
    assert max(text_width(line, "medium") for line in lines) <= 3.0
    assert "".join(fitted.split()) == "".join(title.split()) or lines[-1] == "..."
    assert len(lines) <= 6


def test_what_fits_stays_as_it_is() -> None:
    assert fit_title("dataset: clip\nclass: 3", "medium", 4.0) == "dataset: clip\nclass: 3"
    assert fit_title("", "medium", 4.0) == ""


def test_names_of_files_that_are_no_text() -> None:
    assert fit_title("clip \udcff", "medium", 4.0) == "clip ?"
    assert len(fit_title(10**6 * "x", "medium", 2.0).split("\n")) == 6


def test_a_larger_font_is_wider() -> None:
    assert text_width("frame 10 of 100", "large") > text_width("frame 10 of 100", "small") > 0.5
