"""Models by name: the decorated factories are the registry, and their signatures the options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.text import suggestion

_FACTORIES: dict[str, Callable[..., nn.Module]] = {}

Factory = TypeVar("Factory", bound=Callable[..., nn.Module])


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


def create_model(
    name: str, num_classes: int, skeleton: Skeleton | str, **options: Any
) -> nn.Module:
    """Makes a model by its name.

    Args:
        name: One of :func:`list_models`.
        num_classes: Number of classes.
        skeleton: The skeleton of the data, or the name of a built-in one.
        **options: The options of this model: the parameters of its class.

    Raises:
        InputError: If there is no such model, or it has no such option.
    """
    if name not in _FACTORIES:
        raise InputError(
            f"model {name!r}: there is no such model{suggestion(name, _FACTORIES)}; choose one of "
            f"{', '.join(list_models())}"
        )
    factory = _FACTORIES[name]
    valid = list(inspect.signature(factory).parameters)[2:]
    for option in options:
        if option not in valid:
            raise InputError(
                f"{option}: {name} has no such option{suggestion(option, valid)}; its options are "
                f"{', '.join(valid)}"
            )
    return factory(num_classes, skeleton, **options)
