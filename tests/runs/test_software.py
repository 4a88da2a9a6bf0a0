from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
import torch

from pyg_stgcn.runs.software import software_versions


def test_versions_are_those_of_the_modules() -> None:
    found = software_versions()
    assert found["python"] == platform.python_version()
    assert (found["torch"], found["numpy"]) == (torch.__version__, np.__version__)


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr("pyg_stgcn.runs.software.version", missing)
    assert software_versions()["torch-sparse"] is None
