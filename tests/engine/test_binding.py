"""The Python interface of the engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pyg_stgcn.engine import library as binding
from pyg_stgcn.engine import load
from pyg_stgcn.errors import InputError


def test_the_import_needs_numpy_only() -> None:
    """A process in which nothing else can be imported has the interface."""
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        top = name.split('.')[0]\n"
        "        if top not in {*sys.stdlib_module_names, 'numpy', 'pyg_stgcn'}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from pyg_stgcn.engine import Engine, EngineStream, load\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_library_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "_FOLDER", tmp_path)
    binding.library.cache_clear()
    with pytest.raises(InputError, match=r"library of the engine is missing.*install pyg-stgcn"):
        load(Path(__file__))
    (tmp_path / "_stgcn.so").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"_stgcn.so: cannot be loaded.*install pyg-stgcn"):
        load(Path(__file__))
    monkeypatch.undo()
    binding.library.cache_clear()
