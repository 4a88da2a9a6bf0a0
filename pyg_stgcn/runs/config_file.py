"""``config.json`` of a run: its options, and metadata of its data and of the software."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyg_stgcn.checked import check_entries, shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.jsonfile import read_json
from pyg_stgcn.runs.options import OPTIONS, TrainOptions
from pyg_stgcn.runs.recipe import Recipe
from pyg_stgcn.tables import write_json

#: What to do about a ``config.json`` that somebody has changed.
RESTORE = "put the file back as the run wrote it, or train the run again"


def options_from_dict(values: dict[str, Any], source: Path) -> TrainOptions:
    """Rebuild options that :meth:`TrainOptions.flat` gave; ``source`` is named in errors.

    Raises:
        InputError: An option is unknown, missing or of another type.
    """
    if unknown := sorted(set(values) - set(OPTIONS)):
        listed = ", ".join(shown(name)[1:-1] for name in unknown[:5])
        raise InputError(
            f"{source}: unknown options {listed}; "
            "the run was written by another version of pyg-stgcn"
        )
    types_of = {name: option.annotation for name, option in OPTIONS.items()}
    needed = {"dataset": types_of.pop("dataset")}
    check_entries(values, needed, source, RESTORE, "options.")
    check_entries(values, types_of, source, RESTORE, "options.", all_needed=False)
    for name, value in values.items():
        if isinstance(value, str) and "\0" in value:  # No name and no path has one.
            raise InputError(f"{source}: options.{name} is {shown(value)}; {RESTORE}")
    try:
        return TrainOptions.of(**values)
    except InputError as error:
        raise InputError(f"{source}: options: {error}") from None


def save_config(path: Path, options: TrainOptions, metadata: dict[str, Any]) -> None:
    """Write ``config.json``."""
    write_json(path, {"options": options.flat(), **metadata})


def load_config(path: Path) -> tuple[TrainOptions, dict[str, Any]]:
    """Read ``config.json``.

    Raises:
        InputError: The file is missing or is not the configuration of a run.
    """
    if not path.exists():
        raise InputError(f"{path.parent}: no config.json; name the folder of a training run")
    content = read_json(path, RESTORE)
    check_entries(content, {"options": dict}, path, RESTORE)
    options = options_from_dict(content.pop("options"), path)
    # A run fills them in before it is written down.
    needed = [*Recipe._fields, *(["experts"] if options.model.levels else [])]
    if missing := [name for name in needed if options.flat()[name] is None]:
        raise InputError(f"{path}: options.{missing[0]} has no value; {RESTORE}")
    try:
        options.check_model()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return options, content
