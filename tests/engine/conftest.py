from __future__ import annotations

import pytest

from pyg_stgcn.engine.library import library
from pyg_stgcn.errors import InputError


@pytest.fixture(scope="session")
def built() -> None:
    """Skips the test where the library of the engine is missing."""
    try:
        library()
    except InputError as error:
        pytest.skip(str(error))
