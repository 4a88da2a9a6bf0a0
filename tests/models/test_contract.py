"""The contract of every registered backbone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Backbone, create_model, list_models
from pyg_stgcn.sparsity import masked_parameters, sparsify

JOINTS, FRAMES, CLASSES = 17, 9, 5


@pytest.fixture(params=list_models())
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def make(name: str, **options: Any) -> Backbone:
    return create_model(name, CLASSES, "coco17", **{"base_channels": 8} | options)


def short(name: str) -> Backbone:
    """Three stages: tracers take their time."""
    return make(name, num_stages=3, inflate_stages=(2,), down_stages=(2,))


def clips(*persons: int) -> tuple[Tensor, Tensor, int]:
    nodes = JOINTS * torch.tensor(persons)
    x = torch.randn(int(nodes.sum()), FRAMES, 3)
    return x, torch.arange(len(persons)).repeat_interleave(nodes), len(persons)


class NoSynchronisation(TorchDispatchMode):
    """Fails on ``.item()``, ``int(tensor)`` and ``bool(tensor)``."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        assert func is not torch.ops.aten._local_scalar_dense.default, "the host waits for a value"
        return func(*args, **(kwargs or {}))


def test_the_mode_notices_a_synchronisation() -> None:
    for wait in (int, bool, Tensor.item):
        with pytest.raises(AssertionError, match="waits"), NoSynchronisation():
            wait(torch.ones(()))


def test_shapes(name: str) -> None:
    model = make(name)
    x, batch, size = clips(1, 3, 2)
    maps = model.forward_features(x, batch, size)
    assert maps.shape == (6, 3, JOINTS, model.num_features)
    assert model.forward_head(maps, batch, size).shape == (3, CLASSES)
    assert model.forward_head(maps, batch, size, pre_logits=True).shape == (3, model.num_features)


@torch.no_grad()
def test_forward_is_head_of_features(name: str) -> None:
    model = make(name).eval()
    x, batch, size = clips(1, 3, 2)
    logits = model(x, batch, size)
    maps = model.forward_features(x, batch, size)
    assert torch.equal(model.forward_head(maps, batch, size), logits)
    assert torch.equal(model(x, batch), logits)
    features = model.forward_head(maps, batch, size, pre_logits=True)
    assert torch.equal(model.head(features), logits)
    means = torch.stack([part.mean((0, 1, 2)) for part in maps.split([1, 3, 2])])
    torch.testing.assert_close(features, means)


@torch.no_grad()
def test_a_batch_is_its_clips_one_by_one(name: str) -> None:
    model = make(name).eval()
    x, batch, size = clips(2, 1, 3)
    alone = torch.cat([model(x[batch == number]) for number in range(size)])
    torch.testing.assert_close(model(x, batch, size), alone, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_the_order_of_the_clips_does_not_matter(name: str) -> None:
    model = make(name).eval()
    x, batch, size = clips(2, 1, 3)
    order = [2, 0, 1]
    moved = torch.cat([x[batch == number] for number in order])
    sizes = torch.bincount(batch)[order]
    found = model(moved, torch.arange(size).repeat_interleave(sizes), size)
    torch.testing.assert_close(found, model(x, batch, size)[order], rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_a_shorter_model_is_the_start_of_a_longer_one(name: str) -> None:
    options = {"in_channels": 2, "inflate_stages": (2,), "down_stages": (2,)}
    longer, shorter = make(name, **options), make(name, num_stages=3, **options)
    weights = longer.state_dict()
    shorter.load_state_dict({key: weights[key] for key in shorter.state_dict()})
    del longer.stages[3:]
    x, batch, size = clips(1, 3, 2)
    given = x[..., :2], batch, size
    assert torch.equal(shorter.eval()(*given), longer.eval()(*given))


def test_number_of_stages(name: str) -> None:
    for num_stages, features in [(1, 8), (6, 16), (12, 32)]:
        model = make(name, num_stages=num_stages)
        assert len(model.stages) == num_stages
        assert model.num_features == features
    assert len(make(name, num_stages=2, in_channels=8).stages) == 1  # as wide as the model


def test_gradients_reach_all_parameters(name: str) -> None:
    model = make(name)
    model(*clips(1, 2, 2)).square().sum().backward()
    assert not [key for key, part in model.named_parameters() if part.grad is None]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("graph", [None, "stgcn_spatial"])
def test_no_synchronisation(name: str, training: bool, graph: str | None) -> None:
    model = make(name, graph=graph).train(training)
    given = clips(2, 1, 3)
    with NoSynchronisation():
        model(*given).square().sum().backward()
        with torch.no_grad():
            model(*given)


def test_masks(name: str) -> None:
    model = make(name)
    controller = sparsify(model, 0.8, edge_sparsity=0.5, exclude="head.*")
    given = clips(1, 2)
    model(*given).square().sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    for entry in masked_parameters(model):
        assert not getattr(entry.owner, entry.attribute)[~entry.mask].any()
    with torch.no_grad():
        expected = model.eval()(*given)
        torch.testing.assert_close(controller.finalize()(*given), expected)


def test_reset_parameters(name: str) -> None:
    model = make(name)
    fresh = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        for value in model.state_dict().values():
            value.add_(3)
    model.reset_parameters()
    for key, value in model.state_dict().items():
        difference = (value.double().mean() - fresh[key].double().mean()).abs()
        assert difference < 1, key


def test_state_dict_and_new_classes(name: str) -> None:
    model, other, given = make(name).eval(), make(name).eval(), clips(2, 1)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(other(*given), model(*given))
        maps = model.forward_features(*given)
        model.reset_classifier(3)
        assert model(*given).shape == (2, 3)
        assert torch.equal(model.forward_features(*given), maps)


def test_torch_compile_without_a_graph_break(name: str) -> None:
    """In training: tests/training/test_compiled_pass.py."""
    model, given = short(name).double().eval(), clips(2, 1, 2)
    given = (given[0].double(), *given[1:])
    expected = copy.deepcopy(model)(*given)
    torch._dynamo.reset()
    traced = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(traced(*given), expected)


@torch.no_grad()
def test_torch_export(name: str) -> None:
    model, given = short(name).eval(), clips(2, 1)
    program = torch.export.export(model, given)
    other = torch.randn_like(given[0])
    found = program.module()(other, *given[1:])
    torch.testing.assert_close(found, model(other, *given[1:]), rtol=1e-4, atol=1e-6)


def test_edge_masks_of_pyg_explain(name: str) -> None:
    """An edge with mask zero is an edge of weight zero; with mask one nothing changes."""
    model, given = short(name).double().eval(), clips(2, 1)
    given = (given[0].double(), *given[1:])
    edge_index = model.stages[0].gcn.adjacency.edge_index
    kept = torch.rand(edge_index.size(1)) < 0.5
    expected, pruned = model(*given), copy.deepcopy(model)
    for stage in pruned.stages:
        stage.gcn.adjacency.edge_weight.data.mul_(kept)
    set_masks(model, torch.ones(len(kept), dtype=torch.float64), edge_index, apply_sigmoid=False)
    torch.testing.assert_close(model(*given), expected)
    mask = kept.double().requires_grad_()
    set_masks(model, mask, edge_index, apply_sigmoid=False)
    logits = model(*given)
    torch.testing.assert_close(logits, pruned(*given))
    (importance,) = torch.autograd.grad(logits[0, 0], mask)
    assert importance[~kept].any()
    clear_masks(model)
    assert torch.equal(model(*given), expected)


def test_errors(name: str) -> None:
    model = make(name)
    with pytest.raises(InputError, match=r"x: the data has 2 channels, but .* made for 3"):
        model(torch.randn(JOINTS, FRAMES, 2))
    with pytest.raises(InputError, match=r"x: the data has 20 nodes, .* 17 joints .* 'coco17'"):
        model(torch.randn(20, FRAMES, 3))
    with pytest.raises(InputError, match=r"x: expected joints, frames and channels .* \(17, 3\)"):
        model(torch.randn(JOINTS, 3))
    with pytest.raises(InputError, match=r"batch: expected the clip of every node, shape \(34,\)"):
        model(torch.randn(2 * JOINTS, FRAMES, 3), torch.tensor([0, 1]))
    with pytest.raises(InputError, match=r"grahp: .*did you mean 'graph'\?"):
        make(name, grahp="spatial")
    with pytest.raises(InputError, match=r"num_stages 0: .* whole numbers from 1 to 100"):
        make(name, num_stages=0)
    with pytest.raises(InputError, match=r"num_stages 1: .* input of 8 channels, .* at least 2"):
        make(name, num_stages=1, in_channels=8)
    for option in ("inflate_stages", "down_stages"):
        with pytest.raises(InputError, match=rf"{option} \[2, 7\]: .* stage 7; .* 1 to 6"):
            make(name, num_stages=6, **{option: [2, 7]})
