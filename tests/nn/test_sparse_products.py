from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.typing import SparseTensor

from pyg_stgcn.nn.sparse_products import sparse_product

pytestmark = pytest.mark.torch_sparse
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


def product_and_gradients(x: Tensor, dense: Tensor) -> tuple[Tensor, ...]:
    """The sparse product, and the gradients of features and matrix by upstream gradients of 1."""
    rows, columns = dense.nonzero(as_tuple=True)
    x = x.requires_grad_()
    value = dense[rows, columns].requires_grad_()
    adj = SparseTensor(row=rows, col=columns, value=value, sparse_sizes=dense.shape)
    out = sparse_product(x, adj)
    of_features, of_values = torch.autograd.grad(out.sum(), [x, value])
    assert out.dtype == x.dtype
    placed = torch.zeros_like(dense).index_put((rows, columns), of_values)
    return tuple(part.detach().double().cpu() for part in (out, of_features, placed))


def expected(x: Tensor, dense: Tensor) -> tuple[Tensor, ...]:
    """The same in closed form."""
    x, dense = x.detach().double().cpu(), dense.double().cpu()
    of_values = x.flatten(0, -3).sum((0, 2)) * (dense != 0)
    return dense @ x, dense.sum(0)[:, None].expand_as(x), of_values


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_of_many_frames_in_every_precision(dtype: torch.dtype, device: str) -> None:
    x = torch.rand(40, 50, 4, 8, dtype=dtype, device=device)
    dense = torch.tensor([[0, 0.5, 0, 0], [0.25, 0, 0, 1], [0, 0, 0, 0]]).to(device, dtype)
    wanted = expected(x, dense)
    digits = torch.finfo(dtype).eps if dtype.itemsize == 2 else 1e-5
    for part, other in zip(product_and_gradients(x, dense), wanted, strict=True):
        torch.testing.assert_close(part, other, rtol=2 * digits, atol=0)


@pytest.mark.parametrize("lead", [(), (1,), (7,), (2, 5)])
def test_batches_beyond_the_counters_of_the_kernels(
    lead: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, dense = torch.randn(*lead, 5, 3).double(), torch.randn(6, 5).double()
    dense *= torch.rand(6, 5) < 0.4
    whole = product_and_gradients(x, dense)
    for largest in (1, 3 * 6 * 32):
        monkeypatch.setattr("pyg_stgcn.nn.sparse_products._MAX_COUNT", largest)
        for part, other in zip(product_and_gradients(x, dense), whole, strict=True):
            torch.testing.assert_close(part, other)
