"""Weights of the classes in the training loss, against their imbalance."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from pyg_stgcn.checked import shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.jsonfile import read_text
from pyg_stgcn.ranges import CLASS_WEIGHT
from pyg_stgcn.runs.config_file import load_config
from pyg_stgcn.runs.folder import Run

BALANCED = "balanced"


def class_weights(
    option: str, labels: NDArray[np.integer], classes: Sequence[str]
) -> dict[str, float]:
    """The weight of every class.

    Args:
        option: ``"balanced"``, for weights in inverse proportion to the training clips of a class,
            one on average over the clips; or a CSV file of classes and weights.
        labels: Classes of the training clips ``[N]``.
        classes: Names of the classes.

    Returns:
        Weights by the names of the classes, in their order. A class without training clips gets 0
        where weights are balanced: label smoothing does not pull towards it.

    Raises:
        InputError: The file cannot be read, or does not give every class one weight in the range.
    """
    if option != BALANCED:
        return _read(Path(option), classes)
    weights = np.zeros(len(classes))
    present = np.unique(labels)
    weights[present] = compute_class_weight("balanced", classes=present, y=labels)
    return dict(zip(classes, weights.tolist(), strict=True))


def _read(path: Path, classes: Sequence[str]) -> dict[str, float]:
    remedy = "give a CSV file with a line 'class,weight' for every class, or 'balanced'"
    if not path.exists():
        raise InputError(f"--class-weights {path}: there is no such file; {remedy}")
    found: dict[str, float] = {}
    try:
        # Spreadsheets put a byte order mark before their tables.
        lines = io.StringIO(read_text(path, remedy).removeprefix("\ufeff"), newline="")
        for number, row in enumerate(csv.reader(lines), start=1):
            if not row or (number == 1 and row == ["class", "weight"]):
                continue
            _add(found, row, classes)
    except (ValueError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"--class-weights {path}: {error}; {remedy}") from None
    if missing := [name for name in classes if name not in found]:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise InputError(
            f"--class-weights {path}: no weight for {', '.join(map(shown, missing[:3]))}{more}; "
            f"{remedy}"
        )
    return {name: found[name] for name in classes}


def _add(found: dict[str, float], row: Sequence[str], classes: Sequence[str]) -> None:
    if len(row) != 2:
        raise ValueError(f"line {shown(','.join(row))} is not a class and its weight")
    name, text = row
    if name not in classes:
        raise ValueError(f"the dataset has no class {shown(name)}")
    if name in found:
        raise ValueError(f"the class {shown(name)} has two weights")
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if weight not in CLASS_WEIGHT:
        raise ValueError(
            f"the weight {shown(text)} of class {shown(name)} is not a number in {CLASS_WEIGHT}"
        )
    found[name] = weight


def check_same_weights(run: Run) -> None:
    """Raise an error if a run that is resumed was started with other weights of its classes.

    Raises:
        InputError: It was.
    """
    if not run.is_started:
        return
    _, facts = load_config(run.config_file)
    if facts.get("class_weights") != run.facts.get("class_weights"):
        raise InputError(
            f"--class-weights {run.config.optim.class_weights}: gives other weights than "
            "those that the "
            f"run in {run.folder} was started with, see its {run.config_file.name}; put the file "
            "or the data back as they were, or start again in another --out"
        )
