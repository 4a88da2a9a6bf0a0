"""What every registered model must be able to do."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import create_model, list_models
from pyg_stgcn.skeleton import Skeleton

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
    logits = model(batch)
    assert logits.shape == (3, 6)
    assert model.forward_features(batch).shape == (3, model.num_features)
    logits.square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


def test_learns(name: str) -> None:
    model = make(name, graph="random")
    batch = Batch.from_data_list([sample() for _ in range(6)])
    target = torch.arange(6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(25):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(batch), target)
        loss.backward()
        optimizer.step()
    assert loss < 0.9


def test_neighbours_in_the_batch_make_no_difference(name: str) -> None:
    model = make(name).eval()
    samples = [sample(m) for m in (2, 1, 3, 1)]
    with torch.no_grad():
        together = model(Batch.from_data_list(samples))
        alone = torch.cat([model(s) for s in samples])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_gradients_or_none_give_the_same_result(name: str) -> None:
    model = make(name, graph="random").eval()
    data = sample(2)
    with_gradients = model(data)
    with torch.no_grad():
        torch.testing.assert_close(model(data), with_gradients)


def test_float64(name: str) -> None:
    model = make(name).eval()
    data = sample(2)
    single = model(data)
    data.x = data.x.double()
    double = model.double()(data)
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-6)


def test_reset_classifier(name: str) -> None:
    model = make(name).double().eval()
    data = sample()
    data.x = data.x.double()
    features = model.forward_features(data)
    model.reset_classifier(9)
    assert model(data).shape == (1, 9)
    assert model.num_classes == 9
    assert not model.head.training
    assert torch.equal(model.forward_features(data), features)
    with pytest.raises(InputError, match="num_classes: 0"):
        model.reset_classifier(0)


@pytest.mark.parametrize("graph", ["stgcn_spatial", "random"])
def test_state_dict_round_trip(name: str, graph: str) -> None:
    model, other = make(name, graph=graph), make(name, graph=graph)
    batch = Batch.from_data_list([sample() for _ in range(4)])
    model(batch).sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    with torch.no_grad():
        expected, before = model.eval()(batch), other.eval()(batch)
        other.load_state_dict(model.state_dict())
        assert torch.equal(other(batch), expected)
    assert not torch.equal(before, expected)


def test_deepcopy_is_independent(name: str) -> None:
    model = make(name, graph="random").eval()
    data = sample()
    with torch.no_grad():
        expected = model(data)
        replica = copy.deepcopy(model)
        assert torch.equal(replica(data), expected)
        for parameter in replica.parameters():
            parameter.mul_(2)
        assert not torch.equal(replica(data), expected)
        assert torch.equal(model(data), expected)


def test_reset_parameters_makes_a_new_model(name: str) -> None:
    model = make(name, graph="random")
    fresh = {key: value.clone() for key, value in model.state_dict().items()}
    batch = Batch.from_data_list([sample() for _ in range(4)])
    model(batch)
    model.reset_parameters()
    for key, value in model.state_dict().items():
        is_drawn = value.is_floating_point() and value.unique().numel() > 1
        assert torch.equal(value, fresh[key]) != is_drawn, key


def test_same_seed_same_model(name: str) -> None:
    def state() -> dict[str, Tensor]:
        torch.manual_seed(3)
        return make(name, graph="random").state_dict()

    first, second = state(), state()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_input_is_left_alone(name: str) -> None:
    data = sample()
    before = data.x.clone()
    make(name)(Batch.from_data_list([data, sample()]))
    make(name, in_channels=3).eval()(data)
    assert torch.equal(data.x, before)


def test_wrong_input_gets_one_clear_error(name: str) -> None:
    model = make(name)
    with pytest.raises(InputError, match=r"12 joints per person .* 'crawler' of the model has 10"):
        model(Data(x=torch.randn(24, FRAMES, 3), num_persons=2))
    with pytest.raises(InputError, match="data has 2 channels, but the model was made for 3"):
        model(Data(x=torch.randn(10, FRAMES, 2), num_persons=1))
    with pytest.raises(InputError, match=r"expected joints, frames and channels.*got \(10, 3\)"):
        model(Data(x=torch.randn(10, 3), num_persons=1))
    with pytest.raises(InputError, match="num_persons: missing"):
        model(Data(x=torch.randn(10, FRAMES, 3)))


def test_wrong_options_get_one_clear_error(name: str) -> None:
    with pytest.raises(InputError, match="base_channels: 0"):
        create_model(name, 6, TEN_JOINTS, base_channels=0)
    with pytest.raises(InputError, match="num_classes: 0"):
        create_model(name, 0, TEN_JOINTS)
