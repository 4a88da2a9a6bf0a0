"""The engine as a backend gives the logits of the dense models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pyg_stgcn.models import Assembly, Backbone, random_clips
from pyg_stgcn.profiling.backends import make_runner, why_not_backend
from pyg_stgcn.sparsity import sparsify
from tests.reference.small_models import short

CPU = torch.device("cpu")
TASKS = Path("/proc/self/task")


@pytest.fixture(autouse=True)
def _library() -> None:
    if reason := why_not_backend("engine", CPU):
        pytest.skip(reason)


def masked(name: str, **options: object) -> Backbone:
    torch.manual_seed(0)
    model = short(name, 17, **options)
    sparsify(model, 0.7, exclude="head.*").finalize()
    return model.eval()


MODELS: dict[str, Callable[[], Backbone | Assembly]] = {
    "3-D": lambda: masked("aagcn"),
    "2-D": lambda: masked("stgcn", in_channels=2),
    "two streams": lambda: masked("dgstgcn", in_channels=6),
    "assembly": lambda: Assembly([masked("stgcn"), masked("stgcn")]).eval(),
}


@pytest.mark.parametrize("keep_memory", [True, False])
@pytest.mark.parametrize("kind", MODELS)
def test_equals_the_dense_model(kind: str, keep_memory: bool) -> None:
    model = MODELS[kind]()
    assert why_not_backend("engine", CPU, model) == ""
    run = make_runner("engine", model, Path(), keep_memory)
    for sizes in ((3, 2, 12), (1, 1, 20), (1, 1, 12)):
        clips = random_clips(model, *sizes)
        with torch.inference_mode():
            expected = model(*clips)
            difference = (run(*clips) - expected).abs().max() / expected.abs().max()
        assert difference < 1e-5


@pytest.mark.skipif(not TASKS.exists(), reason="threads are counted in /proc")
@pytest.mark.parametrize("threads", [1, 3])
def test_threads_are_those_of_torch(threads: int) -> None:
    model, before = masked("stgcn"), torch.get_num_threads()
    clips = random_clips(model, 1, 1, 12)
    torch.set_num_threads(threads)
    try:
        run = make_runner("engine", model, Path())
        tasks = len(list(TASKS.iterdir()))
        run(*clips)
        assert len(list(TASKS.iterdir())) == tasks + threads - 1
    finally:
        torch.set_num_threads(before)


def test_what_the_engine_cannot_run() -> None:
    assert "CPU only" in why_not_backend("engine", torch.device("cuda"))
    model = short("stgcn", 60)
    reason = why_not_backend("engine", CPU, model)
    assert reason.startswith("cannot run this model: skeleton 'chain' has 60 joints")
    pair = Assembly([model, short("stgcn", 60)])
    assert why_not_backend("engine", CPU, pair) == reason
