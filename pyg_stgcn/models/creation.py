"""Models by name, with new or with published weights."""

from __future__ import annotations

import os
from typing import Any

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.graph_products import set_graph_product
from pyg_stgcn.models.pyskl.model_zoo import fetch_published, find_published
from pyg_stgcn.models.pyskl.pyskl_architecture import read_architecture
from pyg_stgcn.models.pyskl.pyskl_weights import load_pyskl, read_pyskl
from pyg_stgcn.models.registry import build_model
from pyg_stgcn.names import is_published
from pyg_stgcn.skeletons import Skeleton


def create_model(
    name: str,
    num_classes: int | None = None,
    skeleton: Skeleton | str | None = None,
    *,
    pretrained: str | os.PathLike[str] | None = None,
    graph_product: str = "auto",
    **options: Any,
) -> Backbone:
    """Makes a model by its name.

    Args:
        name: One of :func:`list_models`.
        num_classes: Number of classes (default: that of the pretrained weights). For another
            number, the model gets a new, untrained classifier.
        skeleton: The skeleton of the data, or the name of a built-in one (default: that of the
            pretrained weights).
        pretrained: Weights to start from: one of :func:`list_pretrained`, which is fetched once and
            kept in PyG's home folder, or a checkpoint file of PYSKL. Options that are left out are
            those of the weights.
        graph_product: How features are multiplied with the graph, see :func:`set_graph_product`.
        **options: The options of this model: the parameters of its class.

    Raises:
        InputError: If there is no such model, it has no such option, or the weights cannot be
            fetched or do not fit.

    Example:
        >>> create_model("stgcn", 27, "kinect20", base_channels=16, graph="random")
        >>> create_model("stgcnpp", pretrained="pyskl/ntu60_xsub_3dkp/j")
    """
    model = _create(name, num_classes, skeleton, pretrained, options)
    set_graph_product(model, graph_product)
    return model


def _create(
    name: str,
    num_classes: int | None,
    skeleton: Skeleton | str | None,
    pretrained: str | os.PathLike[str] | None,
    options: dict[str, Any],
) -> Backbone:
    if pretrained is not None:
        return _create_pretrained(name, num_classes, skeleton, pretrained, options)
    if num_classes is None or skeleton is None:
        missing = "num_classes" if num_classes is None else "skeleton"
        raise InputError(f"{missing}: give it, or pretrained weights that have one")
    return build_model(name, num_classes, skeleton, options)


def _create_pretrained(
    name: str,
    num_classes: int | None,
    skeleton: Skeleton | str | None,
    pretrained: str | os.PathLike[str],
    options: dict[str, Any],
) -> Backbone:
    path = pretrained
    if is_published(pretrained):
        path = fetch_published(find_published(str(pretrained), name))
    state = read_pyskl(path)
    found = read_architecture(state, path)
    if found.name != name:
        raise InputError(f"{path}: holds weights of {found}; create a {found.name!r} with them")
    skeleton = found.skeleton if skeleton is None else skeleton
    classes = found.num_classes if num_classes is None else num_classes
    for argument, value in (("skeleton", skeleton), ("num_classes", classes)):
        if value is None:
            raise InputError(f"{path}: does not say its {argument}; give it")
    assert skeleton is not None and classes is not None
    model = build_model(name, classes, skeleton, found.options | options)
    load_pyskl(model, state, head=classes == found.num_classes)
    return model
