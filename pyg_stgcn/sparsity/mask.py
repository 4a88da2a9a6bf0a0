"""The mask of one parameter, as a parametrization."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity.recurrent import compute_flat_weights, keep_flat_weights
from pyg_stgcn.sparsity.structures import STRUCTURES, pool_units, unit_shape

SCORE_SCALES = ("fan_in", "none")
#: Names of a parametrized weight, and of the parts of its parametrizations, in a state dict.
_PARAMETRIZED = re.compile(r"(?P<owner>.*)parametrizations\.(?P<attribute>[^.]+)\.(?P<part>.+)")


def fan_in(shape: torch.Size) -> int:
    """Number of inputs of one output: all dimensions but the first (of a vector, its length)."""
    return math.prod(shape[1:]) if len(shape) > 1 else math.prod(shape)


class Mask(nn.Module):
    r"""Base of all methods: sets pruned entries of a parameter to zero.

    .. math::
        \tilde{w} = w \odot m

    The mask itself is a buffer that only a :class:`SparsityController` writes, in the order that
    :meth:`ranking` gives. A method of pruning is a subclass with its own :meth:`ranking` and, where
    it needs them, :meth:`forward`, :meth:`begin_update`, :meth:`end_update` and
    :meth:`needs_dense_grad`:

    .. code-block:: python

        @register_method("smallest")
        class SmallestMask(Mask):
            def ranking(self, weight):
                return self.pool(-weight.abs())

        controller = sparsify(model, 0.9, method="smallest")

    Args:
        weight (torch.Tensor): The parameter to mask.
        score_scale (str): Scale of the importances of different layers. ``"fan_in"``: times
            :math:`\sqrt{\mathrm{fan\_in} / 6}`, the inverse of the range in which weights and
            scores are initialised, so that all layers start equally dense. ``"none"``: unchanged,
            so that layers with a large fan-in start almost empty.
        generator (torch.Generator, optional): Source of random numbers at the start.
        structure (str): Units that are kept or pruned as a whole, see
            :func:`~pyg_stgcn.sparsity.structures.pool_units`.

    Shapes:
        - **input:** the weight, any shape
        - **output:** the same shape
    """

    mask: Tensor

    def __init__(
        self,
        weight: Tensor,
        score_scale: str = "fan_in",
        generator: torch.Generator | None = None,
        structure: str = "unstructured",
    ) -> None:
        super().__init__()
        if structure not in STRUCTURES:
            raise InputError(
                f"structure {structure!r} is unknown; choose one of {', '.join(STRUCTURES)}"
            )
        self.structure = structure
        if score_scale not in SCORE_SCALES:
            raise InputError(
                f"score_scale {score_scale!r} is unknown; choose one of {', '.join(SCORE_SCALES)}"
            )
        self.score_scale = score_scale
        #: Whether the next step is the last before an update; the controller announces it.
        self.before_update = False
        self.bound = math.sqrt(6 / max(fan_in(weight.shape), 1))
        self.register_buffer("mask", torch.ones_like(weight, dtype=torch.bool))

    @property
    def rank_scale(self) -> float:
        """Factor from an importance to the value compared between layers."""
        return 1 / self.bound if self.score_scale == "fan_in" else 1.0

    @property
    def unit_shape(self) -> tuple[int, ...]:
        """Shape of the units that are kept or pruned as a whole; that of the weight if single."""
        return unit_shape(self.structure, self.mask.shape)

    def ranking(self, weight: Tensor) -> Tensor:
        """Importance of each unit of the weight under the mask: the lowest are pruned first."""
        raise NotImplementedError

    def needs_dense_grad(self, before_update: bool) -> bool:
        """Whether a training step needs the gradients of pruned weights too.

        Args:
            before_update (bool): Whether the step is the last before an update of the masks.
        """
        return False

    def announce(self, before_update: bool) -> None:
        """Begin a training step.

        Args:
            before_update (bool): Whether the step is the last before an update of the masks.
        """
        self.before_update = before_update

    def begin_update(self, drop_fraction: float) -> None:
        """Prepare an update of the mask.

        Args:
            drop_fraction (float): Fraction of the kept weights to replace, for methods that do.
        """

    def end_update(self, weight: Tensor, optimizer: torch.optim.Optimizer | None) -> None:
        """Finish an update: the mask is the new one.

        Args:
            weight (torch.Tensor): The weight under the mask.
            optimizer (torch.optim.Optimizer, optional): Its state of the weight may be changed.
        """

    def pool(self, values: Tensor) -> Tensor:
        """Mean over the weights of each unit."""
        return pool_units(self.structure, values)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with pruned entries set to (positive) zero."""
        return torch.where(self.mask, weight, 0)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the weight under the mask for ``module.weight = tensor``."""
        return weight

    def extra_repr(self) -> str:
        """Show the shape, the scale and the structure."""
        return (
            f"{tuple(self.mask.shape)}, score_scale={self.score_scale!r}, "
            f"structure={self.structure!r}"
        )


@dataclass(frozen=True)
class MaskedParameter:
    """One masked parameter of a module, by the dotted name it has in the dense module."""

    name: str
    owner: nn.Module
    attribute: str
    parametrization: Mask

    @property
    def mask(self) -> Tensor:
        """Boolean mask, true where the weight is kept."""
        return self.parametrization.mask

    @property
    def unit_shape(self) -> tuple[int, ...]:
        """Shape of the units that are kept or pruned as a whole."""
        return self.parametrization.unit_shape

    @property
    def weight(self) -> Tensor:
        """The weight under the mask."""
        chain = cast(nn.ModuleDict, self.owner.parametrizations)[self.attribute]
        return cast(Tensor, chain.original)

    @property
    def ranking(self) -> Tensor:
        """Importance of each unit, not yet scaled for the comparison between layers."""
        return self.parametrization.ranking(self.weight)

    @property
    def is_edge(self) -> bool:
        """Whether the parameter belongs to the pool of edge weights."""
        return is_edge_weight(self.name, self.mask)


def is_edge_weight(name: str, parameter: Tensor) -> bool:
    """Whether a parameter holds one weight per edge of a graph."""
    return name.endswith("edge_weight") and not is_lazy(parameter) and parameter.dim() == 1


def masked_parameters(module: nn.Module) -> list[MaskedParameter]:
    """Masked parameters of a module and its children, in the order of the modules."""
    return list(_masked_parameters(module))


def _masked_parameters(module: nn.Module) -> Iterator[MaskedParameter]:
    for prefix, owner in module.named_modules():
        if not parametrize.is_parametrized(owner):
            continue
        for attribute, chain in cast(nn.ModuleDict, owner.parametrizations).items():
            for parametrization in cast(nn.ModuleList, chain):
                if isinstance(parametrization, Mask):
                    name = f"{prefix}.{attribute}" if prefix else attribute
                    yield MaskedParameter(name, owner, attribute, parametrization)


def score_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Scores of all masks of the method ``"score"``.

    Give them an optimiser group of their own, without weight decay.

    Example:
        >>> groups = [{"params": weight_parameters(model), "weight_decay": 5e-4}]
        >>> groups += [{"params": score_parameters(model)}]
        >>> optimizer = torch.optim.SGD(groups, lr=0.1)
    """
    entries = _masked_parameters(module)
    return [score for entry in entries for score in entry.parametrization.parameters()]


def weight_parameters(module: nn.Module) -> list[nn.Parameter]:
    """All parameters of a module but the scores: those of the dense module."""
    scores = {id(score) for score in score_parameters(module)}
    return [parameter for parameter in module.parameters() if id(parameter) not in scores]


def add_mask(owner: nn.Module, attribute: str, mask: Mask) -> None:
    """Put a mask on ``owner.attribute``."""
    parametrize.register_parametrization(owner, attribute, mask)
    # torch has made this class for this one instance, so that it can have methods for its mask.
    cls: Any = type(owner)
    cls.__deepcopy__ = _deepcopy
    cls._save_to_state_dict = _save_to_state_dict
    if isinstance(owner, nn.RNNBase):
        compute_flat_weights(owner)


@torch.no_grad()
def copy_masks(source: nn.Module, target: nn.Module) -> None:
    """Copy the masks of a module to a deep copy of it, such as an average of its weights.

    Needed where buffers are averaged: the average of masks would keep each weight that any of them
    has kept.

    Args:
        source (torch.nn.Module): A module with masks.
        target (torch.nn.Module): A copy of it, made when it had its masks.

    Raises:
        InputError: If the masked parameters of the two are not the same.

    Example:
        >>> average = AveragedModel(model, avg_fn=get_ema_avg_fn(), use_buffers=True)
        >>> average.update_parameters(model)
        >>> copy_masks(model, average.module)
    """
    given = {entry.name: entry.parametrization for entry in _masked_parameters(source)}
    copies = {entry.name: entry.parametrization for entry in _masked_parameters(target)}
    if given.keys() != copies.keys():
        names = sorted(given.keys() ^ copies.keys())
        raise InputError(
            f"{', '.join(names[:3])}: masked in one of the modules only; copy the module after "
            "sparsify()"
        )
    for name, mask in given.items():
        for part, values in mask.named_buffers():
            copies[name].get_buffer(part).copy_(values)


def fold_mask(owner: nn.Module, attribute: str) -> None:
    """Replace ``owner.attribute`` by a plain parameter, with zeros for pruned weights."""
    parametrize.remove_parametrizations(owner, attribute, leave_parametrized=True)
    if isinstance(owner, nn.RNNBase) and not parametrize.is_parametrized(owner):
        keep_flat_weights(owner)


def fold_state_dict(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Fold the masks in the state dict of a module with masks into its weights.

    Args:
        state (dict): State dict of the module, with or without masks.

    Returns:
        tuple: The state dict of the module without masks, with zeros for pruned weights, and the
        masks by the names of their weights in it.
    """
    weights: dict[str, Tensor] = {}
    masks: dict[str, Tensor] = {}
    for name, value in state.items():
        found = _PARAMETRIZED.fullmatch(name)
        if found is None:
            weights[name] = value
        elif found["part"] == "original":
            weights[found["owner"] + found["attribute"]] = value
        elif found["part"] == "0.mask":
            masks[found["owner"] + found["attribute"]] = value
    for name, mask in masks.items():
        weights[name] = torch.where(mask, weights[name], 0)
    return weights, masks


def _deepcopy(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """Copy a module with masks; the copy gets a class of its own.

    A ``__deepcopy__`` of the module itself may not copy the mask. By torch's default all copies
    have one class in common, and folding the mask of one would delete a property of the others.
    """
    if id(module) in memo:
        return cast(nn.Module, memo[id(module)])
    cls = type(module)
    namespace = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")}
    replica = cast(nn.Module, object.__new__(type(cls.__name__, cls.__bases__, namespace)))
    memo[id(module)] = replica
    replica.__dict__ = copy.deepcopy(module.__dict__, memo)
    return replica


def _save_to_state_dict(
    module: nn.Module, destination: dict[str, Any], prefix: str, keep_vars: bool
) -> None:
    """Save a module with masks, without the masked weight itself, which could not be loaded.

    A layer that saves its weight by name, as PyG's Linear does, would save it in addition to the
    weight under the mask.
    """
    dense_class = cast(type[nn.Module], type(module).__bases__[0])
    dense_class._save_to_state_dict(module, destination, prefix, keep_vars)
    for attribute in cast(nn.ModuleDict, module.parametrizations):
        destination.pop(prefix + attribute, None)
