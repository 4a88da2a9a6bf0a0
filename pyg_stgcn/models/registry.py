"""Models by name: the decorated classes are the registry, and their signatures the options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.names import check_name
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.text import suggestion

_FACTORIES: dict[str, Callable[..., Backbone]] = {}

Factory = TypeVar("Factory", bound=Callable[..., Backbone])


def register_model(factory: Factory) -> Factory:
    """Registers a factory, a class or a function, under its own name in lower case.

    Its first two parameters are ``num_classes`` and ``skeleton``; the others are the options of
    :func:`~pyg_stgcn.models.create_model`.
    """
    name = factory.__name__.lower()
    if name in _FACTORIES:
        raise ValueError(f"a model named {name!r} is already registered")
    _FACTORIES[name] = factory
    return factory


def list_models() -> list[str]:
    """The names of all models."""
    return sorted(_FACTORIES)


def build_model(
    name: str, num_classes: int, skeleton: Skeleton | str, options: Mapping[str, Any]
) -> Backbone:
    """Makes a model with new weights, see :func:`~pyg_stgcn.models.create_model`."""
    check_name("model", name, list_models())
    valid = option_names(name)
    for option in options:
        if option not in valid:
            raise InputError(
                f"{option}: {name} has no such option{suggestion(option, valid)}; its options are "
                f"{', '.join(valid)}"
            )
    return _FACTORIES[name](num_classes, skeleton, **options)


def option_names(name: str) -> list[str]:
    """The names of the options of a model; those of a class include those of its bases."""
    factory, found = _FACTORIES[name], list[str]()
    for part in factory.__mro__ if isinstance(factory, type) else (factory,):
        if part is factory or "__init__" in vars(part):
            parameters = list(inspect.signature(part).parameters.values())[2:]
            found += [entry.name for entry in parameters if entry.kind != entry.VAR_KEYWORD]
            if all(entry.kind != entry.VAR_KEYWORD for entry in parameters):
                break
    return found
