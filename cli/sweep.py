"""``pyg-stgcn sweep``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pyg_stgcn.cli._checks import check_names
from pyg_stgcn.cli._lists import Names, Numbers
from pyg_stgcn.cli._options import GroupedCommand, configured, record_options
from pyg_stgcn.cli._output import (
    difference,
    echo,
    percent,
    print_json,
    print_table,
    with_deviation,
)
from pyg_stgcn.cli._plain import option
from pyg_stgcn.cli._study import StudyLauncher, study_options, train_missing
from pyg_stgcn.ranges import FRACTION
from pyg_stgcn.runs.options import METHODS

#: Options of 'train' that a sweep varies or sets itself.
_OWN = {"sparsity", "edge_sparsity", "method", "seed"}
_OWN |= {"ticket", "redraw", "save_epoch"}
#: Options of an assembly, which 'assemble' compares with its controls.
_OWN |= {"levels", "experts", "learned_weights"}


@click.command("sweep", cls=GroupedCommand, context_settings={"max_content_width": 100})
@option(
    "--sparsities",
    type=Numbers(FRACTION),
    default=(0.0, 0.8, 0.9, 0.95, 0.99),
    show_default="0 0.8 0.9 0.95 0.99",
    help="Fractions of the weights to prune; 0 is the dense network.",
)
@option(
    "--methods",
    type=Names(METHODS),
    default=("feedback",),
    show_default="feedback",
    help=f"Methods of pruning: any of {', '.join(METHODS)}.",
)
@study_options("runs/sweep", seeds=(0, 1, 2))
@click.pass_context
def command(
    ctx: click.Context,
    sparsities: tuple[float, ...],
    methods: tuple[str, ...],
    seeds: tuple[int, ...],
    jobs: int,
    launcher: StudyLauncher,
    print_commands: bool,
    out: Path,
    config_file: Path | None,
    figure: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train at several sparsities, and compare the results.

    The methods of pruning and the seeds can vary too.

    All other options are those of 'train'. Finished runs are not trained again, and unfinished ones
    are continued. Writes sweep.json, sweep.csv and sweep.png into --out: means, standard
    deviations, and differences to the dense runs of the same seeds with confidence intervals.

    --print-commands prints one independent command a line. When all are done, the same call without
    this option writes the table. For Slurm, with N lines in commands.txt:

    \b
    sbatch --array=1-N --wrap 'eval "$(sed -n "${SLURM_ARRAY_TASK_ID}p" commands.txt)"'
    """
    given = configured(ctx, options, config_file)
    check_names(given)

    from pyg_stgcn.studies.sweeps import plan_sweep, summarise_sweep

    planned = plan_sweep(out, given, sparsities, methods, seeds)
    with launcher(out) as place:
        train_missing("sweep", planned, place, jobs, only_print=print_commands)
    if print_commands:
        return
    result = summarise_sweep(planned, out, figure)
    if as_json:
        print_json(result)
        return
    print_table(
        (
            *("method", "sparsity", "seeds", "top-1", "mean class", "to dense (95 %)"),
            *("kept", "of all parameters"),
        ),
        [_cells(row) for row in result["rows"]],
        title=f"{given['dataset']}",
    )
    echo(f"table: {result['csv']}\nfigure: {figure or result['png']}")


command.params += record_options(_OWN)


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        row["method"],
        f"{row['sparsity']:g}",
        row["seeds"],
        with_deviation(row),
        percent(row["mean_class"]),
        difference(row),
        percent(1 - row["achieved"]),
        percent(row["params_kept_fraction"]),
    )
