"""The products of torch-sparse, and where they can be used."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch_geometric.typing import WITH_TORCH_SPARSE, SparseTensor, torch_sparse

from pyg_stgcn.errors import InputError

#: Choices of a graph product.
GRAPH_PRODUCTS = ("auto", "sparse", "dense")

# The CUDA kernels of torch-sparse count numbers, and the 32 threads of a row, as 32-bit integers.
_MAX_COUNT = 2**31 - 1
_THREADS = 32


def sparse_product(x: Tensor, adj: SparseTensor) -> Tensor:
    r"""Multiplies every frame's features by a sparse matrix.

    Features in half precision are multiplied in float32: torch-sparse adds the gradients of the
    matrix one by one in the precision of the features, in which they soon cease to grow, and knows
    no bfloat16 on GPUs.

    Args:
        x (torch.Tensor): The features.
        adj (SparseTensor): The matrix.

    Shapes:
        - **x:** :math:`(*, V, C)`, **adj:** :math:`(R, V)`
        - **output:** :math:`(*, R, C)`
    """
    *lead, nodes, channels = x.shape
    frames = x.reshape(-1, nodes, channels).to(torch.promote_types(x.dtype, torch.float32))
    count = max(_MAX_COUNT // (max(adj.size(0), nodes) * max(channels, _THREADS)), 1)
    parts = [torch_sparse.matmul(adj, part) for part in frames.split(count)]
    out = parts[0] if len(parts) == 1 else torch.cat(parts)
    return out.to(x.dtype).view(*lead, adj.size(0), channels)


def has_products(device: torch.device) -> bool:
    """Tells if torch-sparse is installed, and compiled for a device."""
    if not WITH_TORCH_SPARSE or device.type not in ("cpu", "cuda"):
        return False
    return device.type == "cpu" or torch.ops.torch_sparse.cuda_version() >= 0


def check_product(graph_product: str) -> None:
    """Raises an error unless a graph product is one of the choices, and installed."""
    if graph_product not in GRAPH_PRODUCTS:
        choices = ", ".join(GRAPH_PRODUCTS)
        raise InputError(f"graph_product {graph_product!r}: is unknown; use one of {choices}")
    if graph_product == "sparse" and not WITH_TORCH_SPARSE:
        raise InputError(
            "graph_product 'sparse': torch-sparse is not installed; install torch-scatter and "
            "torch-sparse (https://data.pyg.org/whl has wheels), or use 'auto'"
        )


def check_device(device: torch.device) -> None:
    """Raises an error unless torch-sparse has products on a device."""
    if not has_products(device):
        raise InputError(
            f"graph_product 'sparse': torch-sparse has no products on the device {device} here; "
            "install torch-sparse compiled for CUDA, compute on the CPU, or use 'auto'"
        )


@torch.compiler.assume_constant_result
def warn_of_tracing() -> bool:
    """Warns while a model is compiled or exported."""
    warnings.warn(
        "graph_product 'sparse': torch.compile and torch.export do not trace torch-sparse; the "
        "traced model has the dense product, with the same results",
        stacklevel=2,
    )
    return True
