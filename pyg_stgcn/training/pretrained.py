"""Starting a training from weights that exist already."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_is_file
from pyg_stgcn.models import Assembly, load_pyskl

_OF_CLASSES = re.compile(r"(shared_head|(experts\.\d+\.)?head)\.")


def load_pretrained(model: nn.Module, path: str | Path) -> bool:
    """Load weights into a backbone that is about to be trained.

    The classifier is loaded only if it has as many classes as the model's; those of an assembly
    are loaded together or not at all.

    Args:
        model: The backbone or assembly, without masks.
        path: A run's folder, its ``model.safetensors``, or a checkpoint of PYSKL.

    Returns:
        Whether the classifier was loaded too.

    Raises:
        InputError: The file cannot be read, or does not fit the model.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "model.safetensors"
    check_is_file(path)
    if not path.is_file():
        raise InputError(
            f"--init {path}: no such file; name a run's folder, its model.safetensors or a "
            "checkpoint of PYSKL"
        )
    if path.suffix == ".safetensors":
        return _load_own(model, path)
    if isinstance(model, Assembly):
        raise InputError(
            f"--init {path}: holds a single backbone; start an assembly from a run of its like"
        )
    report = load_pyskl(model, path, strict=False)
    unfit = {
        kind: [name for name in getattr(report, kind) if not name.startswith("cls_head.")]
        for kind in ("missing", "unexpected", "mismatched")
    }
    _refuse(model, path, unfit)
    return report.fits


def _load_own(model: nn.Module, path: Path) -> bool:
    try:
        found = load_file(path)
    except SafetensorError as error:
        raise InputError(f"--init {path}: damaged ({error}); name another file") from None
    ours = model.state_dict()
    head = {name for name in ours if _OF_CLASSES.match(name)}
    head_fits = all(name in found and found[name].shape == ours[name].shape for name in head)
    if not head_fits:
        found = {name: value for name, value in found.items() if name not in head}
        found |= {name: ours[name] for name in head}
    _refuse(model, path, _differences(ours, found))
    model.load_state_dict(found)
    return head_fits


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


def _refuse(model: nn.Module, path: Path, unfit: Mapping[str, list[str]]) -> None:
    told = [
        f"{len(names)} {kind} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for kind, names in unfit.items()
        if names
    ]
    if told:
        raise InputError(
            f"--init {path}: does not fit this {type(model).__name__}: {'; '.join(told)}; "
            "train with the --model, --graph, --channels, --stream and skeleton of the weights"
        )
