from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

# Workers of pytest-xdist share the cores, and small tensors gain nothing from more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    """Give every test the same random numbers, in whatever order and process it runs."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the recorded data and golden numbers, which are not part of the repository."""
    folder = Path(os.environ.get("PYG_STGCN_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set PYG_STGCN_SHARED to its folder")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="no CUDA device")
    for item in items:
        if "cuda" in item.keywords:
            item.add_marker(skip)
