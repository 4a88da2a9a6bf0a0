"""What 'sweep', 'lottery' and 'assemble' have in common: many runs of 'train', and one result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyg_stgcn.cli._lists import WholeNumbers
from pyg_stgcn.cli._numbers import number
from pyg_stgcn.cli._options import config_option
from pyg_stgcn.cli._output import echo
from pyg_stgcn.ranges import PROCESSES, SEED

if TYPE_CHECKING:
    from pyg_stgcn.studies.jobs import Job


def study_options(folder: str, seeds: Sequence[int]) -> Callable[[Any], Any]:
    """Options for the seeds, the processes or a job runner, the folder and the form of a study's
    result.

    Args:
        folder: Default of ``--out``.
        seeds: Default of ``--seeds``.
    """
    options = (
        click.option(
            "--seeds",
            type=WholeNumbers(SEED, "seed"),
            default=tuple(seeds),
            show_default=" ".join(map(str, seeds)),
            help="Runs of each.",
        ),
        click.option(
            "--jobs",
            type=number(PROCESSES),
            default=1,
            show_default=True,
            help="Runs at a time.",
        ),
        click.option(
            "--print-commands",
            is_flag=True,
            help="Train nothing; print a line for each run that could start now.",
        ),
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            default=Path(folder),
            show_default=True,
            help="Folder of the runs and the result.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
    )

    def add(command: Any) -> Any:
        for option in (*reversed(options), config_option):
            command = option(command)
        return command

    return add


def train_missing(
    stage: str, planned: Sequence[Job], parallel: int, *, only_print: bool
) -> list[Job]:
    """Train what is not finished, or print it as lines for a shell.

    Args:
        stage: What the runs are, for the line that says how many are finished.
        planned: Independent of each other.
        parallel: Runs at a time.
        only_print: Whether to print the lines instead.

    Returns:
        Those that are still to be done: none, unless they were printed.

    Raises:
        InputError: A training has failed, or a folder holds a run with other options.
    """
    from pyg_stgcn.studies.jobs import run_jobs

    missing = [job for job in planned if not job.is_finished()]
    if only_print and missing:
        for job in missing:
            click.echo(job.command)
        return missing
    finished = len(planned) - len(missing)
    echo(f"{stage}: {finished} of {len(planned)} runs are finished", err=True)
    run_jobs(missing, parallel)
    return []
