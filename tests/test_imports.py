"""The sub-packages import in one direction only, and every module has a name of its own."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
#: From the top down; sub-packages in one row do not import each other.
LAYERS = (
    ("cli",),
    ("studies",),
    ("training",),
    ("evaluation",),
    ("runs", "recognition", "profiling"),
    ("runtime", "engine", "plots", "datasets"),
    ("models", "poses"),
    ("nn", "transforms"),
    ("skeletons",),
)
#: The modules at the top of the package, such as ``errors``, are below all sub-packages.
LEVEL = {name: len(LAYERS) - number for number, row in enumerate(LAYERS) for name in row}
#: Masks know nothing of skeletons, graphs or runs.
OUTSIDE_OF_SPARSITY = {"torch", "safetensors", "numpy"}


def sources() -> dict[str, Path]:
    """Every module of the package, by its dotted name below ``pyg_stgcn``."""
    found = {}
    for folder in ("pyg_stgcn", "datasets", "cli"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            parts = parts[1:] if folder == "pyg_stgcn" else parts
            found[".".join(parts).removesuffix(".__init__").removesuffix("__init__")] = path
    return found


SOURCES = sources()


def imported(path: Path) -> set[str]:
    """The dotted names that a file imports, also within functions and for types only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def sub_package(name: str) -> str:
    """The sub-package of a dotted name; empty for the modules at the top."""
    first = name.split(".")[0]
    return first if first in LEVEL or first == "sparsity" else ""


def own_imports(path: Path) -> set[str]:
    """Names below ``pyg_stgcn`` that a file imports."""
    return {n.removeprefix("pyg_stgcn.") for n in imported(path) if n.startswith("pyg_stgcn.")}


def test_every_sub_package_has_a_place() -> None:
    packages = {name.split(".")[0] for name, path in SOURCES.items() if path.parent != REPOSITORY}
    folders = {name for name in packages if any(key.startswith(f"{name}.") for key in SOURCES)}
    assert folders <= {*LEVEL, "sparsity"}


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_imports_point_down(module: str) -> None:
    # The root re-exports lazily; its own imports are for type checkers only.
    if module == "":
        return
    home = sub_package(module)
    for name in own_imports(SOURCES[module]):
        target = sub_package(name)
        if target == home:
            continue
        if home == "sparsity":
            assert target == "", f"{module} imports {name}"
        elif target == "sparsity":
            assert home != "", f"{module} imports {name}"
        else:
            assert LEVEL.get(target, 0) < LEVEL.get(home, 0), f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted(m for m in SOURCES if sub_package(m) == "sparsity"))
def test_masks_need_torch_and_safetensors_only(module: str) -> None:
    others = {name.split(".")[0] for name in imported(SOURCES[module])} - sys.stdlib_module_names
    assert others <= {*OUTSIDE_OF_SPARSITY, "pyg_stgcn"}


@pytest.mark.parametrize("module", sorted(m for m in SOURCES if sub_package(m) != "cli"))
def test_only_the_command_line_knows_click(module: str) -> None:
    assert not any(
        name.split(".")[0] in ("click", "rich_click") for name in imported(SOURCES[module])
    )


def test_no_module_name_twice() -> None:
    names = [p.stem for p in SOURCES.values() if p.stem not in ("__init__", "__main__")]
    assert [name for name, count in Counter(names).items() if count > 1] == []
