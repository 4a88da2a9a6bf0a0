"""Selection of the parameters to mask, and masks that fit them."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pyg_stgcn.checked import shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity.mask import Mask, is_edge_weight

Pattern = str | Sequence[str] | Callable[[str, nn.Parameter], bool]

# Compared with the names of a class and its bases, to find the norms of every library.
_NOT_MASKABLE = re.compile(r"(Norm(\dd)?|NormBase|Embedding(Bag)?)$")
# "weight", "in_proj_weight", "weight_ih_l0"; "weight_g" holds the lengths of weight normalisation.
_WEIGHT = re.compile(r"weight(_(?!g$)\w+)?|\w+_weight")
#: A matrix with fewer numbers, as a fraction of all masked weights, stays dense without a warning.
_WORTH_TELLING = 0.01
#: Names that a message lists.
_MAX_NAMES = 5


@dataclass(frozen=True)
class Candidate:
    """A parameter, with the module that owns it."""

    name: str
    owner: nn.Module
    attribute: str
    parameter: nn.Parameter

    @property
    def is_edge(self) -> bool:
        """Whether this belongs to the pool of edge weights."""
        return is_edge_weight(self.name, self.parameter)

    @property
    def is_default(self) -> bool:
        """Whether this is masked by default."""
        if _of_norm_or_embedding(self.owner):
            return False
        # A lazy parameter is chosen, so that the error about its missing shape can name it.
        return _WEIGHT.fullmatch(self.attribute) is not None and (
            is_lazy(self.parameter) or self.parameter.dim() >= 2
        )

    @property
    def is_matrix(self) -> bool:
        """Whether this could be a weight by its shape: rows, columns, and not of a norm."""
        return (
            not _of_norm_or_embedding(self.owner)
            and self.attribute != "bias"
            and not is_lazy(self.parameter)
            and self.parameter.dim() >= 2
            and min(self.parameter.shape[0], self.parameter.shape[-1]) > 1
        )


def _of_norm_or_embedding(owner: nn.Module) -> bool:
    return any(_NOT_MASKABLE.search(base.__name__) for base in type(owner).__mro__)


def candidates(module: nn.Module) -> list[Candidate]:
    """All floating-point parameters that can have a mask; each owner once."""
    found = []
    for prefix, owner in module.named_modules():
        if isinstance(owner, nn.ParameterList | nn.ParameterDict | Mask):
            continue
        for attribute, parameter in owner.named_parameters(recurse=False):
            name = f"{prefix}.{attribute}" if prefix else attribute
            if parameter.is_floating_point() and "parametrizations" not in name.split("."):
                found.append(Candidate(name, owner, attribute, parameter))
    return found


def select_parameters(
    module: nn.Module,
    include: Pattern | None,
    exclude: Pattern,
    edges: bool,
) -> list[Candidate]:
    """Choose the parameters to mask.

    Args:
        module (torch.nn.Module): The module whose parameters are chosen.
        include (str, sequence of str or callable, optional): Patterns of :mod:`fnmatch` on dotted
            parameter names, or a predicate ``(name, parameter) -> bool``. ``None``: every parameter
            named ``weight``, ``weight_...`` or ``..._weight`` with two or more dimensions, of all
            modules but norms and embeddings, and every edge weight. A pattern that matches some of
            these matches no others: ``"layer.*"`` does not choose biases and norms, ``"*.bias"``
            does.
        exclude (str, sequence of str or callable): Patterns or predicate of parameters to leave
            dense.
        edges (bool): Whether to choose edge weights too.

    Raises:
        InputError: If a pattern matches no parameter, if none is chosen, or if a chosen parameter
            is shared between two modules or not yet initialised.
    """
    pool = candidates(module)
    included = _included(pool, include)
    excluded = _matches(pool, exclude, "exclude")
    chosen = [
        candidate
        for candidate in pool
        if candidate.name in included
        and candidate.name not in excluded
        and (edges or not candidate.is_edge)
    ]
    if not chosen:
        raise InputError(
            f"include={include!r}, exclude={exclude!r} leave no parameter of "
            f"{type(module).__name__} to mask, edge weights {'included' if edges else 'aside'}; "
            f"{_hint(pool)}"
        )
    _refuse_unmaskable(chosen, pool)
    return chosen


def dense_parameters(module: nn.Module, maskable: Container[str]) -> tuple[str, ...]:
    """Names of the parameters of two or more dimensions that are not among the maskable ones."""
    names = [
        one.name
        for one in candidates(module)
        if not is_lazy(one.parameter) and one.parameter.dim() >= 2
    ]
    return tuple(name for name in names + _reparametrized(module) if name not in maskable)


def explain_dense(module: nn.Module, exclude: Pattern, chosen: Sequence[Candidate]) -> list[str]:
    """One line for each reason for which matrices stay dense unasked.

    Args:
        module (torch.nn.Module): The module whose parameters were chosen by default.
        exclude (str, sequence of str or callable): Parameters that shall stay dense.
        chosen (sequence of Candidate): The parameters to mask.
    """
    pool = candidates(module)
    expected = {one.name for one in chosen} | _matches(pool, exclude, "exclude")
    least = _WORTH_TELLING * sum(one.parameter.numel() for one in chosen)
    named = [
        one.name
        for one in pool
        if one.is_matrix and one.name not in expected and one.parameter.numel() >= least
    ]
    lines = []
    if named:
        listed = ", ".join(map(repr, ["*", *named[:_MAX_NAMES]]))
        lines.append(
            f"{type(module).__name__} keeps {_list(named)} dense: only parameters called weight "
            f"are masked by default; add these with include=[{listed}], or name them in exclude"
        )
    if reparametrized := _reparametrized(module):
        lines.append(
            f"{type(module).__name__} keeps {_list(reparametrized)} dense: parametrized already; "
            "remove these parametrizations before sparsify()"
        )
    return lines


def _reparametrized(module: nn.Module) -> list[str]:
    """Names of the weights that are computed by a parametrization other than a mask."""
    found = []
    for prefix, owner in module.named_modules():
        for attribute, chain in getattr(owner, "parametrizations", {}).items():
            masked = any(isinstance(part, Mask) for part in chain)
            if _WEIGHT.fullmatch(attribute) and not masked:
                found.append(f"{prefix}.{attribute}" if prefix else attribute)
    return found


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more


def check_masks(module: nn.Module, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return masks in the order of a module's parameters.

    Raises:
        InputError: If a name or a shape is not that of a parameter.
    """
    parameters = {entry.name: entry.parameter for entry in candidates(module)}
    for name, mask in masks.items():
        check_mask(name, mask, parameters.get(name))
    return {name: masks[name] for name in parameters if name in masks}


def check_mask(name: str, mask: Tensor, weight: Tensor | None) -> None:
    """Raise an error unless a mask fits its weight."""
    if weight is None:
        raise InputError(
            f"mask {shown(name)}: there is no weight of this name; use the same network"
        )
    if mask.dtype != torch.bool or mask.shape != weight.shape:
        raise InputError(
            f"mask {name!r}: is {mask.dtype} of shape {tuple(mask.shape)}, the weight needs "
            f"torch.bool of shape {tuple(weight.shape)}; use the same network and width"
        )


def _patterns(pattern: str | Sequence[str]) -> tuple[str, ...]:
    return (pattern,) if isinstance(pattern, str) else tuple(pattern)


def _included(pool: list[Candidate], include: Pattern | None) -> set[str]:
    defaults = [candidate for candidate in pool if candidate.is_default or candidate.is_edge]
    if include is None:
        return {candidate.name for candidate in defaults}
    if callable(include):
        return _matches(pool, include, "include")
    names: set[str] = set()
    for pattern in _patterns(include):
        found = {one.name for one in defaults if fnmatchcase(one.name, pattern)}
        names |= found or _matches(pool, pattern, "include")
    return names


def _matches(pool: list[Candidate], pattern: Pattern, argument: str) -> set[str]:
    """Names that match a pattern, or an error if one matches nothing."""
    if callable(pattern):
        return {one.name for one in pool if pattern(one.name, one.parameter)}
    names: set[str] = set()
    for part in _patterns(pattern):
        found = {one.name for one in pool if fnmatchcase(one.name, part)}
        if not found:
            raise InputError(f"{argument}={part!r} matches no parameter; {_hint(pool)}")
        names |= found
    return names


def _hint(pool: list[Candidate]) -> str:
    names = [candidate.name for candidate in pool if candidate.is_default] or [
        candidate.name for candidate in pool
    ]
    if not names:
        return "it has no parameters that could be masked"
    return f"choose among {_list(names)}"


def _refuse_unmaskable(chosen: list[Candidate], pool: list[Candidate]) -> None:
    names: dict[int, list[str]] = {}
    for candidate in pool:
        names.setdefault(id(candidate.parameter), []).append(candidate.name)
    for candidate in chosen:
        if is_lazy(candidate.parameter):
            raise InputError(
                f"{candidate.name} has no shape yet; run one batch through the module first"
            )
        if candidate.parameter.numel() == 0:
            raise InputError(
                f"{candidate.name} of shape {tuple(candidate.parameter.shape)} is empty; exclude it"
            )
        shared = names[id(candidate.parameter)]
        if len(shared) > 1:
            raise InputError(
                f"{' and '.join(shared)} are one shared parameter, which cannot carry two masks; "
                f"exclude them, or give each module its own"
            )
