"""The graph product of a model: by torch-sparse, or dense."""

from __future__ import annotations

from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.blocks import SpatialUnit
from pyg_stgcn.nn import Adjacency, STGraphConv
from pyg_stgcn.nn.sparse_products import check_product


def set_graph_product(model: nn.Module, graph_product: str) -> None:
    """Chooses how a model multiplies features with its graphs.

    The result is the same but for rounding. It concerns :class:`~pyg_stgcn.nn.STGraphConv`: the
    other convolutions compute a graph of all pairs of joints for every clip, which is dense.

    Args:
        model (torch.nn.Module): A backbone, or a module that has some inside.
        graph_product (str): :obj:`"sparse"`, :obj:`"dense"`, or :obj:`"auto"` to decide by the
            density of the graph, see :class:`~pyg_stgcn.nn.Adjacency`.

    Raises:
        InputError: If there is no such product, torch-sparse is not installed, or the model has no
            convolution that could be sparse.

    Example:
        >>> model = create_model("stgcn", 60, "ntu25")
        >>> set_graph_product(model, "dense")
    """
    check_product(graph_product)
    graphs = _graphs_of(model)
    if graph_product == "sparse" and not graphs:
        raise InputError(
            f"graph_product 'sparse': {type(model).__name__} has no STGraphConv, and the other "
            "convolutions compute a dense graph for every clip; use 'auto', or a model such as "
            "stgcn or stgcnpp"
        )
    for graph in graphs:
        graph.graph_product = graph_product


def _graphs_of(model: nn.Module) -> list[Adjacency]:
    """The graphs of all convolutions that can multiply with a sparse matrix."""
    units = [module for module in model.modules() if isinstance(module, SpatialUnit)]
    return [unit.adjacency for unit in units if isinstance(unit.conv, STGraphConv)]
