from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from pyg_stgcn.plots.saving import save

MAGIC = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


@pytest.mark.parametrize("ending", MAGIC)
def test_the_ending_selects_the_format(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"figure{ending}"
    save(Figure(), path)
    assert path.read_bytes().startswith(MAGIC[ending])


def test_a_failure_keeps_the_former_figure(tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    path.write_bytes(b"former")
    figure = Figure()
    figure.text(0, 0, "$\\frac{$")
    with pytest.raises(ValueError, match="frac"):
        save(figure, path)
    assert path.read_bytes() == b"former" and list(tmp_path.iterdir()) == [path]
