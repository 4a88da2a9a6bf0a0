from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch_geometric

from pyg_stgcn.cache import cache_folder


def test_is_in_pygs_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYG_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "pyg_stgcn"
    assert cache_folder("zoo", "ntu60") == tmp_path / "pyg_stgcn" / "zoo" / "ntu60"


@pytest.mark.parametrize("home", ["/somewhere", "~/pyg", None])
def test_is_the_same_where_pyg_has_not_been_imported(
    home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYG_HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("PYG_HOME", home)
    expected = Path(torch_geometric.get_home_dir()) / "pyg_stgcn"
    assert cache_folder() == expected
    monkeypatch.delitem(sys.modules, "torch_geometric")
    assert cache_folder() == expected
