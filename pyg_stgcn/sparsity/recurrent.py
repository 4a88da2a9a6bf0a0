"""Masked weights of torch's recurrent layers, which keep a list of all their parameters."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def compute_flat_weights(layer: nn.RNNBase) -> None:
    """Make a recurrent layer read its weights through their parametrizations.

    Its class must be its own, as that of a layer with parametrizations is. On a GPU the weights are
    then not in one block of memory, and cuDNN copies them in every call.
    """
    cls: Any = type(layer)
    # Tensors computed in an earlier call could be neither trained nor copied.
    layer.__dict__.pop("_flat_weights", None)
    cls._flat_weights = property(_read_weights, _do_nothing)
    for update in ("_init_flat_weights", "_update_flat_weights", "flatten_parameters"):
        setattr(cls, update, _do_nothing)


def keep_flat_weights(layer: nn.RNNBase) -> None:
    """Make a recurrent layer keep its list of parameters again, after its last parametrization."""
    layer._init_flat_weights()


def _read_weights(layer: nn.RNNBase) -> list[Tensor | None]:
    return [getattr(layer, name, None) for name in layer._flat_weights_names]


def _do_nothing(layer: nn.RNNBase, weights: object = None) -> None:
    """Stand in for a method that would keep the weights of this moment."""
