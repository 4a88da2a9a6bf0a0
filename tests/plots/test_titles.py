from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from pyg_stgcn.plots.saving import save
from pyg_stgcn.plots.titles import fit_title, missing_glyphs_reported, text_width


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


def test_characters_without_a_glyph_are_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    figure = Figure()
    figure.subplots().set(title="走路 走", xlabel="走路")
    save(figure, tmp_path / "figure.png")
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}/figure.png: 2 characters of names are not in the font of the figure and "
        "drawn as boxes"
    ]
    assert not recwarn
    with pytest.warns(UserWarning, match="other"), missing_glyphs_reported(tmp_path):
        warnings.warn("other", stacklevel=1)
