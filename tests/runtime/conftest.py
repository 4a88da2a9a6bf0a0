from __future__ import annotations

import pytest

from pyg_stgcn.runtime.native import kernels, why_not


@pytest.fixture
def native() -> str:
    """The name of the compiled kernels; skips the test if there are none."""
    name = kernels()
    if name is None:
        pytest.skip(why_not())
    return name


@pytest.fixture
def slow_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the kernels compute what they can, however small."""
    monkeypatch.setattr("pyg_stgcn.runtime.single.DENSE_COST", 1e9)
