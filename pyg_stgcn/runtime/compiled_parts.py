"""The parts of a compiled model: which of them skip their zeros, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.nn import CTRGraphConv
from pyg_stgcn.runtime.compiled_backbone import SparseBackbone
from pyg_stgcn.runtime.native import kernels
from pyg_stgcn.runtime.products import SparseProducts
from pyg_stgcn.runtime.single import SparseLayer, is_faster, obstacle
from pyg_stgcn.runtime.sparse_weights import zeros_fraction
from pyg_stgcn.runtime.supported import unsupported

TOO_DENSE = "dense is faster at this size and sparsity"


@dataclass(frozen=True)
class CompiledPart:
    """A part of a compiled model that has weights.

    Args:
        name (str): Its dotted name.
        kind (str): Its class.
        sparsity (float): Fraction of zeros in its weights.
        reason (str): The reason why it computes its zeros; empty if it skips them.
    """

    name: str
    kind: str
    sparsity: float
    reason: str

    @property
    def is_sparse(self) -> bool:
        """Whether the part skips its zeros."""
        return not self.reason

    def __str__(self) -> str:
        state = f"dense: {self.reason}" if self.reason else "sparse"
        return f"{self.name or '(model)':40} {self.kind:32} {self.sparsity:6.1%}  {state}"


def compile_report(model: nn.Module) -> list[CompiledPart]:
    """Says which parts of a compiled model skip their zeros, and why the others do not.

    Parts are the backbones of this package, and every module with a weight of its own, of two or
    more dimensions. A part that is used in several places is named once.

    Args:
        model (torch.nn.Module): The result of :func:`~pyg_stgcn.runtime.compile_sparse`.

    Example:
        >>> print(*compile_report(compile_sparse(model)), sep="\\n")
        convs.0.lin                              SparseLinear                      95.0%  sparse
        convs.1.lin                              Linear                            10.0%  dense: ...
    """
    if isinstance(model, SparseProducts):
        parts = _parts(model.model)
        return [_product(part, model.names) for part in parts]
    return list(_parts(model))


def why_dense(module: nn.Module, parent: nn.Module | None, name: str) -> str:
    """The reason why a module of a parent stays dense; empty if the kernels compute it faster.

    Args:
        module: The module.
        parent: The module that it is a child of, if any.
        name: Its dotted name.
    """
    if isinstance(module, SparseLayer | SparseBackbone):
        return ""
    if kernels() is None:
        return "the package has no compiled kernels"
    if reason := obstacle(module):
        return reason
    if _is_read(parent, name):
        return f"{type(parent).__name__} reads its weight instead of calling it"
    return "" if is_faster(module) else TOO_DENSE


def own_weights(module: nn.Module) -> list[Tensor]:
    """The weights of a module, not of its children: dense parameters of two or more dimensions."""
    weights = module.parameters(recurse=False)
    return [weight for weight in weights if weight.dim() > 1 and weight.layout == torch.strided]


def _is_read(parent: nn.Module | None, name: str) -> bool:
    if isinstance(parent, nn.MultiheadAttention):
        forward = type(parent).forward
        return name.endswith("out_proj") and forward is nn.MultiheadAttention.forward
    return isinstance(parent, CTRGraphConv) and name.endswith("refine")


def _product(part: CompiledPart, names: Sequence[str]) -> CompiledPart:
    multiplied = any(name.rpartition(".")[0] == part.name for name in names)
    return replace(part, reason="" if multiplied else "the dense product is faster on this GPU")


def _parts(model: nn.Module) -> Iterator[CompiledPart]:
    seen: set[nn.Module] = set()
    parents: list[tuple[nn.Module | None, str, nn.Module]] = [(None, "", model)]
    while parents:
        parent, path, part = parents.pop()
        if part in seen:
            continue
        seen.add(part)
        kind = type(part).__name__
        if isinstance(part, SparseBackbone):
            yield CompiledPart(path, kind, part.sparsity, "")
        elif isinstance(part, Backbone):
            reason = unsupported(part) or TOO_DENSE
            yield CompiledPart(path, kind, zeros_fraction(part.parameters()), reason)
        else:
            if weights := own_weights(part):
                reason = why_dense(part, parent, path)
                yield CompiledPart(path, kind, zeros_fraction(weights), reason)
            dot = f"{path}." if path else ""
            children = [(part, dot + name, child) for name, child in part.named_children()]
            parents += reversed(children)
