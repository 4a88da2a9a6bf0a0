"""Pretrained weights as the start of a training."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pyg_stgcn.errors import InputError, warn_once
from pyg_stgcn.files import check_is_file
from pyg_stgcn.finite import check_finite
from pyg_stgcn.models import Assembly, load_pyskl
from pyg_stgcn.models.pyskl.model_zoo import fetch_published, find_published
from pyg_stgcn.models.pyskl.pyskl_architecture import read_architecture
from pyg_stgcn.models.pyskl.pyskl_weights import read_pyskl
from pyg_stgcn.models.weights import read_weights
from pyg_stgcn.names import is_published
from pyg_stgcn.runs.checkpoint import read_trained_state
from pyg_stgcn.runs.config_file import load_config
from pyg_stgcn.runs.matching import class_numbers
from pyg_stgcn.runs.run_files import RunFiles, resume_command, run_folder_of

logger = logging.getLogger(__name__)

_ANOTHER = "name another file"
_OF_CLASSES = re.compile(r"(shared_head|(experts\.\d+\.)?head)\.")


def load_pretrained(
    model: nn.Module, path: str | Path, classes: Sequence[str] | None = None
) -> bool:
    """Load weights into a backbone that is about to be trained.

    The classifier is loaded only if it has the same number of classes; that of a run only if it has
    the same classes, which are matched by name. The classifiers of an assembly are loaded together
    or not at all.

    Args:
        model: The backbone or assembly, without masks.
        path: A run directory, its final weights, one of its checkpoints, a checkpoint of PYSKL, or
            the name of published weights, see :func:`~pyg_stgcn.models.list_pretrained`.
        classes: Names of the model's classes, in label order (default: names are not compared).

    Returns:
        Whether the classifier was loaded too.

    Raises:
        InputError: The file cannot be read, does not fit the model, or has weights that are not
            finite.
    """
    if is_published(path):
        path = fetch_published(find_published(str(path), type(model).__name__.lower()))
    path = Path(path)
    if path.is_dir():
        path = _weights_of_run(path)
    check_is_file(path)
    if not path.is_file():
        raise InputError(
            f"init {path}: no such file; name a run's folder, its model.safetensors, its "
            "checkpoints/best.ckpt or a checkpoint of PYSKL"
        )
    if path.suffix in (".safetensors", ".ckpt"):
        return _load_own(model, path, _read(path), classes)
    if isinstance(model, Assembly):
        raise InputError(
            f"init {path}: holds a single backbone; start an assembly from the run of an assembly"
        )
    report = load_pyskl(model, path, strict=False)
    unfit = {
        kind: [name for name in getattr(report, kind) if not name.startswith("cls_head.")]
        for kind in ("missing", "unexpected", "mismatched")
    }
    if any(unfit.values()):
        _refuse(model, path, unfit, _options_of_pyskl(path))
    check_finite(model.state_dict(), f"init {path}", _ANOTHER)
    return report.fits


def _weights_of_run(folder: Path) -> Path:
    run = RunFiles(folder)
    if run.weights.exists() or not run.is_started:
        return run.weights
    last = run.last_checkpoint
    started = f", or start from what it has with init='{last}'" if last.exists() else ""
    raise InputError(
        f"init {folder}: the run is not finished; finish it with {resume_command(folder)}{started}"
    )


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".ckpt":
            return read_trained_state(path, _ANOTHER).weights
        return read_weights(path, _ANOTHER)
    except InputError as error:
        raise InputError(f"init {error}") from None


def _load_own(
    model: nn.Module, path: Path, found: dict[str, Tensor], classes: Sequence[str] | None
) -> bool:
    check_finite(found, f"init {path}", _ANOTHER)
    ours = model.state_dict()
    head = {name for name in ours if _OF_CLASSES.match(name)}
    head_fits = all(name in found and found[name].shape == ours[name].shape for name in head)
    if head_fits and classes is not None:
        rows = _rows_of_classes(path, classes)
        head_fits = len(rows) == len(classes)
        found |= {name: found[name][rows] for name in head}
    if not head_fits:
        found = {name: value for name, value in found.items() if name not in head}
        found |= {name: ours[name] for name in head}
    _refuse(model, path, _differences(ours, found))
    model.load_state_dict(found)
    return head_fits


def _rows_of_classes(path: Path, classes: Sequence[str]) -> list[int]:
    """Row of each class in the classifier of a run; empty if the run has other classes.

    Weights outside a run are taken to have the same classes.
    """
    run = RunFiles(run_folder_of(path))
    if not run.is_started:
        return list(range(len(classes)))
    theirs = load_config(run.config_file)[1].get("data", {}).get("classes", classes)
    try:
        numbers = class_numbers(theirs, classes, run.folder, "the data")
    except InputError as error:
        warn_once(logger, f"{path}: the classifier is left out, it has other classes ({error})")
        return []
    return [numbers.index(number) for number in range(len(classes))]


def _differences(ours: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, list[str]]:
    return {
        "missing": sorted(ours.keys() - found.keys()),
        "unexpected": sorted(found.keys() - ours.keys()),
        "mismatched": [
            f"{name} {tuple(found[name].shape)} instead of {tuple(ours[name].shape)}"
            for name in sorted(ours.keys() & found.keys())
            if found[name].shape != ours[name].shape
        ],
    }


def _options_of_pyskl(path: Path) -> str:
    """The options of a training that starts from weights of PYSKL."""
    found = read_architecture(read_pyskl(path), f"init {path}")
    names = {"base_channels": "channels", "num_stages": "stages", "num_partitions": "partitions"}
    names |= {name: name for name in ("graph", "inflate_stages", "down_stages")}
    options: dict[str, Any] = {"backbone": found.name}
    options |= {names[name]: value for name, value in found.options.items() if name in names}
    if found.name == "stgcn":
        options.setdefault("graph", "stgcn_spatial")
    if found.options["in_channels"] % 3:
        options["use_score"] = False
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def _refuse(
    model: nn.Module,
    path: Path,
    unfit: Mapping[str, list[str]],
    options: str = "the backbone, graph, channels",
) -> None:
    told = [
        f"{len(names)} {kind} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for kind, names in unfit.items()
        if names
    ]
    if told:
        raise InputError(
            f"init {path}: does not fit this {type(model).__name__}: {'; '.join(told)}; "
            f"train with {options}, stream and skeleton of the weights"
        )
