from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import pyg_stgcn

REPOSITORY = Path(__file__).resolve().parents[1]


def packages_in_tree() -> dict[str, str]:
    """Dotted name and folder of every package in the repository."""
    packages = {}
    for folder, name in (
        ("pyg_stgcn", "pyg_stgcn"),
        ("datasets", "pyg_stgcn.datasets"),
        ("cli", "pyg_stgcn.cli"),
    ):
        for init in (REPOSITORY / folder).rglob("__init__.py"):
            inner = init.parent.relative_to(REPOSITORY / folder).parts
            packages[".".join([name, *inner])] = str(init.parent.relative_to(REPOSITORY))
    return packages


def test_version_is_that_of_the_installed_package() -> None:
    assert pyg_stgcn.__version__ == version("pyg-stgcn")


@pytest.mark.parametrize("name", pyg_stgcn.__all__)
def test_public_name_resolves(name: str) -> None:
    assert name in dir(pyg_stgcn)
    assert getattr(pyg_stgcn, name).__doc__


@pytest.mark.parametrize("package", ["evaluation", "recognition", "runs", "skeletons"])
def test_names_that_are_imported_on_first_use_resolve(package: str) -> None:
    module = import_module(f"pyg_stgcn.{package}")
    for name in module.__all__:
        assert getattr(module, name).__module__.startswith("pyg_stgcn.")
    with pytest.raises(AttributeError, match=f"'pyg_stgcn.{package}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'pyg_stgcn' has no attribute 'sparsity_of'"):
        pyg_stgcn.sparsity_of  # noqa: B018


def test_import_leaves_heavy_libraries_alone() -> None:
    heavy = {"torch_sparse", "torch_scatter", "pytorch_lightning", "matplotlib", "sklearn", "scipy"}
    code = f"import sys, pyg_stgcn; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=6000
    )
    assert done.stdout.strip() == "[]"


def test_every_module_can_be_imported_without_torch_sparse() -> None:
    modules = [
        name if module.stem == "__init__" else f"{name}.{module.stem}"
        for name, folder in packages_in_tree().items()
        for module in (REPOSITORY / folder).glob("*.py")
    ]
    code = f"""
import importlib, sys
sys.modules.update(torch_sparse=None, torch_scatter=None)  # importing them fails
for name in {sorted(modules)}:
    importlib.import_module(name)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=6000,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of a wheel built from a copy of the sources.

    The compiler is switched off: the set-up of the tests has compiled the same sources already.
    """
    folder = tmp_path_factory.mktemp("wheel")
    sources = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    if sources.returncode:
        pytest.skip("the sources are not a git checkout")
    for name in sources.stdout.splitlines():
        source, target = REPOSITORY / name, folder / "source" / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
        + ["--no-index", "-w", str(folder), str(folder / "source")],
        check=True,
        timeout=900,
        env={**os.environ, "CC": "false", "CXX": "false"},
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_has_every_module_under_its_name(wheel_names: set[str]) -> None:
    expected = {
        f"{name.replace('.', '/')}/{module.name}"
        for name, folder in packages_in_tree().items()
        for module in (REPOSITORY / folder).glob("*.py")
    }
    assert expected <= wheel_names
    metadata = f"pyg_stgcn-{version('pyg-stgcn')}.dist-info"
    assert {name.split("/")[0] for name in wheel_names} == {"pyg_stgcn", metadata}


def test_wheel_has_skeletons_and_is_typed(wheel_names: set[str]) -> None:
    layouts = [f.name for f in (REPOSITORY / "pyg_stgcn/skeletons/layouts").glob("*.json")]
    assert layouts
    assert {
        "pyg_stgcn/py.typed",
        *(f"pyg_stgcn/skeletons/layouts/{f}" for f in layouts),
    } <= wheel_names


def test_wheel_has_the_metadata_of_datasets(wheel_names: set[str]) -> None:
    files = [f.name for f in (REPOSITORY / "datasets" / "metadata").iterdir()]
    assert files
    assert {f"pyg_stgcn/datasets/metadata/{f}" for f in files} <= wheel_names


def test_wheel_has_what_an_engine_is_built_from(wheel_names: set[str]) -> None:
    """Exports copy it."""
    files = [
        str(path.relative_to(REPOSITORY))
        for folder in ("engine/src", "engine/include", "engine/folder", "runtime/kernels")
        for path in (REPOSITORY / "pyg_stgcn" / folder).iterdir()
        if path.is_file()
    ]
    assert {"pyg_stgcn/engine/folder/CMakeLists.txt", "pyg_stgcn/engine/include/stgcn.h"} < {*files}
    assert {*files} <= wheel_names
