"""Absolute paths in the options of a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyg_stgcn.datasets import NAMES
from pyg_stgcn.errors import InputError
from pyg_stgcn.names import is_published, list_skeletons
from pyg_stgcn.runs.options import BALANCED, TrainOptions
from pyg_stgcn.text import suggestion

#: Default folder of the datasets that have a name.
DEFAULT_ROOT = "data"
_PATHS = ("root", "source", "val", "init", "ticket")


def is_file(dataset: str | None) -> bool:
    """Whether ``dataset`` is the path of a file, which need not exist, and no dataset's name."""
    if dataset is None or dataset in NAMES:
        return False
    return Path(dataset).suffix in (".pkl", ".pickle") or Path(dataset).exists()


def check_dataset(dataset: str) -> None:
    """Check the name of a dataset, or the path of a pickle, which need not exist.

    Raises:
        InputError: It is neither.
    """
    if dataset not in NAMES and not is_file(dataset):
        raise InputError(
            f"{dataset}: neither a dataset nor a pickle file{suggestion(dataset, NAMES)}; "
            f"datasets are {', '.join(NAMES)}"
        )


def absolute_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Replace relative paths in the options of a training by absolute ones."""
    found = dict(options)
    names = [name for name in _PATHS if found.get(name) is not None]
    if is_published(found.get("init")):
        names.remove("init")
    if is_file(found.get("dataset")):
        names.append("dataset")
    if found.get("class_weights") not in (None, BALANCED):
        names.append("class_weights")
    if found.get("skeleton") is not None and found["skeleton"] not in list_skeletons():
        names.append("skeleton")
    return found | {name: os.path.abspath(found[name]) for name in names}  # noqa: PTH100 (dots go)


def with_root(options: Mapping[str, Any]) -> dict[str, Any]:
    """As :func:`absolute_options`, and fill in the default root of a dataset that has a name."""
    needs_root = options["dataset"] in NAMES and options.get("root") is None
    return absolute_options({**options, "root": DEFAULT_ROOT} if needs_root else options)


def with_absolute_paths(config: TrainOptions) -> TrainOptions:
    """Options that mean the same in any working directory."""
    return config.replace(**with_root(config.flat()))
