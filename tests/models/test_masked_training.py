"""Masks hold on every backbone, after every optimiser step, and travel in checkpoints."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch_geometric.data import Batch, Data

from pyg_stgcn.models import create_model, list_models
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.sparsity import (
    METHODS,
    SparsityController,
    make_schedule,
    masked_parameters,
    sparsify,
    summary,
)
from pyg_stgcn.sparsity.threshold import num_pruned

STEPS, RAMP, SPARSITY, EDGES = 5, 3, 0.9, 0.5
SIX_JOINTS = Skeleton(
    name="crawler",
    joints=tuple(f"segment {v}" for v in range(6)),
    bones=((1, 0), (2, 1), (3, 2), (4, 2), (5, 2)),
    center=2,
)


def make(name: str, method: str, seed: int = 0) -> tuple[nn.Module, SparsityController, Any]:
    torch.manual_seed(seed)
    model = create_model(name, 4, SIX_JOINTS, base_channels=4, graph="spatial")
    dynamic = method in ("rigl", "set")
    controller = sparsify(
        model,
        SPARSITY,
        edge_sparsity=EDGES,
        method=method,
        exclude="head.*",
        schedule=make_schedule("constant" if dynamic else "linear", SPARSITY, STEPS)
        if dynamic
        else make_schedule("linear", SPARSITY, STEPS, ramp_end=RAMP),
        update_every=2 if dynamic else 1,
    )
    # Momentum and decay, which would move pruned weights.
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    return model, controller, optimizer


def batch(step: int) -> Batch:
    generator = torch.Generator().manual_seed(step)
    clips = [
        Data(
            x=torch.randn(6, 6, 3, generator=generator),
            num_persons=1,
            y=torch.randint(4, (1,), generator=generator),
        )
        for _ in range(3)
    ]
    return Batch.from_data_list(clips)


def step(model: nn.Module, controller: SparsityController, optimizer: Any, number: int) -> None:
    data = batch(number)
    torch.manual_seed(number)
    optimizer.zero_grad()
    cross_entropy(model(data.x, data.batch), data.y).backward()
    optimizer.step()
    # What the next forward pass would see, before the controller has a say.
    assert all(not seen(entry)[~entry.mask].any() for entry in masked_parameters(model))
    controller.step(optimizer)


def seen(entry: Any) -> Tensor:
    return getattr(entry.owner, entry.attribute).detach()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", list_models())
def test_pruned_weights_are_gone_after_every_step(name: str, method: str) -> None:
    model, controller, optimizer = make(name, method)
    sizes = {
        kind: sum(e.mask.numel() for e in masked_parameters(model) if e.is_edge is kind)
        for kind in (False, True)
    }
    for number in range(STEPS):
        before = [entry.mask.clone() for entry in masked_parameters(model)]
        step(model, controller, optimizer, number)
        for entry, mask in zip(masked_parameters(model), before, strict=True):
            assert not seen(entry)[~entry.mask].any()
            if method == "random":
                assert not (entry.mask & ~mask).any(), "what is pruned stays pruned"
        sparsity = controller.schedule(number + 1)
        zeros = sum(int((~e.mask).sum()) for e in masked_parameters(model) if not e.is_edge)
        assert zeros == num_pruned(sparsity, sizes[False])
        zeros = sum(int((~e.mask).sum()) for e in masked_parameters(model) if e.is_edge)
        assert zeros == num_pruned(sparsity * EDGES / SPARSITY, sizes[True])
    model.eval()
    clips = batch(99)
    masked_logits = model(clips.x, clips.batch)
    counts = summary(model)
    plain = create_model(name, 4, SIX_JOINTS, base_channels=4, graph="spatial").eval()
    plain.load_state_dict(controller.finalize().state_dict())
    torch.testing.assert_close(plain(clips.x, clips.batch), masked_logits, rtol=1e-5, atol=1e-6)
    dense = [entry for entry in plain.parameters() if entry.requires_grad]
    assert counts.params_total == sum(entry.numel() for entry in dense)


@pytest.mark.parametrize(
    ("name", "method", "stop"),
    [(name, "score", 2) for name in list_models()]
    + [("stgcn", method, stop) for method in METHODS for stop in (1, 2, 4)],
)
def test_resumed_as_if_never_stopped(name: str, method: str, stop: int) -> None:
    straight = make(name, method)
    for number in range(stop):
        step(*straight, number)
    saved = copy.deepcopy([part.state_dict() for part in straight])
    resumed = make(name, method, seed=1)
    for part, state in zip(resumed, saved, strict=True):
        part.load_state_dict(state)
    for number in range(stop, STEPS):
        step(*straight, number)
        step(*resumed, number)
    assert resumed[1].num_steps == STEPS
    for key, value in straight[0].state_dict().items():
        assert resumed[0].state_dict()[key].equal(value), key
