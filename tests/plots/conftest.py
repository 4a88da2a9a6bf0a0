from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from pyg_stgcn.plots import saving


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that would be saved; no file is written, which takes most of the time."""
    figures: list[Figure] = []
    monkeypatch.setattr(saving, "save", lambda figure, path: figures.append(figure))
    return figures
