"""The examples do what they say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sparse_gcn(capsys) -> None:
    accuracy = load("sparse_gcn").main()
    # Four communities: the largest holds a third of the members.
    assert accuracy > 0.6
    printed = capsys.readouterr().out
    # Of 34 * 32 + 32 * 4 weights and 156 edges.
    assert "244 of 1216" in printed and "110 of 156" in printed


def test_traffic() -> None:
    error, naive = load("traffic").main()
    # Nobody can foresee the noise, whose mean absolute value is 0.4 * sqrt(2 / pi) = 0.319.
    assert 0.31 < error < 0.34
    assert naive > 0.38


def test_own_skeleton(tmp_path: Path) -> None:
    source = (EXAMPLES / "own_skeleton.py").read_text()
    assert len(source.splitlines()) < 40
    assert load("own_skeleton").main(tmp_path, epochs=15) > 0.8
    assert (tmp_path / "run" / "model.sparse.safetensors").exists()
