from __future__ import annotations

import torch

from pyg_stgcn.nn import ClassifierHead


def test_starts_small_and_without_bias() -> None:
    head = ClassifierHead(256, 60)
    weight = head.linear.weight
    assert weight.shape == (60, 256)
    assert abs(weight.std().item() - 0.01) < 5e-4
    assert torch.equal(head.linear.bias, torch.zeros(60))


def test_is_linear_in_evaluation_and_drops_features_in_training() -> None:
    head = ClassifierHead(16, 4, dropout=0.5)
    x = torch.randn(3, 16)
    expected = x @ head.linear.weight.t() + head.linear.bias
    assert not torch.allclose(head(x), expected)
    torch.testing.assert_close(head.eval()(x), expected)
