"""Weights of PYSKL, read and written.

`PYSKL <https://github.com/kennymckormick/pyskl>`_ has published trained weights of all backbones
here. Its names and its dense graphs are kept in :mod:`pyg_stgcn.models.pyskl.pyskl_names`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pyg_stgcn.checked import shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.models.aagcn import AAGCN
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.ctrgcn import CTRGCN
from pyg_stgcn.models.pyskl.foreign_checkpoint import read_foreign_checkpoint
from pyg_stgcn.models.pyskl.pyskl_architecture import read_architecture
from pyg_stgcn.models.pyskl.pyskl_names import Counter, EdgeEntry, Entry, State, backbone_entries
from pyg_stgcn.nn import PersonNorm

BACKBONE = "backbone."
CLASSIFIER = "cls_head.fc_cls"
_LONGEST_NAME = 200
# PYSKL's implementations of these also store the graph at the start, and never read it.
SPARE_GRAPH = (AAGCN, CTRGCN)


@dataclass(frozen=True)
class PysklReport:
    """The parts of a file that do not fit a model, by PYSKL's names without ``backbone.``.

    Args:
        missing: Tensors that the model needs and the file lacks.
        unexpected: Tensors of the file that the model has no place for.
        mismatched: Tensors of another shape, both shapes told.
        off_graph: Graphs with values outside of the edges of the model. In an ST-GCN these are
            importances of edges that are not there: they change no output and are not kept.
    """

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    off_graph: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """True if the file holds all tensors of the model, and no others."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        lines = []
        for kind in ("missing", "unexpected", "mismatched", "off_graph"):
            names = getattr(self, kind)
            if names:
                more = f", and {len(names) - 5} more" if len(names) > 5 else ""
                lines.append(f"{kind} {len(names)}: {', '.join(names[:5])}{more}")
        return "; ".join(lines) or "everything fits"


def load_pyskl(
    model: nn.Module,
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    head: bool = True,
    strict: bool = True,
) -> PysklReport:
    """Loads weights of PYSKL into a backbone.

    Files are read without running any code in them (``weights_only``).

    Args:
        model (torch.nn.Module): A backbone of this package, with the skeleton, the partition and
            the width of the weights.
        source (path or mapping): A checkpoint file, or its content. The tensors may stand under
            ``state_dict``, and their names begin with ``module.`` and ``backbone.``.
        head (bool): If set to :obj:`False`, the classifier is left as it is, as is needed for
            another number of classes. (default: :obj:`True`)
        strict (bool): If set to :obj:`False`, what fits is loaded and the rest is only reported.
            (default: :obj:`True`)

    Returns:
        What did not fit.

    Raises:
        InputError: If the file cannot be read, the model is none of this package's or has masks,
            or, unless :obj:`strict` is :obj:`False`, something does not fit; then nothing is
            loaded.
    """
    backbone = _checked(model)
    where, state = _named(source), read_pyskl(source)
    if not head:
        state = {name: value for name, value in state.items() if not name.startswith("cls_head.")}
    entries = list(_entries(backbone, head))
    if isinstance(backbone, SPARE_GRAPH):
        state.pop("A", None)
    loadable, report = _compare(entries, state)
    if strict and not report.fits:
        raise InputError(
            f"{where}: do not fit this {type(model).__name__} ({report}); {_owner(state, where)}, "
            "or load what fits with strict=False"
            + ("; another number of classes needs head=False" if head else "")
        )
    ours: dict[str, Tensor] = {}
    for entry in loadable:
        ours |= entry.read({name: _widened(state[name]) for name in entry.theirs})
    backbone.load_state_dict(ours, strict=False)
    return report


def read_pyskl(source: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint of PYSKL, by its names without ``module.`` and ``backbone.``.

    Args:
        source (path or mapping): See :func:`load_pyskl`.

    Raises:
        InputError: If the file cannot be read, or holds anything but tensors.
    """
    content = source if isinstance(source, Mapping) else read_foreign_checkpoint(source)
    return _stripped(content, _named(source))


def _named(source: str | os.PathLike[str] | Mapping[str, Any]) -> str:
    return "weights" if isinstance(source, Mapping) else os.fspath(source)


def pyskl_state_dict(model: nn.Module, *, head: bool = True) -> dict[str, Tensor]:
    """The weights of a backbone under PYSKL's names, as :func:`load_pyskl` reads them.

    Edges that a mask has removed have weight zero, which in the learnt graphs of PYSKL is a weight
    like any other. A person slot that was never trained is written as the one that stands for it.

    Args:
        model (torch.nn.Module): A backbone of this package.
        head (bool): If set to :obj:`False`, the classifier is left out. (default: :obj:`True`)

    Raises:
        InputError: If the model is none of this package's, has masks or is shrunken.
    """
    backbone = _checked(model)
    state = backbone.state_dict()
    if isinstance(backbone.data_norm, PersonNorm):
        for slot, trained in enumerate(backbone.data_norm.trained_slots().tolist()):
            norm = backbone.data_norm.slots[trained].state_dict()
            state |= {f"data_norm.slots.{slot}.{name}": value for name, value in norm.items()}
    theirs: dict[str, Tensor] = {}
    for entry in _entries(backbone, head):
        theirs |= entry.write(state)
    if isinstance(backbone, SPARE_GRAPH) and backbone.graph != "random":
        theirs["A"] = backbone.skeleton.graph(backbone.graph).dense()
    return {
        name if name.startswith("cls_head.") else BACKBONE + name: value
        for name, value in theirs.items()
    }


def _owner(state: State, where: str) -> str:
    """Advice to make the model that some weights are of."""
    try:
        return f"make the model of the weights, {read_architecture(state, where)}"
    except InputError:
        return "make the model with the skeleton, graph and width of the weights"


def _checked(model: nn.Module) -> Backbone:
    if not isinstance(model, Backbone):
        raise InputError(
            f"{type(model).__name__}: is no backbone of pyg_stgcn.models; give one of those"
        )
    if any(".parametrizations." in name for name in model.state_dict()):
        raise InputError(
            f"{type(model).__name__}: has masks; finalize() them first, or load weights before "
            f"sparsify()"
        )
    if model.is_shrunken:
        raise InputError(
            f"{type(model).__name__}: is shrunken, PYSKL has no such layers; give the model before "
            "shrink()"
        )
    return model


def _entries(model: Backbone, head: bool) -> Iterator[Entry]:
    yield from backbone_entries(model)
    if head:
        for name, value in model.head.linear.named_parameters():
            shape = tuple(value.shape)
            yield Entry({f"head.linear.{name}": shape}, {f"{CLASSIFIER}.{name}": shape})


def _stripped(content: Mapping[str, Any], where: str) -> dict[str, Tensor]:
    state = content.get("state_dict", content)
    if not isinstance(state, Mapping):
        raise InputError(
            f"{where}: state_dict is a {type(state).__name__}; give tensors by their names"
        )
    stripped = {}
    for name, value in state.items():
        if not isinstance(name, str) or len(name) > _LONGEST_NAME or not name.isprintable():
            raise InputError(f"{where}: {shown(name)} is no name of a tensor; give a state dict")
        if not isinstance(value, Tensor):
            raise InputError(
                f"{where}: {name}: a {type(value).__name__}, not a tensor; give a state dict, or a "
                f"checkpoint with one under 'state_dict'"
            )
        stripped[name.removeprefix("module.").removeprefix(BACKBONE)] = value
    return stripped


def _widened(value: Tensor) -> Tensor:
    # In half precision the faintest weights would become zeros, which are no edges.
    half = value.is_floating_point() and value.dtype.itemsize < 4
    return value.float() if half else value


def _compare(entries: list[Entry], state: State) -> tuple[list[Entry], PysklReport]:
    """The entries that can be loaded, and a report on everything else."""
    missing: list[str] = []
    mismatched: list[str] = []
    off_graph: list[str] = []
    loadable: list[Entry] = []
    known: set[str] = set()
    for entry in entries:
        known |= set(entry.theirs)
        absent = [name for name in entry.theirs if name not in state]
        there = [
            (name, state[name], shape) for name, shape in entry.theirs.items() if name in state
        ]
        wrong = [
            f"{name} {tuple(value.shape)} instead of {shape}"
            for name, value, shape in there
            if tuple(value.shape) != shape
        ]
        wrong += [
            f"{name} of {value.dtype} instead of real numbers"
            for name, value, _ in there
            if not isinstance(entry, Counter) and not value.is_floating_point()
        ]
        missing += absent
        mismatched += wrong
        if absent or wrong:
            continue
        if isinstance(entry, EdgeEntry) and entry.exceeds(state):
            (name,) = entry.theirs
            if not entry.is_factor:
                mismatched.append(f"{name} has edges that the model lacks")
                continue
            off_graph.append(name)
        loadable.append(entry)
    unexpected = [name for name in state if name not in known]
    report = PysklReport(*map(tuple, (missing, unexpected, mismatched, off_graph)))
    return loadable, report
