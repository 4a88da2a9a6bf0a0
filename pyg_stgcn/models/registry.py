"""Models by name: the decorated classes are the registry, and their signatures the options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
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
    :func:`create_model`.
    """
    name = factory.__name__.lower()
    if name in _FACTORIES:
        raise ValueError(f"a model named {name!r} is already registered")
    _FACTORIES[name] = factory
    return factory


def list_models() -> list[str]:
    """The names of all models."""
    return sorted(_FACTORIES)


def create_model(name: str, num_classes: int, skeleton: Skeleton | str, **options: Any) -> Backbone:
    """Makes a model by its name.

    Args:
        name: One of :func:`list_models`.
        num_classes: Number of classes.
        skeleton: The skeleton of the data, or the name of a built-in one.
        **options: The options of this model: the parameters of its class.

    Raises:
        InputError: If there is no such model, or it has no such option.
    """
    check_name("model", name, list_models())
    factory = _FACTORIES[name]
    valid = _options(factory)
    for option in options:
        if option not in valid:
            raise InputError(
                f"{option}: {name} has no such option{suggestion(option, valid)}; its options are "
                f"{', '.join(valid)}"
            )
    return factory(num_classes, skeleton, **options)


def _options(factory: Callable[..., Backbone]) -> list[str]:
    """The names of the options of a factory; those of a class include those of its bases."""
    found: list[str] = []
    for part in factory.__mro__ if isinstance(factory, type) else (factory,):
        if part is factory or "__init__" in vars(part):
            parameters = list(inspect.signature(part).parameters.values())[2:]
            found += [entry.name for entry in parameters if entry.kind != entry.VAR_KEYWORD]
            if all(entry.kind != entry.VAR_KEYWORD for entry in parameters):
                break
    return found
