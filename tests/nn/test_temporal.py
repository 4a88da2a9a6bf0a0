from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pyg_stgcn.errors import InputError
from pyg_stgcn.nn import CTRMSTCN, DGMSTCN, MSTCN, TemporalConv


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("kernel_size", "dilation"), [(1, 1), (9, 1), (3, 4)])
@pytest.mark.parametrize("frames", [12, 13])
def test_is_a_convolution_of_every_joint(
    frames: int, kernel_size: int, dilation: int, stride: int
) -> None:
    layer = TemporalConv(3, 5, kernel_size, stride, dilation).double()
    x = torch.randn(2, frames, 4, 3, dtype=torch.float64)
    out = layer(x)
    assert out.shape == (2, -(-frames // stride), 4, 5)

    series = x.permute(0, 2, 3, 1).reshape(2 * 4, 3, frames)
    expected = F.conv1d(
        series,
        layer.conv.weight.squeeze(-1),
        layer.conv.bias,
        stride,
        padding=(kernel_size - 1) * dilation // 2,
        dilation=dilation,
    )
    mean, var = expected.mean((0, 2), keepdim=True), expected.var((0, 2), False, keepdim=True)
    expected = ((expected - mean) / (var + 1e-5).sqrt()).view(2, 4, 5, -1).permute(0, 3, 1, 2)
    torch.testing.assert_close(out, expected)


def test_keeps_the_features_last_in_memory() -> None:
    layer = TemporalConv(16, 16)
    x = torch.randn(2, 12, 4, 16, requires_grad=True)
    out = layer(x)
    assert out.is_contiguous()
    (grad,) = torch.autograd.grad(out.square().sum(), x)
    assert grad.is_contiguous()


def test_dropout_only_in_training() -> None:
    layer = TemporalConv(3, 5, dropout=0.5)
    x = torch.randn(2, 12, 4, 3)
    assert (layer(x) == 0).float().mean() > 0.3
    assert (layer.eval()(x) == 0).sum() == 0


def test_reset_parameters() -> None:
    layer = TemporalConv(3, 5)
    layer(torch.randn(2, 12, 4, 3))
    before = layer.conv.weight.clone()
    layer.reset_parameters()
    assert not torch.equal(layer.conv.weight, before)
    assert torch.equal(layer.norm.running_mean, torch.zeros(5))


@pytest.mark.parametrize(
    "layer",
    [TemporalConv(6, 6), MSTCN(6), CTRMSTCN(6), DGMSTCN(6, 4)],
    ids=lambda x: type(x).__name__,
)
def test_clips_with_joints_first_are_refused(layer: torch.nn.Module) -> None:
    clip = torch.randn(2 * 4, 9, 6)
    with pytest.raises(InputError, match=r"shape \(8, 9, 6\), expected .* \[P, T, V, C\]"):
        layer(clip)
    assert layer(clip.view(2, 4, 9, 6).transpose(1, 2)).shape == (2, 9, 4, 6)
