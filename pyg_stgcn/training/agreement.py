"""Comparison of what several machines are about to train together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.same_data import find_change

#: Options that may differ: places of files, and the processes that load them.
_OWN = {"root", "source", "num_workers"}


def describe(run: Run, *, resume: bool, checkpoint: str | None) -> dict[str, Any]:
    """Description of the training that a machine is about to start: JSON types only.

    Args:
        run: Complete.
        resume: Whether the training continues.
        checkpoint: Name of the checkpoint to continue from, if this machine has one.
    """
    options = {name: value for name, value in run.config.flat().items() if name not in _OWN}
    # Files may lie in other places. Clips and class weights are compared below; initial weights
    # are those of the first process, which sends them to the others.
    for name, value in options.items():
        if isinstance(value, str) and Path(value).is_absolute():
            options[name] = "a file"
    versions = dict(run.metadata["versions"])
    versions.pop("platform")
    data = {key: value for key, value in run.metadata["data"].items() if key != "in_channels"}
    return {
        "options": {name: str(value) for name, value in options.items()},
        "resume": resume,
        "data": data,
        "class_weights": run.metadata.get("class_weights"),
        "versions": versions,
        "checkpoint": checkpoint,
    }


def find_difference(
    first: Mapping[str, Any], other: Mapping[str, Any], one_host: str, other_host: str
) -> str | None:
    """The first difference between what two machines train, with its remedy.

    Args:
        first: Description by the first machine, see :func:`describe`.
        other: Description by another machine.
        one_host: Name of the first machine, for the message.
        other_host: Name of the other one.
    """

    def other_value(part: str, remedy: str) -> str | None:
        for name, value in first[part].items():
            found = other[part].get(name)
            if found != value:
                return f"{name} {value} on {one_host}, but {found} on {other_host}; {remedy}"
        return None

    if found := other_value("options", "give all machines the same options"):
        return found
    if first["resume"] != other["resume"]:
        one, two = (one_host, other_host) if first["resume"] else (other_host, one_host)
        return f"resume: given on {one}, but not on {two}; give it on all machines, or on none"
    change = find_change(first["data"], other["data"]) or _other_values(first, other)
    if change is not None:
        return (
            f"the data differ: from {one_host} to {other_host}, {change}; copy the data of one "
            "machine to the others"
        )
    return other_value("versions", "install the same versions on all machines")


def _other_values(first: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    for part in ("train", "val"):
        if first["data"][part] != other["data"][part]:
            return f"the coordinates of the {part} clips have changed"
    if first["class_weights"] != other["class_weights"]:
        return "the class weights have changed"
    return None
