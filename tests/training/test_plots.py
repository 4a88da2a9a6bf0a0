from __future__ import annotations

from pathlib import Path

import pytest

from pyg_stgcn.training.plots import plot_subsets


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_any_number_of_controls_is_drawn(tmp_path: Path, kind: str) -> None:
    rows = [{"experts": [1], "head": "shared", "kept": 0.5, "top1": 0.9}]
    control = {"kept": 0.7, "top1": 0.8, "top1_deviation": 0.1}
    controls = {f"{kind}-{number}": control for number in range(7)}
    plot_subsets(tmp_path / "picture.png", rows, controls)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
