from __future__ import annotations

from pathlib import Path

import pytest

from pyg_stgcn.cache import cache_folder


def test_is_in_pygs_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYG_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "pyg_stgcn"
    assert cache_folder("zoo", "ntu60") == tmp_path / "pyg_stgcn" / "zoo" / "ntu60"
