from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_stgcn.nn import CTRMSTCN, DGMSTCN, MSTCN
from pyg_stgcn.nn.multi_scale import TemporalBranches

V = 4
KINDS = {
    "MSTCN": MSTCN,
    "DGMSTCN": lambda channels, stride=1, dropout=0.0: DGMSTCN(channels, V, stride, dropout),
    "CTRMSTCN": CTRMSTCN,
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def standardize(x: Tensor) -> Tensor:
    """A new batch norm in training, channels second."""
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), False, keepdim=True)
    return (x - mean) / (var + 1e-5).sqrt()


def apply(layer: nn.Linear, x: Tensor, rows: slice = slice(None)) -> Tensor:
    """Some rows of a linear map as a 1x1 convolution, channels second."""
    return F.conv2d(x, layer.weight[rows, :, None, None], layer.bias[rows])


def branch_by_branch(
    module: TemporalBranches, x: Tensor, kernel_size: int, dilations: tuple[int, ...]
) -> list[Tensor]:
    """The published branches one after the other, channels second."""
    stride, outs = module.stride, []
    ends = [sum(module.widths[:i]) for i in range(len(module.widths) + 1)]
    for branch, (start, end) in enumerate(pairwise(ends)):
        reduced = standardize(apply(module.reduce, x, slice(start, end))).relu()
        if branch < len(dilations):
            conv, dilation = module.convs[branch], dilations[branch]
            reach = (kernel_size - 1) * dilation // 2
            padded, frames = F.pad(reduced, (0, 0, reach, reach)), x.size(2)
            taps = [
                torch.einsum(
                    "oi,pitv->potv", conv.weight[..., tap, 0], padded[:, :, at:][:, :, :frames]
                )
                for tap, at in enumerate(range(0, kernel_size * dilation, dilation))
            ]
            outs.append((sum(taps) + conv.bias.view(-1, 1, 1))[:, :, ::stride])
        else:
            padded = F.pad(reduced, (0, 0, 1, 1), value=-torch.inf)
            outs.append(padded.unfold(2, 3, 1).amax(-1)[:, :, ::stride])
    return [*outs, apply(module.plain, x[:, :, ::stride])]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("frames", [12, 13])
def test_equals_the_published_layer(kind: str, frames: int, stride: int) -> None:
    channels = 14
    layer = KINDS[kind](channels, stride).double()
    x = torch.randn(3, frames, V, channels, dtype=torch.float64)
    seen = x.permute(0, 3, 1, 2)
    if kind == "CTRMSTCN":
        assert layer.branches.widths == [3, 3, 3]
        joined = torch.cat(branch_by_branch(layer.branches, seen, 5, (1, 2)), dim=1)
        expected = standardize(joined).relu()
    else:
        assert layer.branches.widths == [4, 2, 2, 2, 2]
        if kind == "DGMSTCN":
            nn.init.normal_(layer.joint_factor)
            seen = torch.cat([seen, seen.mean(3, keepdim=True)], dim=3)
        joined = torch.cat(branch_by_branch(layer.branches, seen, 3, (1, 2, 3, 4)), dim=1)
        if kind == "DGMSTCN":
            joined = joined[..., :V] + joined[..., V:] * layer.joint_factor[:V]
        expected = standardize(apply(layer.mix, standardize(joined).relu()))
    out = layer(x)
    assert out.shape == (3, -(-frames // stride), V, channels)
    torch.testing.assert_close(out, expected.permute(0, 2, 3, 1))


@pytest.mark.parametrize("channels", range(1, 13))
def test_any_width(kind: str, channels: int) -> None:
    layer = KINDS[kind](channels, 2)
    branches = layer.branches
    plain = 0 if branches.plain is None else branches.plain.out_features
    assert sum(branches.widths) + plain == channels
    out = layer(torch.randn(2, 7, V, channels))
    assert out.shape == (2, 4, V, channels)
    out.square().sum().backward()
    layer.reset_parameters()


@pytest.mark.parametrize(
    ("channels", "first", "others"), [(64, 14, 10), (128, 23, 21), (256, 46, 42)]
)
def test_published_widths(channels: int, first: int, others: int) -> None:
    branches = MSTCN(channels).branches
    assert branches.widths == [first, *[others] * 4]
    assert branches.plain.out_features == others


def test_dropout_only_in_training(kind: str) -> None:
    layer = KINDS[kind](12, 1, 0.5)
    x = torch.randn(2, 9, V, 12)
    dropped = (layer(x) == 0).float().mean()
    kept = (layer.eval()(x) == 0).float().mean()
    assert dropped - kept > 0.2


def test_joints_start_without_the_body() -> None:
    layer = DGMSTCN(12, V).eval()
    x = torch.randn(2, 9, V, 12)
    expected = MSTCN.forward(layer, x)
    torch.testing.assert_close(layer(x), expected)


def test_published_weights_have_room_for_25_joints() -> None:
    assert DGMSTCN(6, 17).joint_factor.shape == (25,)
    assert DGMSTCN(6, 30).joint_factor.shape == (30,)


def test_reset_parameters(kind: str) -> None:
    layer = KINDS[kind](12)
    before = {name: value.clone() for name, value in layer.named_parameters() if "bias" not in name}
    layer(torch.randn(2, 9, V, 12))
    layer.reset_parameters()
    for name in before:
        value = layer.get_parameter(name)
        assert torch.equal(value, before[name]) != (value.dim() > 1), name
    assert torch.equal(layer.norm.running_mean, torch.zeros(12))


def test_starting_weights_of_ctrgcn() -> None:
    branches = CTRMSTCN(256).branches
    torch.testing.assert_close(branches.reduce.weight.var().item(), 2 / 64, rtol=0.1, atol=0)
    torch.testing.assert_close(branches.plain.weight.var().item(), 2 / 64, rtol=0.1, atol=0)
    for conv in branches.convs:
        torch.testing.assert_close(conv.weight.var().item(), 2 / 320, rtol=0.1, atol=0)
        assert not conv.bias.any()
