"""The number of threads of a pass.

Every layer of a pass waits until all of its threads are done. A thread that the machine does not
run at once, on a busy machine or in a container with less than its cores, makes the pass wait for
milliseconds in every layer. Small passes gain nothing that would pay for it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from pyg_stgcn.errors import InputError

#: Multiplications that pay for a further thread: some milliseconds of work.
WORK_PER_THREAD = 60_000_000
#: Where Linux keeps the limits of containers and services.
_CGROUPS = Path("/sys/fs/cgroup")


@cache
def available_cores() -> int:
    """The cores that this process may use: of its affinity, and of the quota of its container."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, math.ceil(min(cores, cpu_quota())))


def cpu_quota(root: Path = _CGROUPS, of: Path = Path("/proc/self/cgroup")) -> float:
    """The quota of the control group of this process, in cores; infinite without one.

    Args:
        root: Folder of the control groups.
        of: File that names the group of this process.
    """
    quotas = [_fraction(root / "cpu/cpu.cfs_quota_us", root / "cpu/cpu.cfs_period_us")]
    try:
        # Version 2 has one group, in a line such as "0::/system.slice/camera.service".
        names = [line.split("::/", 1)[1] for line in of.read_text().splitlines() if "::/" in line]
    except OSError:
        names = []
    for name in names or [""]:
        folder = root / name.strip()
        quotas += [_fraction(each / "cpu.max") for each in (folder, *folder.parents)]
    return min(quotas)


def _fraction(*files: Path) -> float:
    try:
        quota, period = (float(n) for file in files for n in file.read_text().split())
    except (OSError, ValueError):  # no such limit, or "max"
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf


def threads_for(work: float) -> int:
    """The threads of a pass: at most those of torch and the available cores.

    Args:
        work: Multiplications of the pass.
    """
    most = min(torch.get_num_threads(), available_cores())
    return max(1, int(min(most, work / WORK_PER_THREAD)))


def set_threads(model: nn.Module, threads: int) -> None:
    """Fix the number of threads of the compiled parts of a model.

    Raises:
        InputError: If the number is less than 1.
    """
    if threads < 1:
        raise InputError(f"threads: {threads} is too few; give at least 1")
    for part in model.modules():
        if hasattr(part, "threads"):
            cast(Any, part).threads = threads


@contextmanager
def limited_to(threads: int) -> Iterator[None]:
    """Lets torch use this number of threads meanwhile."""
    before = torch.get_num_threads()
    if threads == before:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
