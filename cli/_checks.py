"""Checks of names before any file is opened and before torch is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyg_stgcn.errors import InputError
from pyg_stgcn.names import (
    BACKBONES,
    check_name,
    check_partition,
    check_skeleton_name,
    parse_streams,
)
from pyg_stgcn.runs.paths import check_dataset
from pyg_stgcn.runs.run_files import RunFiles
from pyg_stgcn.text import suggestion

if TYPE_CHECKING:
    from pyg_stgcn.runs.options import TrainOptions


def _check_backbone(name: str) -> None:
    check_name("model", name, BACKBONES)


_CHECKS: dict[str, Callable[[str], object]] = {
    "dataset": check_dataset,
    "skeleton": check_skeleton_name,
    "stream": parse_streams,
    "backbone": _check_backbone,
    "experts": _check_backbone,
    "graph": check_partition,
}


def check_names(values: Mapping[str, Any]) -> None:
    """Refuse, as wrong usage, names that do not exist.

    Args:
        values: Options by name, given on the command line or in a file.
    """
    for name, check in _CHECKS.items():
        found = values.get(name)
        for part in found if isinstance(found, list) else [found]:
            if part is None:
                continue
            try:
                check(part)
            except InputError as error:
                raise click.BadParameter(
                    str(error), param_hint=f"--{name.replace('_', '-')}"
                ) from None
    if values.get("augment"):
        _check_augmentations(values["augment"])


def _check_augmentations(values: Mapping[str, float]) -> None:
    """Refuse numbers out of range; the transforms themselves know the ranges."""
    from pyg_stgcn.runs.augmentation import make_augmentations
    from pyg_stgcn.skeletons import get_skeleton

    try:
        make_augmentations(values, get_skeleton("ntu25"))
    except InputError as error:
        raise click.BadParameter(str(error), param_hint="--augment") from None


class NameType(click.ParamType):
    """The name of a thing that exists.

    Args:
        name: Name of the option, one of those of :func:`check_names`.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            _CHECKS[self.name](value)
        except InputError as error:
            self.fail(str(error), param, ctx)
        return str(value)


def check_runs(*folders: Path) -> None:
    """Check that folders hold runs.

    Raises:
        InputError: One does not.
    """
    for folder in folders:
        RunFiles(folder).check_is_run()


def check_benchmark(config: TrainOptions) -> None:
    """Refuse, as wrong usage, a benchmark that the dataset does not have."""
    from pyg_stgcn.runs.opening import open_dataset

    if config.data.benchmark is None:
        return
    benchmarks = open_dataset(config, "all", benchmark=None).benchmarks
    if config.data.benchmark not in benchmarks:
        raise click.BadParameter(
            f"{config.data.dataset} has no benchmark {config.data.benchmark!r}"
            f"{suggestion(config.data.benchmark, benchmarks)}; "
            f"it has {', '.join(benchmarks) or 'none'}",
            param_hint="--benchmark",
        )
