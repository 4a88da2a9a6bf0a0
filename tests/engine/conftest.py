from __future__ import annotations

import pytest
import torch

from pyg_stgcn.engine import Engine
from pyg_stgcn.engine.library import library
from pyg_stgcn.errors import InputError
from tests.engine.small_engines import content_of


@pytest.fixture(scope="session")
def built() -> None:
    """Skips the test where the library of the engine is missing."""
    try:
        library()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def contents(built: None) -> dict[str, bytes]:
    """Files of models: with exact streams, of 2-D joints, with windows that slide."""
    torch.manual_seed(0)
    return {
        "space": content_of("stgcn"),
        "plane": content_of("stgcn", planar=True),
        "sliding": content_of("aagcn"),
    }


@pytest.fixture(scope="module")
def engines(contents: dict[str, bytes]) -> dict[str, Engine]:
    return {name: Engine.from_bytes(content) for name, content in contents.items()}
