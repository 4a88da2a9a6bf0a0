"""Tells where torch-sparse can be used."""

from __future__ import annotations

import warnings

import torch
from torch_geometric.typing import WITH_TORCH_SPARSE

from pyg_stgcn.errors import InputError

#: Choices of a graph product.
GRAPH_PRODUCTS = ("auto", "sparse", "dense")


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
