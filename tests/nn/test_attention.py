from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pyg_stgcn.nn import STCAttention


@pytest.mark.parametrize("num_joints", [1, 2, 5, 6])
def test_equals_three_gates_in_a_row(num_joints: int) -> None:
    layer = STCAttention(6, num_joints).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(3, 7, num_joints, 6, dtype=torch.float64)
    out = layer(x)

    y = x.permute(0, 3, 1, 2)
    span = layer.joint_conv.kernel_size[0]
    assert span == num_joints - (num_joints % 2 == 0)
    gate = F.conv1d(y.mean(2), layer.joint_conv.weight, layer.joint_conv.bias, padding=span // 2)
    y = y * gate.sigmoid().unsqueeze(2) + y
    gate = F.conv1d(y.mean(3), layer.frame_conv.weight, layer.frame_conv.bias, padding=4)
    y = y * gate.sigmoid().unsqueeze(3) + y
    gate = layer.excite(F.relu(layer.squeeze(y.mean((2, 3)))))
    y = y * gate.sigmoid()[..., None, None] + y
    torch.testing.assert_close(out, y.permute(0, 2, 3, 1))


def test_frames_and_channels_start_at_one_half() -> None:
    layer = STCAttention(6, 5)
    nn.init.zeros_(layer.joint_conv.weight)
    x = torch.randn(3, 7, 5, 6)
    torch.testing.assert_close(layer(x), x * 1.5**3)


def test_reset_parameters() -> None:
    layer = STCAttention(16, 5)
    before = layer.joint_conv.weight.clone()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(1)
    layer.reset_parameters()
    assert not torch.equal(layer.joint_conv.weight, before)
    assert layer.squeeze.weight.std() > 0.2
    for name, parameter in layer.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()


def test_a_single_channel_has_a_gate_too() -> None:
    assert STCAttention(1, 5)(torch.randn(2, 3, 5, 1)).shape == (2, 3, 5, 1)
