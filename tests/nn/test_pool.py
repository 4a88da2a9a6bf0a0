from __future__ import annotations

import torch

from pyg_stgcn.nn import person_pool


def test_is_the_mean_over_the_persons_of_a_sample() -> None:
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    num_persons = torch.tensor([1, 3, 2])
    out = person_pool(x, num_persons)
    expected = torch.stack([x[:1].mean(0), x[1:4].mean(0), x[4:].mean(0)])
    torch.testing.assert_close(out, expected)
    assert torch.autograd.gradcheck(lambda x: person_pool(x, num_persons), x)
