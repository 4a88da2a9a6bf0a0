"""Checks of the options of a training before any file is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pyg_stgcn.runs.options import TrainOptions


def check_names(config: TrainOptions) -> None:
    """Refuse, as wrong usage, names that do not exist."""
    from pyg_stgcn.errors import InputError
    from pyg_stgcn.models import list_models
    from pyg_stgcn.skeletons import get_skeleton
    from pyg_stgcn.transforms import parse_streams

    named = [
        ("--backbone", config.model.backbone),
        *(("--experts", name) for name in config.model.experts or ()),
    ]
    for option, name in named:
        if name not in list_models():
            raise click.BadParameter(
                f"{name!r} is not one of {', '.join(list_models())}", param_hint=option
            )
    try:
        parse_streams(config.data.stream)
    except InputError as error:
        raise click.BadParameter(str(error), param_hint="--stream") from None
    try:
        get_skeleton("ntu25").graph(config.model.graph)
    except InputError as error:
        raise click.BadParameter(str(error), param_hint="--graph") from None


def check_benchmark(config: TrainOptions) -> None:
    """Refuse, as wrong usage, a benchmark that the dataset does not have."""
    from pyg_stgcn.runs.opening import open_dataset

    if config.data.benchmark is None:
        return
    benchmarks = open_dataset(config, "all", benchmark=None).benchmarks
    if config.data.benchmark not in benchmarks:
        raise click.BadParameter(
            f"{config.data.dataset} has no benchmark {config.data.benchmark!r}; "
            f"it has {', '.join(benchmarks) or 'none'}",
            param_hint="--benchmark",
        )
