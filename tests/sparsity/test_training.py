from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch_geometric.datasets import KarateClub
from torch_geometric.nn import GCN

from pyg_stgcn.sparsity import (
    METHODS,
    make_schedule,
    score_parameters,
    sparsify,
    weight_parameters,
)


@pytest.mark.parametrize("method", METHODS)
def test_a_stock_pyg_gcn_learns_with_a_tenth_of_its_weights(method: str) -> None:
    torch.manual_seed(0)
    data = KarateClub()[0]
    model = GCN(data.num_features, 32, 2, 4)
    schedule = make_schedule("cubic", 0.9, 120, ramp_end=80)
    dynamic = method in ("rigl", "set")
    timing = {"update_every": 10, "freeze_after": 100} if dynamic else {}
    controller = sparsify(model, 0.9, method=method, schedule=schedule, **timing)
    optim = torch.optim.Adam(
        [
            {"params": weight_parameters(model), "weight_decay": 5e-4},
            {"params": score_parameters(model)},
        ],
        lr=0.02,
    )
    for _ in range(120):
        optim.zero_grad()
        nn.functional.cross_entropy(model(data.x, data.edge_index), data.y).backward()
        optim.step()
        controller.step(optim)
    model.eval()
    logits = model(data.x, data.edge_index)
    n = 34 * 32 + 32 * 4
    assert controller.sparsity == pytest.approx(round(0.9 * (n - 1)) / n)
    assert (logits.argmax(1) == data.y).float().mean() > 0.9
    plain = GCN(data.num_features, 32, 2, 4)
    plain.load_state_dict(controller.finalize().state_dict(), strict=True)
    assert plain.eval()(data.x, data.edge_index).equal(logits)
    zeros = sum(int((c.lin.weight == 0).sum()) for c in plain.convs)
    pruned = round(0.9 * (n - 1))
    # A weight that has grown without a gradient is kept, and still zero.
    assert pruned <= zeros <= (pruned + 30 if dynamic else pruned)


PROCESS = """
import sys, torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from pyg_stgcn.sparsity import *

rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
for method in METHODS:
    # Other weights and scores in each: the first process's must win.
    torch.manual_seed(100 + rank)
    model = nn.Sequential(nn.Linear(20, 30), nn.BatchNorm1d(30), nn.ReLU(), nn.Linear(30, 10))
    controller = sparsify(model, 0.9, method=method, schedule=make_schedule("cubic", 0.9, 10))
    wrapped = DistributedDataParallel(model)
    assert [e.name for e in masked_parameters(wrapped)] == ["module.0.weight", "module.3.weight"]
    optim = torch.optim.SGD(
        [{"params": weight_parameters(model)}, {"params": score_parameters(model)}], lr=0.5
    )
    for step in range(10):
        optim.zero_grad()
        wrapped(torch.randn(8, 20)).sin().square().sum().backward()
        optim.step()
        controller.step()
    assert abs(controller.sparsity - 0.9) < 2 / 900, method
    torch.save(model.state_dict(), f"{out}-{method}-{rank}")
# A process that ends while the other's threads still talk to it can be aborted.
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""


def test_two_processes_keep_the_same_masks(tmp_path: Path) -> None:
    script, store, out = tmp_path / "process.py", tmp_path / "store", tmp_path / "state"
    script.write_text(PROCESS)
    processes = [
        subprocess.Popen(
            [sys.executable, script, str(rank), store, out],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=900)
        assert process.returncode == 0, errors
    for method in METHODS:
        first, second = (
            torch.load(f"{out}-{method}-{rank}", weights_only=True) for rank in range(2)
        )
        assert any(name.endswith("mask") for name in first)
        for name, value in first.items():
            if "parametrizations" in name:
                assert value.equal(second[name]), (method, name)
