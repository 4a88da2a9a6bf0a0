"""Times of functions that take turns, so that a machine of varying speed favours none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch

#: Rounds before the clock is read.
WARM_UP = 2


def seconds(
    runs: Mapping[str, Callable[[], object]], rounds: int, device: str = "cpu"
) -> dict[str, list[float]]:
    """The seconds of each function in each round; of one thread of a CPU its processor time."""
    on_gpu = torch.device(device).type == "cuda"
    one_thread = torch.get_num_threads() == 1 and not on_gpu
    clock = time.process_time if one_thread else time.perf_counter
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + WARM_UP):
        for name, run in runs.items():
            if on_gpu:
                torch.cuda.synchronize(device)
            start = clock()
            run()
            if on_gpu:
                torch.cuda.synchronize(device)
            if turn >= WARM_UP:
                taken[name].append(clock() - start)
    return taken
