"""The number of threads of a pass."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import create_model
from pyg_stgcn.runtime import SparseBackbone, threads
from pyg_stgcn.runtime.instructions import Slots
from pyg_stgcn.runtime.threads import WORK_PER_THREAD, cpu_quota, set_threads, threads_for


def quota_of(folder: Path, files: dict[str, str], group: str | None = None) -> float:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    if group is not None:
        (folder / "self").write_text(group)
    return cpu_quota(folder, folder / "self")


@pytest.mark.parametrize(
    ("files", "group", "quota"),
    [
        ({}, None, math.inf),
        ({"cpu.max": "150000 100000\n"}, "0::/\n", 1.5),
        ({"cpu.max": "max 100000\n"}, "0::/\n", math.inf),
        ({"cpu.max": "50000 100000"}, None, 0.5),
        # A service within a slice: the tighter of the two.
        ({"a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, "0::/a/b\n", 2),
        ({"a/cpu.max": "200000 100000", "a/b/cpu.max": "100000 100000"}, "0::/a/b\n", 1),
        # Version 1.
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, None, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None, math.inf),
    ],
)
def test_quotas(tmp_path: Path, files: dict[str, str], group: str | None, quota: float) -> None:
    assert quota_of(tmp_path, files, group) == quota


def test_cores_of_this_process() -> None:
    assert 1 <= threads.available_cores() <= (os.cpu_count() or 1)


def test_threads_follow_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "available_cores", lambda: 4)
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    try:
        found = [threads_for(part * WORK_PER_THREAD) for part in (0, 0.5, 1.9, 2, 3.5, 100)]
        assert found == [1, 1, 1, 2, 3, 4]
        torch.set_num_threads(3)
        assert threads_for(100 * WORK_PER_THREAD) == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("native")
def test_threads_of_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "available_cores", lambda: 4)
    model = create_model("stgcn", 3, "coco17", base_channels=8, graph="spatial").eval()
    fast = SparseBackbone(model)
    seen: list[int] = []
    first = fast.steps[0].run

    def run(slots: Slots) -> None:
        seen.append(torch.get_num_threads())
        first(slots)

    monkeypatch.setattr(fast.steps[0], "run", run)
    x = torch.randn(17, 16, 3)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        fast(x)
        set_threads(fast, 3)
        fast(x)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 3]
    with pytest.raises(InputError, match="threads: 0 is too few"):
        set_threads(fast, 0)


@pytest.mark.usefixtures("native")
def test_work_is_counted() -> None:
    """As many multiplications as kept weights, frame by frame, and edges."""
    dense = create_model("stgcn", 3, "coco17", base_channels=8, graph="spatial")
    work = SparseBackbone(dense).work_per_frame
    wide = create_model("stgcn", 3, "coco17", base_channels=16, graph="spatial")
    assert 3.3 < SparseBackbone(wide).work_per_frame / work < 4
    for module in dense.modules():
        if isinstance(module, torch.nn.Conv2d):
            with torch.no_grad():
                module.weight[:, : module.weight.size(1) // 2] = 0
    assert SparseBackbone(dense).work_per_frame < 0.75 * work
