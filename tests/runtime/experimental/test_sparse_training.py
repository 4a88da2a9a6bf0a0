"""Sparse training, compared with the model itself in double precision."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch_geometric.data import Batch, Data

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import create_model
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.nn import TemporalConv
from pyg_stgcn.runtime.experimental import SparseTraining
from pyg_stgcn.runtime.experimental.gradients import (
    Conv,
    ConvPlan,
    GraphConv,
    GraphConvPlan,
    Normalize,
)
from pyg_stgcn.runtime.lanes import in_lanes
from pyg_stgcn.skeletons import Skeleton, get_skeleton
from pyg_stgcn.sparsity import SparsityController, masked_parameters, sparsify

pytestmark = pytest.mark.usefixtures("native")
CLASSES = 5


@pytest.fixture(autouse=True)
def _sparse_however_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyg_stgcn.runtime.experimental.sparse_training.DENSE_FROM", 1.0)


def make_model(skeleton: Skeleton | str = "ntu25", **options: Any) -> Backbone:
    torch.manual_seed(0)
    options = {"base_channels": 8, **options}
    model = create_model("stgcn", CLASSES, skeleton, **options)
    assert isinstance(model, Backbone)
    with torch.no_grad():
        for norm in model.modules():
            # If all inputs of a channel are pruned, rounding errors would dominate without a bias.
            if isinstance(norm, nn.BatchNorm2d):
                norm.weight.uniform_(0.5, 1.5)
                norm.bias.normal_(0, 0.3)
    return model


def make_batch(num_joints: int, frames: int, persons: list[int], seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch.from_data_list(
        [
            Data(
                x=torch.randn(number * num_joints, frames, 3, generator=generator),
                num_persons=number,
                y=torch.randint(CLASSES, (1,), generator=generator),
            )
            for number in persons
        ]
    )


def chain(num_joints: int) -> Skeleton:
    return Skeleton(
        name=f"chain{num_joints}",
        bones=tuple((joint, joint - 1) for joint in range(1, num_joints)),
        joints=tuple(f"j{joint}" for joint in range(num_joints)),
        center=0,
    )


def constant_biases(model: nn.Module) -> set[str]:
    """Biases that a batch norm removes: their gradient is a rounding error."""
    temporal = (name for name, part in model.named_modules() if isinstance(part, TemporalConv))
    return {f"{name}.conv.bias" for name in temporal}


def assert_same_step(model: Backbone, batch: Batch) -> None:
    """Logits, gradients and running statistics are those of the model in double precision."""
    exact = copy.deepcopy(model).double()
    torch.manual_seed(1)
    logits = SparseTraining(model)(batch.x, batch.batch)
    torch.manual_seed(1)
    expected = exact(batch.x.double(), batch.batch)
    torch.testing.assert_close(logits.double(), expected, rtol=1e-4, atol=1e-5)
    cross_entropy(logits, batch.y).backward()
    cross_entropy(expected, batch.y).backward()
    constant = constant_biases(model) if model.training else set()
    for (name, found), wanted in zip(model.named_parameters(), exact.parameters(), strict=True):
        assert found.grad is not None and wanted.grad is not None, name
        scale = float(wanted.grad.abs().max())
        error = float((found.grad - wanted.grad).abs().max())
        limit = 1e-6 if name in constant else 1e-3 * scale + 1e-8
        assert error <= limit, (name, error, scale)
    for found, wanted in zip(model.buffers(), exact.buffers(), strict=True):
        torch.testing.assert_close(found.double(), wanted.double(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("skeleton", "frames", "persons", "options"),
    [
        ("ntu25", 12, [1, 2], {}),
        ("ntu25", 13, [2, 1, 1], {"down_stages": (2, 3, 4)}),
        ("ntu25", 1, [1, 2, 1], {}),
        ("ntu25", 9, [1], {"graph": "random", "num_partitions": 2}),
        (10, 7, [1, 1], {}),
        (16, 6, [2], {}),
        (33, 11, [1, 2], {}),
        (33, 5, [2], {"graph": "random"}),
        ("ntu25", 9, [1, 2], {"tcn_dropout": 0.3, "dropout": 0.2}),
        ("ntu25", 7, [2], {"in_channels": 3, "base_channels": 3}),
        ("ntu25", 7, [2], {"adaptive": "init"}),
    ],
)
def test_a_step_is_that_of_the_model(
    skeleton: str | int, frames: int, persons: list[int], options: dict[str, Any]
) -> None:
    joints = get_skeleton(skeleton) if isinstance(skeleton, str) else chain(skeleton)
    model = make_model(joints, **options)
    sparsify(model, 0.8, method="random", edge_sparsity=0.3, exclude="head.*")
    assert_same_step(model, make_batch(joints.num_joints, frames, persons))


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.99])
def test_any_density(sparsity: float) -> None:
    model = make_model()
    sparsify(model, sparsity, method="magnitude", exclude="head.*", structure="block8")
    assert_same_step(model, make_batch(25, 8, [1, 1]))


@pytest.mark.parametrize(("sparsity", "own"), [(0.5, True), (0.9, False)])
def test_where_little_is_pruned_a_step_is_the_models_own(
    monkeypatch: pytest.MonkeyPatch, sparsity: float, own: bool
) -> None:
    monkeypatch.setattr("pyg_stgcn.runtime.experimental.sparse_training.DENSE_FROM", 0.35)
    model = make_model()
    sparsify(model, sparsity, method="random", exclude="head.*")
    calls: list[nn.Module] = []
    model.stages[0].register_forward_hook(lambda module, *_: calls.append(module))
    SparseTraining(model)(make_batch(25, 4, [1]).x)
    assert bool(calls) == own


def test_without_masks_and_with_frozen_statistics() -> None:
    model = make_model(base_channels=4)
    assert_same_step(model, make_batch(25, 8, [1, 2]))
    model.zero_grad()
    assert_same_step(model.eval(), make_batch(25, 8, [1, 2], seed=1))


def test_pruned_weights_get_no_gradient() -> None:
    model = make_model()
    sparsify(model, 0.9, method="magnitude")
    batch = make_batch(25, 8, [2])
    cross_entropy(SparseTraining(model)(batch.x, batch.batch), batch.y).backward()
    for entry in masked_parameters(model):
        assert entry.weight.grad is not None
        assert not entry.weight.grad[~entry.mask].any()
        assert entry.weight.grad[entry.mask].any()


@pytest.mark.parametrize("method", ["set", "rigl", "magnitude"])
def test_training_with_masks_that_change(method: str) -> None:
    """Several steps of SGD leave the same weights, masks and statistics.

    Not too sparse: a channel all of whose weights have just grown from zero has no variance, and
    the batch norm makes much of its rounding.
    """
    model = make_model(base_channels=8)
    generator = torch.Generator().manual_seed(0)
    plan: dict[str, Any] = {"update_every": 3, "freeze_after": 8}
    controller = sparsify(model, 0.6, method=method, exclude="head.*", generator=generator, **plan)
    exact = copy.deepcopy(model).double()
    controllers = [controller, SparsityController(exact, 0.6, **plan)]
    models = [SparseTraining(model), exact]
    optimizers = [
        torch.optim.SGD(own.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-3)
        for own in (model, exact)
    ]
    masks = [entry.mask.clone() for entry in masked_parameters(model)]
    for step in range(8):
        batch = make_batch(25, 8, [1, 2, 1], seed=step)
        inputs = [batch.x, batch.x.double()]
        for module, optimizer, control, own in zip(
            models, optimizers, controllers, inputs, strict=True
        ):
            optimizer.zero_grad()
            cross_entropy(module(own, batch.batch), batch.y).backward()
            optimizer.step()
            control.step(optimizer)
    changed = [
        not torch.equal(entry.mask, mask)
        for entry, mask in zip(masked_parameters(model), masks, strict=True)
    ]
    assert any(changed)
    for (name, found), wanted in zip(
        model.state_dict().items(), exact.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(
            found.double(), wanted.double(), rtol=1e-4, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_the_number_of_threads_changes_nothing() -> None:
    torch.manual_seed(0)
    graph = torch.rand(3, 25, 25) * (torch.rand(3, 25, 25) < 0.1)
    spatial, temporal = torch.randn(19, 3, 5), torch.randn(17, 19, 9)
    plans = (
        GraphConvPlan.of(torch.rand(19, 3, 5) < 0.4, graph),
        ConvPlan.of(torch.rand(17, 19, 9) < 0.4, 1),
    )
    packed = torch.ops.pyg_stgcn.pack(torch.randn(3, 31, 25, 5), 0)
    results: list[list[Tensor]] = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            inputs = [
                part.clone().requires_grad_()
                for part in (packed, spatial, torch.zeros(19, 32), graph, temporal, torch.ones(17))
            ]
            x, weight, bias, edges, taps, last = inputs
            out = GraphConv.apply(x, weight, bias, edges, plans[0])
            mean, variance = torch.ops.pyg_stgcn.norm_stats(out.detach(), 0, 25)
            line = torch.ones(19)
            out = Normalize.apply(out, line, line, mean, variance, True, None, 1e-5, 25, 0, True, 4)
            out = Conv.apply(out, taps, last, plans[1])
            out.backward(out.detach())
            results.append([out, mean, variance, *[part.grad for part in inputs]])
    finally:
        torch.set_num_threads(before)
    for one, three in zip(*results, strict=True):
        assert torch.equal(one, three)


def test_what_is_refused() -> None:
    model = make_model()
    fast = SparseTraining(model)
    batch = make_batch(25, 4, [1])
    with pytest.raises(InputError, match=r"x: torch\.float64"):
        fast(batch.x.double())
    with pytest.raises(InputError, match=r"torch\.float64 on cpu.*train the model itself"):
        SparseTraining(make_model().double())
    other = create_model("ctrgcn", CLASSES, "ntu25", base_channels=8)
    assert isinstance(other, Backbone)
    with pytest.raises(InputError, match=r"CTRGCN: sparse training is for ST-GCN"):
        SparseTraining(other)
    with pytest.raises(InputError, match=r"chain49.*49 joints"):
        SparseTraining(make_model(chain(49)))
    with pytest.raises(InputError, match="Linear: is no backbone"):
        SparseTraining(nn.Linear(1, 1))  # type: ignore[arg-type]
    # Also masks that are added later.
    sparsify(model, 0.5, method="feedback")
    with pytest.raises(InputError, match=r'FeedbackMask: .*"magnitude"'):
        fast(batch.x)


def test_a_strided_convolution_by_brute_force() -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 5, 9) * (torch.rand(6, 5, 9) < 0.3)
    conv, bias = weight.clone().requires_grad_(), torch.zeros(6, requires_grad=True)
    x, grad = torch.randn(2, 11, 25, 5), torch.randn(2, 6, 25, 6)
    packed = torch.ops.pyg_stgcn.pack(x, 4).requires_grad_()
    out = Conv.apply(packed, conv, bias, ConvPlan.of(weight != 0, 2))
    out.backward(torch.ops.pyg_stgcn.pack(grad, 0))
    assert conv.grad is not None and bias.grad is not None and packed.grad is not None
    seen = torch.nn.functional.pad(x.double(), (0, 0, 0, 0, 4, 4)).unfold(1, 9, 2)
    expected = torch.einsum("ptvo,ptvcs->ocs", grad.double(), seen) * (weight != 0)
    torch.testing.assert_close(conv.grad.double(), expected, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(bias.grad, grad.sum((0, 1, 2)), rtol=1e-4, atol=1e-3)
    arrived = torch.zeros(2, 19, 25, 5, dtype=torch.float64)
    for tap in range(9):
        arrived[:, tap : tap + 11 : 2] += grad.double() @ weight[:, :, tap].double()
    found = torch.ops.pyg_stgcn.unpack(packed.grad, 4, 25)
    torch.testing.assert_close(found.double(), arrived[:, 4:15], rtol=1e-4, atol=1e-4)


def test_statistics_of_values_far_from_zero() -> None:
    x = 1000 + torch.randn(3, 7, 25, 4)
    mean, variance = torch.ops.pyg_stgcn.norm_stats(torch.ops.pyg_stgcn.pack(x, 2), 2, 25)
    exact = x.double().flatten(0, 2)
    torch.testing.assert_close(mean.double(), exact.mean(0), rtol=1e-6, atol=0)
    torch.testing.assert_close(variance.double(), exact.var(0, False), rtol=1e-4, atol=0)


def test_operators_can_be_traced_and_refuse_what_does_not_fit() -> None:
    ops = torch.ops.pyg_stgcn
    x, grad = ops.pack(torch.randn(2, 9, 25, 4), 0), ops.pack(torch.randn(2, 9, 25, 6), 0)
    line = torch.randn(6)
    kept = torch.rand(6, 2, 4) < 0.5
    graph = (torch.rand(2, 25, 25) < 0.1).float()
    plan, conv = GraphConvPlan.of(kept, graph), ConvPlan.of(kept[:, :1].transpose(1, 2), 1)
    at, back, edges = plan.forward, plan.turned, plan.graph
    factors = in_lanes(graph.transpose(1, 2)).view(1, 2, 1, -1)
    places = (at.starts, at.offsets)
    rows = (conv.rows.starts, conv.rows.offsets, conv.rows.groups)
    ell = (back.ell_starts, back.ell_sources, factors.view(-1)[back.ell_places])
    values = torch.ones(at.offsets.numel())
    graphs = (edges.starts, edges.graph, edges.ell_starts, edges.ell_sources)
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (ops.conv_weight_grad, (x, grad, *rows, 1, 0)),
        (ops.graph_weight_grad, (x, grad, *places, back.starts, back.graph, factors, *ell, 2)),
        (ops.graph_edge_grad, (x, grad, *places, values, *graphs, 2)),
        (ops.norm_stats, (grad, 0, 25)),
        (ops.norm_apply, (grad, 0, 25, line, line, line, grad.clone(), True, 3)),
        (ops.norm_grad_sums, (grad, grad.clone(), 0, grad.clone(), 0, 25, line)),
        (ops.norm_grad, (grad, None, 0, grad.clone(), 0, 25, line, line, line, line, True)),
    ]
    checks = ("test_schema", "test_faketensor")
    for op, arguments in calls:
        torch.library.opcheck(op.default, arguments, test_utils=checks)
    refused: list[tuple[int, dict[int, Any], str]] = [
        (0, {3: conv.rows.offsets + 64}, "offsets: from .* outside"),
        (0, {6: 1, 5: 2}, "stride: 2 for 7 of 9 frames"),
        (1, {1: x}, "grad: .* does not fit 6 channels"),
        (1, {6: factors[0]}, r"factors: expected \[1, partitions"),
        (2, {4: values[1:]}, "values: expected"),
        (2, {6: edges.graph + 4000}, "graph: entry 0 is out of range"),
        (3, {2: 33}, "pad, joints: 0, 33"),
        (4, {6: x}, "residual: .* does not fit"),
        (5, {1: x}, "kept: .* does not fit"),
        (6, {0: grad[:, :, 1:].contiguous()}, "grad: has 8 frames, x 9"),
    ]
    for number, change, message in refused:
        op, arguments = calls[number]
        wrong = [change.get(place, value) for place, value in enumerate(arguments)]
        with pytest.raises(RuntimeError, match=message):
            op(*wrong)
