"""`tools/setup_env.py`: what each level installs, and that no work is done twice."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).resolve().parents[1] / "tools" / "setup_env.py"
BASE = ["the build tools", "torch", "pyg-stgcn"]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The set-up of an environment in a temporary folder."""
    spec = importlib.util.spec_from_file_location("setup_env", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "VENV", tmp_path)
    for name in ("LOG", "STAMP", "USED_CONSTRAINTS"):
        monkeypatch.setattr(module, name, tmp_path / name)
    monkeypatch.setattr(module, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(module, "is_reachable", lambda url: False)
    monkeypatch.setattr(module, "cached_wheels", lambda: [])
    monkeypatch.setattr(module, "check_compiler", lambda: None)
    return module


@pytest.fixture
def set_up(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Call the tool with options; the result names everything that it installed or removed."""
    steps: list[str] = []
    installed: set[str] = set()

    def pip(title: str, command: str, *arguments: str, **texts: str) -> None:
        steps.append(title.removeprefix("installing ").removesuffix(" and its tools"))
        words = " ".join(arguments).replace("-", "_")
        packages = {name for name in ("torch_scatter", "torch_sparse") if name in words}
        (installed.difference_update if command == "uninstall" else installed.update)(packages)

    def output_of(code: str) -> str | None:
        if code == tool.SPARSE_CHECK:
            return "" if len(installed) == 2 else None
        if code == tool.SPARSE_INSTALLED:
            return " ".join(sorted(installed))
        return "2.13.0 cpu" if code == tool.TORCH_BUILD else sys.version.split()[0]

    def call(*options: str) -> list[str]:
        steps.clear()
        monkeypatch.setattr(sys, "argv", ["setup_env.py", *options])
        tool.main()
        return steps.copy()

    monkeypatch.setattr(tool, "pip", pip)
    monkeypatch.setattr(tool, "output_of", output_of)
    return call


COMPILED = ["compiling torch-scatter", "compiling torch-sparse"]


def test_the_demo_continues_without_wheels_and_the_tests_add_the_missing_part(
    set_up: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert set_up("--sparse", "prebuilt") == BASE
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "torch-sparse" in line)
    assert "continuing without torch-sparse" in line and "`make setup`" in line
    assert set_up("--sparse", "prebuilt") == []
    assert set_up("--sparse", "build") == COMPILED
    assert set_up("--sparse", "prebuilt") == set_up("--sparse", "build") == []


@pytest.mark.parametrize("cached", [[], ["/cache/torch_scatter-2.1.2.whl"]])
def test_everything_at_once_compiles_without_both_wheels(
    tool: ModuleType,
    set_up: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    cached: list[str],
) -> None:
    monkeypatch.setattr(tool, "cached_wheels", lambda: cached)
    assert set_up() == [*BASE, *COMPILED]
    assert set_up("--sparse", "prebuilt") == []


@pytest.mark.parametrize("effort", ["prebuilt", "build"])
@pytest.mark.parametrize("source", ["cache", "page"])
def test_wheels_are_taken_instead_of_compiling(
    tool: ModuleType,
    set_up: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    effort: str,
) -> None:
    page = "https://data.pyg.org/whl/torch-2.13.0+cpu.html"
    if source == "cache":
        wheels = ["/cache/torch_scatter-2.1.2.whl", "/cache/torch_sparse-0.6.18.whl"]
        monkeypatch.setattr(tool, "cached_wheels", lambda: wheels)
        title = "torch-scatter and torch-sparse, compiled earlier"
    else:
        monkeypatch.setattr(tool, "is_reachable", lambda url: url == page)
        title = f"torch-scatter and torch-sparse from {page}"
    assert set_up("--sparse", effort) == [*BASE, title]
    assert set_up("--sparse", "build") == []


def test_none_removes_them_and_the_next_level_brings_them_back(
    set_up: Callable[..., list[str]],
) -> None:
    set_up("--sparse", "build")
    assert set_up("--sparse", "none") == ["removing torch_scatter and torch_sparse"]
    assert set_up("--sparse", "none") == []
    assert set_up("--sparse", "build") == COMPILED


def test_a_changed_file_or_torch_sets_up_again(
    tool: ModuleType,
    set_up: Callable[..., list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_up()
    assert set_up("--torch", "2.12.0") == BASE
    assert set_up() == []
    changed = tmp_path / "constraints.txt"
    changed.write_text(tool.CONSTRAINTS.read_text(encoding="utf-8") + "# changed\n")
    monkeypatch.setattr(tool, "CONSTRAINTS", changed)
    assert set_up() == BASE


def test_an_interrupted_set_up_goes_on(
    tool: ModuleType, set_up: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(effort: str) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tool, "set_up_sparse", interrupt)
        set_up()
    assert set_up() == COMPILED
