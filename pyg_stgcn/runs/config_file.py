"""``config.toml``: the options of a run, and metadata of its data and of the software."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomlkit

from pyg_stgcn.checked import check_entries, shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import write_atomically
from pyg_stgcn.runs.options import GROUPS, OPTIONS, TrainOptions
from pyg_stgcn.runs.recipe import Recipe
from pyg_stgcn.tomlfile import read_toml, to_toml, toml_item

#: Remedy for a ``config.toml`` that was damaged or changed by hand.
RESTORE = "put the file back as the run wrote it, or train the run again"
_METADATA = "metadata"


def options_to_toml(options: TrainOptions) -> str:
    """The complete record as TOML, with the help text of each option.

    Options that are ``None``, which TOML does not know, are comments.
    """
    document = tomlkit.document()
    for group in GROUPS:
        table = tomlkit.table()
        for name, option in OPTIONS.items():
            if option.group == group:
                value = getattr(getattr(options, group), name)
                if value is None:
                    table.add(tomlkit.comment(f"{name}: {option.auto}.  {option.help}"))
                else:
                    table.add(name, toml_item(value, option.help))
        document.add(group, table)
        document[group].add(tomlkit.nl())
    return tomlkit.dumps(document)


def read_options(path: Path, remedy: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of a TOML file by name, and its metadata, if it has any.

    Args:
        path: The file; options that it leaves out are missing in the result.
        remedy: The end of an error, which says what to do about the file.

    Raises:
        InputError: The file is missing or damaged, or an option is unknown or of another type.
    """
    content = read_toml(path, remedy)
    tables = dict.fromkeys((*GROUPS, _METADATA), dict)
    check_entries(content, tables, path, remedy, all_needed=False)
    metadata = content.pop(_METADATA, {})
    if unknown := sorted(set(content) - set(GROUPS)):
        raise InputError(f"{path}: unknown table {_listed(unknown)}; tables are {_listed(GROUPS)}")
    values: dict[str, Any] = {}
    for group in GROUPS:
        part = content.get(group, {})
        types = {name: o.annotation for name, o in OPTIONS.items() if o.group == group}
        if unknown := sorted(set(part) - set(types)):
            raise InputError(f"{path}: unknown options {_listed(unknown)} in [{group}]; {remedy}")
        check_entries(part, types, path, remedy, f"{group}.", all_needed=False)
        for name, value in part.items():
            if isinstance(value, str) and "\0" in value:  # Names and paths have none.
                raise InputError(f"{path}: {group}.{name} is {shown(value)}; {remedy}")
        values |= part
    return values, metadata


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(shown(name)[1:-1] for name in names[:5])


def save_config(path: Path, options: TrainOptions, metadata: dict[str, Any]) -> None:
    """Write ``config.toml``."""
    note = "# Recorded at the start of the run; 'train --config' does not read it.\n"
    text = options_to_toml(options) + "\n" + note + to_toml({_METADATA: metadata})
    content = text.encode("utf-8", "surrogatepass")
    write_atomically(path, lambda file: file.write_bytes(content))


def load_config(path: Path) -> tuple[TrainOptions, dict[str, Any]]:
    """Read the options and the metadata of a run.

    Raises:
        InputError: The file is missing or is not the configuration of a run.
    """
    if not path.exists():
        raise InputError(f"{path.parent}: no {path.name}; name the folder of a training run")
    values, metadata = read_options(path, RESTORE)
    # A run fills these in before it writes the file.
    needed = ["dataset", *Recipe._fields, *(["experts"] if values.get("levels") else [])]
    if missing := [name for name in needed if name not in values]:
        place = f"{OPTIONS[missing[0]].group}.{missing[0]}"
        raise InputError(f"{path}: there is no entry {place}; {RESTORE}")
    try:
        return TrainOptions.of(**values), metadata
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
