"""Common parts of 'sweep', 'lottery' and 'assemble': many runs of 'train', and one result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyg_stgcn.cli._figure import figure_option
from pyg_stgcn.cli._lists import Choice, WholeNumbers
from pyg_stgcn.cli._messages import flags_of, with_flags
from pyg_stgcn.cli._numbers import number
from pyg_stgcn.cli._options import config_option
from pyg_stgcn.cli._output import echo
from pyg_stgcn.cli._plain import option
from pyg_stgcn.errors import InputError
from pyg_stgcn.ranges import PROCESSES, SEED
from pyg_stgcn.studies.launchers import LAUNCHERS, LOCAL, open_launcher, parse_launcher_options
from pyg_stgcn.text import count

if TYPE_CHECKING:
    from pyg_stgcn.studies.jobs import Job
    from pyg_stgcn.studies.launching import Launcher

#: Makes the launcher of a study in a folder.
StudyLauncher = Callable[[Path], AbstractContextManager["Launcher"]]


def _as_launcher(ctx: click.Context, param: click.Parameter, name: str) -> StudyLauncher:
    try:
        options = parse_launcher_options(name, ctx.meta[_OPTIONS])
    except InputError as error:
        raise click.UsageError(with_flags(str(error), flags_of(ctx.command)), ctx) from None
    return partial(open_launcher, name, options)


def _keep(ctx: click.Context, param: click.Parameter, words: tuple[str, ...]) -> None:
    ctx.meta[_OPTIONS] = words


_OPTIONS = f"{__name__}.launcher_options"


def study_options(folder: str, seeds: Sequence[int]) -> Callable[[Any], Any]:
    """Options for the seeds, the processes or a job runner, the folder and the result of a study.

    Args:
        folder: Default of ``--out``.
        seeds: Default of ``--seeds``.
    """
    options = (
        option(
            "--seeds",
            type=WholeNumbers(SEED, "seed"),
            default=tuple(seeds),
            show_default=" ".join(map(str, seeds)),
            help="Seeds of the runs; each variant is trained once with each.",
        ),
        option(
            "--jobs",
            type=number(PROCESSES),
            default=1,
            show_default=True,
            help="Number of runs at the same time.",
        ),
        option(
            "--launcher",
            type=Choice(LAUNCHERS),
            default=LOCAL,
            show_default=True,
            callback=_as_launcher,
            help="Run on this machine, or on a cluster of Slurm or Ray.",
        ),
        option(
            "--launcher-option",
            "launcher_options",
            multiple=True,
            metavar="KEY=VALUE",
            # Before --launcher, which takes them.
            is_eager=True,
            expose_value=False,
            callback=_keep,
            help="Option of the cluster, such as time=600 (minutes) or partition=gpu for Slurm, "
            "address=HOST:PORT or gpus=1 for Ray. Repeatable.",
        ),
        option(
            "--print-commands",
            is_flag=True,
            help="Print the commands of the missing runs for a job runner; train nothing.",
        ),
        option(
            "--out",
            type=click.Path(path_type=Path),
            default=Path(folder),
            show_default=True,
            metavar="DIR",
            help="Folder for the runs and the result.",
        ),
        figure_option("the result", beside="the PNG in --out"),
        option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
    )

    def add(command: Any) -> Any:
        for decorate in (*reversed(options), config_option):
            command = decorate(command)
        return command

    return add


def train_missing(
    stage: str,
    planned: Sequence[Job],
    launcher: Launcher,
    parallel: int,
    *,
    only_print: bool,
    later: int = 0,
) -> list[Job]:
    """Train the unfinished runs, or print their commands.

    Args:
        stage: Name of the stage, for the line that says how many runs are finished.
        planned: Independent runs.
        launcher: Trains them.
        parallel: Number of runs at the same time.
        only_print: Whether to print the commands instead.
        later: Number of runs of later stages.

    Returns:
        The runs whose commands were printed; empty after training.

    Raises:
        InputError: A training has failed, or a folder holds a run with other options.
    """
    from pyg_stgcn.studies.launching import run_jobs

    missing = [job for job in planned if not job.is_finished()]
    if only_print and missing:
        for job in missing:
            click.echo(job.command)
        return missing
    finished = len(planned) - len(missing)
    further = f", {later} in later stages" if later else ""
    echo(f"{stage}: {finished} of {count(len(planned), 'run')} finished{further}", err=True)
    run_jobs(missing, launcher, parallel, later=later)
    return []
