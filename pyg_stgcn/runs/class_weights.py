"""Class weights in the training loss, against imbalance."""

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
from pyg_stgcn.runs.options import BALANCED


def class_weights(
    option: str, labels: NDArray[np.integer], classes: Sequence[str]
) -> dict[str, float]:
    """Weight of every class in the loss.

    Example:
        >>> class_weights("balanced", np.array([0, 0, 0, 1]), ["walk", "fall"])
        {'walk': 0.6666666666666666, 'fall': 2.0}

    Args:
        option: ``"balanced"``, for weights in inverse proportion to the number of training clips
            and with mean 1 over the clips; or a CSV file of classes and weights.
        labels: Classes of the training clips ``[N]``.
        classes: Names of the classes.

    Returns:
        Weights by class name, in the order of the classes. Balanced weights of classes without
        training clips are 0: label smoothing does not pull towards them.

    Raises:
        InputError: The file cannot be read, or a class has no weight, two weights, or one out of
            range.
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
        raise InputError(f"class_weights {path}: there is no such file; {remedy}")
    found: dict[str, float] = {}
    try:
        # Spreadsheets write a byte order mark before their tables.
        lines = io.StringIO(read_text(path, remedy).removeprefix("\ufeff"), newline="")
        for number, row in enumerate(csv.reader(lines), start=1):
            if not row or (number == 1 and row == ["class", "weight"]):
                continue
            _add(found, row, classes)
    except (ValueError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"class_weights {path}: {error}; {remedy}") from None
    if missing := [name for name in classes if name not in found]:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise InputError(
            f"class_weights {path}: no weight for {', '.join(map(shown, missing[:3]))}{more}; "
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
    """Check that a resumed run has the class weights that it was started with.

    Raises:
        InputError: The weights have changed.
    """
    if not run.is_started:
        return
    _, started = load_config(run.config_file)
    if started.get("class_weights") != run.metadata.get("class_weights"):
        raise InputError(
            f"class_weights {run.config.optim.class_weights}: differ from the weights that the run "
            f"in {run.folder} was started with, see its {run.config_file.name}; restore the file "
            "or the data, or start again in another folder"
        )
