import copy
import io
import math

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn
from torch_geometric.nn import GCN

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import (
    METHODS,
    ScoreMask,
    SparsityController,
    copy_masks,
    make_schedule,
    masked_parameters,
    report,
    score_parameters,
    sparsify,
    weight_parameters,
)
from pyg_stgcn.sparsity.mask import fan_in


def masked_linear(mask: torch.Tensor, dtype: torch.dtype = torch.float64) -> nn.Linear:
    """A linear layer with a mask of one's choice."""
    rows, cols = mask.shape
    layer = nn.Linear(cols, rows, dtype=dtype)
    sparsify(layer, 0.0, method="score")
    masked_parameters(layer)[0].mask.copy_(mask)
    return layer


def state(layer: nn.Module) -> tuple[nn.Parameter, nn.Parameter, torch.Tensor]:
    chain = layer.parametrizations.weight
    return chain.original, chain[0].score, chain[0].mask


def test_gradients_are_those_of_the_closed_form() -> None:
    layer = masked_linear(torch.rand(3, 5) > 0.5)
    weight, score, mask = state(layer)
    x = torch.randn(7, 5, dtype=torch.float64)
    target = torch.randn(7, 3, dtype=torch.float64)

    output = layer(x)
    (0.5 * (output - target).square().sum()).backward()

    effective = weight.detach() * mask
    torch.testing.assert_close(output, x @ effective.T + layer.bias)
    grad = (output.detach() - target).T @ x
    torch.testing.assert_close(weight.grad, grad * mask)
    torch.testing.assert_close(score.grad, grad * weight.detach())
    assert not mask.all()
    assert score.grad[~mask].abs().min() > 0


def test_weight_gradient_equals_that_of_a_constant_mask() -> None:
    mask = torch.rand(4, 6) > 0.7
    layer = masked_linear(mask)
    weight = state(layer)[0].detach().clone().requires_grad_()
    x = torch.randn(2, 6, dtype=torch.float64)
    layer(x).sin().sum().backward()
    nn.functional.linear(x, weight * mask, layer.bias.detach()).sin().sum().backward()
    torch.testing.assert_close(state(layer)[0].grad, weight.grad)


def test_frozen_parameters_get_no_gradient() -> None:
    layer = masked_linear(torch.rand(3, 5) > 0.5)
    weight, score, _ = state(layer)
    weight.requires_grad_(False)
    layer(torch.randn(2, 5, dtype=torch.float64)).sum().backward()
    assert weight.grad is None
    assert score.grad is not None
    weight.requires_grad_(True)
    score.requires_grad_(False)
    score.grad = None
    layer(torch.randn(2, 5, dtype=torch.float64)).sum().backward()
    assert weight.grad is not None
    assert score.grad is None


def test_pruned_entries_are_positive_zeros_even_under_nan() -> None:
    layer = masked_linear(torch.tensor([[True, False, False]]))
    with torch.no_grad():
        state(layer)[0].copy_(torch.tensor([[1.0, -2.0, math.nan]]))
    assert layer.weight.tolist() == [[1.0, 0.0, 0.0]]
    assert not torch.signbit(layer.weight).any()
    with torch.no_grad():
        assert layer.weight.tolist() == [[1.0, 0.0, 0.0]]


def test_autocast_keeps_gradients_in_the_parameters_type() -> None:
    layer = masked_linear(torch.rand(3, 5) > 0.5, torch.float32)
    weight, score, mask = state(layer)
    x = torch.randn(7, 5)
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(x)
    assert output.dtype == torch.bfloat16
    output.float().sum().backward()
    assert weight.grad.dtype == score.grad.dtype == torch.float32
    grad = x.sum(0).expand(3, 5)
    torch.testing.assert_close(weight.grad, grad * mask, atol=0.1, rtol=0.02)
    torch.testing.assert_close(score.grad, grad * weight.detach(), atol=0.1, rtol=0.02)


@pytest.mark.parametrize("scale", ["fan_in", "none"])
def test_scores_start_uniform_within_the_fan_in_bound(scale: str) -> None:
    mask = ScoreMask(torch.empty(128, 64, 9, 1), scale)
    bound = math.sqrt(6 / (64 * 9))
    score = mask.score.detach()
    assert score.shape == (128, 64, 9, 1)
    assert score.abs().max() <= bound
    # A uniform variable on (-b, b): mean 0, variance b^2 / 3.
    assert score.mean().abs() < 0.01 * bound
    assert score.var().item() == pytest.approx(bound**2 / 3, rel=0.02)
    assert mask.rank_scale == pytest.approx(math.sqrt(64 * 9 / 6) if scale == "fan_in" else 1)


def test_fan_in() -> None:
    assert fan_in(torch.Size([128, 64, 9, 1])) == 576
    assert fan_in(torch.Size([10, 256])) == 256
    assert fan_in(torch.Size([73])) == 73


def test_scores_come_from_torchs_generator() -> None:
    def scores(seed: int | None) -> torch.Tensor:
        layer = nn.Linear(30, 20)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        sparsify(layer, 0.5, generator=generator, method="score")
        return score_parameters(layer)[0].detach()

    torch.manual_seed(1)
    first = scores(None)
    torch.manual_seed(1)
    assert scores(None).equal(first)
    assert scores(7).equal(scores(7))
    assert not scores(7).equal(scores(8))


def test_unknown_scale_is_refused() -> None:
    with pytest.raises(InputError, match="fan_in, none"):
        ScoreMask(torch.empty(2, 2), "fan-in")


def test_parameters_are_told_apart() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    dense = [parameter.numel() for parameter in model.parameters()]
    sparsify(model, 0.5, method="score")
    scores, weights = score_parameters(model), weight_parameters(model)
    assert [score.shape for score in scores] == [(4, 3, 3, 3), (2, 4, 1, 1)]
    assert sorted(p.numel() for p in weights) == sorted(dense)
    both = {id(p) for p in scores} | {id(p) for p in weights}
    assert both == {id(p) for p in model.parameters()}
    assert len(scores) + len(weights) == len(both)


@pytest.mark.parametrize("method", METHODS)
def test_state_dict_round_trip_without_pickle(method: str) -> None:
    torch.manual_seed(1)
    model = GCN(8, 16, 2, 3)
    sparsify(model, 0.8, method=method)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)

    torch.manual_seed(2)
    other = GCN(8, 16, 2, 3)
    sparsify(other, 0.8, method=method)
    x, edge_index = torch.randn(5, 8), torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
    assert not other(x, edge_index).equal(model(x, edge_index))
    other.load_state_dict(torch.load(file, weights_only=True))
    other.eval()
    assert other(x, edge_index).equal(model(x, edge_index))
    for ours, theirs in zip(masked_parameters(model), masked_parameters(other), strict=True):
        assert ours.name == theirs.name
        assert ours.mask.equal(theirs.mask)


def test_conversion_moves_scores_and_keeps_masks() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))
    sparsify(model, 0.5, method="score")
    before = [entry.mask.clone() for entry in masked_parameters(model)]
    model.to(torch.float64)
    assert {score.dtype for score in score_parameters(model)} == {torch.float64}
    for entry, mask in zip(masked_parameters(model), before, strict=True):
        assert entry.mask.dtype == torch.bool
        assert entry.mask.equal(mask)
    model(torch.randn(2, 6, dtype=torch.float64)).sum().backward()


def test_assigning_a_weight_sets_it_under_the_mask() -> None:
    layer = masked_linear(torch.tensor([[True, False]]))
    layer.weight = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    assert layer.weight.tolist() == [[3.0, 0.0]]
    assert state(layer)[0].tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize(
    "make", [lambda: nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3)), lambda: GCN(8, 16, 2, 3)]
)
@pytest.mark.parametrize("method", METHODS)
def test_deep_copies_live_and_fold_on_their_own(make, method: str) -> None:
    model = make()
    sparsify(model, 0.8, method=method)
    inputs = (torch.randn(5, 8),)
    if isinstance(model, GCN):
        inputs += (torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]]),)
    expected = model(*inputs)
    first, second = copy.deepcopy(model), copy.deepcopy(model)
    for copied in (first, second):
        assert report(copied) == report(model)
        assert copied(*inputs).equal(expected)

    SparsityController(first).finalize()
    assert first(*inputs).equal(expected)
    assert second(*inputs).equal(expected)
    assert model(*inputs).equal(expected)

    with torch.no_grad():
        weight_parameters(second)[0].add_(1)
        masked_parameters(second)[0].mask.fill_(False)
    assert not second(*inputs).equal(expected)
    assert model(*inputs).equal(expected)
    SparsityController(model).finalize()
    assert model(*inputs).equal(expected)
    assert {type(child) for child in model.modules()} == {type(child) for child in make().modules()}


def test_copied_together_the_controller_moves_the_copy() -> None:
    model = nn.Linear(20, 20)
    controller = sparsify(model, 0.9, method="score")
    other, other_controller = copy.deepcopy((model, controller))
    with torch.no_grad():
        score_parameters(other)[0].neg_()
    before = masked_parameters(model)[0].mask.clone()
    other_controller.step()
    assert masked_parameters(model)[0].mask.equal(before)
    assert not masked_parameters(other)[0].mask.equal(before)


def test_second_order_gradients_flow() -> None:
    layer = masked_linear(torch.rand(3, 5) > 0.5)
    x = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    grad.square().sum().backward()
    weight, _, mask = state(layer)
    plain = weight.detach().clone().requires_grad_()
    y = nn.functional.linear(x, plain * mask, layer.bias)
    (other,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    other.square().sum().backward()
    torch.testing.assert_close(weight.grad, plain.grad)


class Stubborn(nn.Linear):
    """A layer that copies and saves its weight by name, knowing of no mask."""

    def __deepcopy__(self, memo):
        raise AssertionError("would drop the mask")

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        destination[prefix + "weight"] = self.weight.detach()
        destination[prefix + "bias"] = self.bias.detach()


def test_layers_with_methods_of_their_own_keep_the_mask() -> None:
    model = nn.Sequential(Stubborn(8, 8))
    controller = sparsify(model, 0.8, method="score")
    copied = copy.deepcopy(copy.deepcopy(model))
    assert report(copied) == report(model)
    for module in (model, copied):
        assert sorted(module.state_dict()) == [
            "0.bias",
            "0.parametrizations.weight.0.mask",
            "0.parametrizations.weight.0.score",
            "0.parametrizations.weight.original",
        ]
    copied.load_state_dict(model.state_dict(), strict=True)
    assert sorted(controller.finalize().state_dict()) == ["0.bias", "0.weight"]
    assert report(copied) == report(model)


@pytest.mark.parametrize("method", METHODS)
def test_an_average_keeps_the_masks_of_the_training(method: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 12), nn.BatchNorm1d(12), nn.Linear(12, 3))
    ramp = make_schedule("linear", 0.9, 8, ramp_end=8)
    controller = sparsify(model, 0.9, method=method, schedule=ramp)
    averages = [
        AveragedModel(model, use_buffers=False),
        AveragedModel(model, avg_fn=get_ema_avg_fn(0.5), use_buffers=True),
    ]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(8):
        optimizer.zero_grad()
        model(torch.randn(4, 8)).sin().mean().backward()
        optimizer.step()
        controller.step(optimizer)
        for average in averages:
            average.update_parameters(model)
    # Torch averages the masks too where it averages buffers.
    copy_masks(model, averages[1].module)
    for average in averages:
        SparsityController(average.module).finalize()
        weights = [average.module[number].weight for number in (0, 2)]
        zeros = sum(int((weight == 0).sum()) for weight in weights)
        assert zeros == round(0.9 * 131)
        for entry, weight in zip(masked_parameters(model), weights, strict=True):
            assert entry.mask.equal(weight != 0)


def test_averages_of_a_dense_module_are_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    average = AveragedModel(model)
    sparsify(model, 0.5)
    with pytest.raises(InputError, match=r"0\.weight: masked in one of the modules only"):
        copy_masks(model, average.module)
    outer = nn.ModuleDict({"net": nn.Linear(4, 4), "ema": AveragedModel(nn.Linear(4, 4))})
    with pytest.raises(InputError, match=r"ema: an average inside.*make it after sparsify"):
        sparsify(outer, 0.5)
