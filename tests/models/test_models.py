"""Behaviour of every registered model, beyond the contract."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import create_model, list_models
from pyg_stgcn.models.blocks import SpatialUnit
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.sparsity import sparsify

TEN_JOINTS = Skeleton(
    name="crawler",
    joints=tuple(f"segment {v}" for v in range(10)),
    bones=((1, 0), (2, 1), (3, 2), (4, 3), (5, 2), (6, 5), (7, 2), (8, 7), (9, 4)),
    center=2,
)
FRAMES = 13


def sample(num_persons: int = 1, in_channels: int = 3) -> Data:
    x = torch.randn(num_persons * 10, FRAMES, in_channels)
    return Data(x=x, num_persons=num_persons, y=torch.tensor([0]))


def make(name: str, **options: object) -> nn.Module:
    return create_model(name, 6, TEN_JOINTS, base_channels=4, **options)


@pytest.fixture(params=list_models())
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("graph", ["stgcn_spatial", "spatial", "uniform", "distance-2", "random"])
@pytest.mark.parametrize("in_channels", [3, 4, 9])
def test_forward_and_backward(name: str, in_channels: int, graph: str) -> None:
    model = make(name, in_channels=in_channels, graph=graph)
    batch = Batch.from_data_list([sample(m, in_channels) for m in (1, 3, 2)])
    logits = model(batch.x, batch.batch)
    assert logits.shape == (3, 6)
    maps = model.forward_features(batch.x, batch.batch)
    assert maps.shape == (6, 4, 10, model.num_features)
    assert torch.equal(model.forward_head(maps, batch.batch).isfinite(), logits.isfinite())
    assert model.forward_head(maps, batch.batch, pre_logits=True).shape == (3, model.num_features)
    logits.square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize(("skeleton", "width"), [("ntu25", 1), ("hand21", 3), ("coco17", 20)])
def test_any_skeleton_and_width(name: str, skeleton: str, width: int) -> None:
    model = create_model(name, 2, skeleton, base_channels=width)
    joints = model.skeleton.num_joints
    x, batch = torch.randn(2 * joints, 9, 3), torch.arange(2).repeat_interleave(joints)
    assert model.num_features == 4 * width
    assert model.forward_features(x, batch).shape == (2, 3, joints, 4 * width)
    assert model(x, batch).isfinite().all()


def test_a_single_person_alone(name: str) -> None:
    model = make(name)
    assert model(sample().x).isfinite().all()
    assert model.eval()(sample().x).shape == (1, 6)


def test_learns(name: str) -> None:
    model = make(name, graph="random")
    batch = Batch.from_data_list([sample() for _ in range(6)])
    target = torch.arange(6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(batch.x, batch.batch), target)
        loss.backward()
        optimizer.step()
    assert loss < 0.9


def test_neighbours_in_the_batch_make_no_difference(name: str) -> None:
    model = make(name).eval()
    samples = [sample(m) for m in (2, 1, 3, 1)]
    with torch.no_grad():
        batch = Batch.from_data_list(samples)
        together = model(batch.x, batch.batch)
        alone = torch.cat([model(s.x) for s in samples])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_gradients_or_none_give_the_same_result(name: str) -> None:
    model = make(name, graph="random").eval()
    data = sample(2)
    with_gradients = model(data.x)
    with torch.no_grad():
        torch.testing.assert_close(model(data.x), with_gradients)


@pytest.mark.parametrize("with_gradients", [True, False])
def test_stages_can_be_run_and_replaced_one_by_one(name: str, with_gradients: bool) -> None:
    """Each builds its graph on its own then, in a model all are built together."""
    model = make(name, num_stages=4).eval()
    for stage in model.stages:
        torch.nn.init.normal_(stage.gcn.adjacency.edge_weight)
    x = sample().x
    with torch.set_grad_enabled(with_gradients):
        maps = model.normalize(x.transpose(0, 1)[None])
        for stage in model.stages:
            maps = stage(maps)
        torch.testing.assert_close(model.forward_features(x), maps)
        model.stages[2] = nn.Sequential(model.stages[2])
        torch.testing.assert_close(model.forward_features(x), maps)


def test_float64(name: str) -> None:
    model = make(name).eval()
    data = sample(2)
    single = model(data.x)
    double = model.double()(data.x.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-6)


def test_reset_classifier(name: str) -> None:
    model = make(name).double().eval()
    x = sample().x.double()
    maps = model.forward_features(x)
    model.reset_classifier(9)
    assert model(x).shape == (1, 9)
    assert model.num_classes == 9
    assert not model.head.training
    assert torch.equal(model.forward_features(x), maps)
    with pytest.raises(InputError, match="num_classes: 0"):
        model.reset_classifier(0)


@pytest.mark.parametrize("graph", ["stgcn_spatial", "random"])
def test_state_dict_round_trip(name: str, graph: str) -> None:
    model, other = make(name, graph=graph), make(name, graph=graph)
    batch = Batch.from_data_list([sample() for _ in range(4)])
    model(batch.x, batch.batch).sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    with torch.no_grad():
        expected, before = model.eval()(batch.x, batch.batch), other.eval()(batch.x, batch.batch)
        other.load_state_dict(model.state_dict())
        assert torch.equal(other(batch.x, batch.batch), expected)
    assert not torch.equal(before, expected)


def test_deepcopy_is_independent(name: str) -> None:
    model = make(name, graph="random").eval()
    data = sample()
    with torch.no_grad():
        expected = model(data.x)
        replica = copy.deepcopy(model)
        assert torch.equal(replica(data.x), expected)
        for parameter in replica.parameters():
            parameter.mul_(2)
        assert not torch.equal(replica(data.x), expected)
        assert torch.equal(model(data.x), expected)


def test_reset_parameters_makes_a_new_model(name: str) -> None:
    model = make(name, graph="random")
    fresh = {key: value.clone() for key, value in model.state_dict().items()}
    other = make(name, graph="random").state_dict()
    drawn = {key for key, value in fresh.items() if not torch.equal(value, other[key])}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    batch = Batch.from_data_list([sample() for _ in range(4)])
    model(batch.x, batch.batch)
    model.reset_parameters()
    assert any(key.endswith("edge_weight") for key in drawn)
    for key, value in model.state_dict().items():
        assert torch.equal(value, fresh[key]) != (key in drawn), key


def influence(unit: SpatialUnit, x: Tensor) -> Tensor:
    """True if the features of joint v make a difference at joint w, ``[v, w]``."""
    x = x.clone().requires_grad_()
    out = unit._convolve(x, None)
    grads = [torch.autograd.grad(o.sum(), x, retain_graph=True)[0] for o in out.unbind(2)]
    return torch.stack([(grad != 0).any(3).any(1).any(0) for grad in grads], dim=1)


def test_pruned_edges_are_gone(name: str) -> None:
    model = create_model(name, 6, TEN_JOINTS, base_channels=8, graph="random").eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith(("alpha", "beta")):
                parameter.fill_(0.7)
    controller = sparsify(model, 0.0, edge_sparsity=0.9)
    assert controller.edge_sparsity == pytest.approx(0.9, abs=1e-3)
    unit = model.stages[1].gcn
    x = torch.randn(3, 5, 10, 8)
    source, target = unit.adjacency.edge_index
    connected = torch.zeros(10, 10).index_put(
        (source, target), (unit.adjacency.edge_weight != 0).float(), accumulate=True
    )
    reached = influence(unit, x).fill_diagonal_(False)
    assert 0 < reached.sum() < 90
    assert not (reached & (connected == 0)).any()
    controller.finalize()
    assert torch.equal(influence(unit, x).fill_diagonal_(False), reached)


def test_edges_are_learnable_one_by_one(name: str) -> None:
    weights = {
        key: value for key, value in make(name).named_parameters() if key.endswith("edge_weight")
    }
    assert len(weights) == 10
    assert all(value.dim() == 1 for value in weights.values())


def test_same_seed_same_model(name: str) -> None:
    def state() -> dict[str, Tensor]:
        torch.manual_seed(3)
        return make(name, graph="random").state_dict()

    first, second = state(), state()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_input_is_left_alone(name: str) -> None:
    data = sample()
    before = data.x.clone()
    batch = Batch.from_data_list([data, sample()])
    make(name)(batch.x, batch.batch)
    make(name, in_channels=3).eval()(data.x)
    assert torch.equal(data.x, before)


def test_wrong_input_gets_one_clear_error(name: str) -> None:
    model = make(name)
    with pytest.raises(InputError, match=r"24 nodes.* no multiple of the 10 joints .* 'crawler'"):
        model(torch.randn(24, FRAMES, 3))
    with pytest.raises(InputError, match="data has 2 channels, but the model was made for 3"):
        model(torch.randn(10, FRAMES, 2))
    with pytest.raises(InputError, match=r"expected joints, frames and channels.*got \(10, 3\)"):
        model(torch.randn(10, 3))
    with pytest.raises(InputError, match=r"batch: expected the clip of every node, shape \(20,\)"):
        model(torch.randn(20, FRAMES, 3), torch.tensor([0, 1]))


def test_wrong_options_get_one_clear_error(name: str) -> None:
    with pytest.raises(InputError, match="base_channels: 0"):
        create_model(name, 6, TEN_JOINTS, base_channels=0)
    with pytest.raises(InputError, match="num_classes: 0"):
        create_model(name, 0, TEN_JOINTS)
    if name in ("aagcn", "ctrgcn"):
        with pytest.raises(InputError, match="person_slots: 0"):
            create_model(name, 6, TEN_JOINTS, person_slots=0)
