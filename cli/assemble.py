"""``pyg-stgcn assemble``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pyg_stgcn.cli._checks import check_names
from pyg_stgcn.cli._lists import Names, Numbers
from pyg_stgcn.cli._options import GroupedCommand, configured, make_options, record_options
from pyg_stgcn.cli._output import (
    difference,
    echo,
    percent,
    print_json,
    print_subsets,
    print_table,
    with_deviation,
)
from pyg_stgcn.cli._plain import option
from pyg_stgcn.cli._study import StudyLauncher, study_options, train_missing
from pyg_stgcn.errors import InputError
from pyg_stgcn.ranges import FRACTION

#: Options of 'train' that this command sets itself.
_OWN = {"levels", "sparsity", "seed"}


@click.command("assemble", cls=GroupedCommand, context_settings={"max_content_width": 100})
@option(
    "--levels",
    type=Numbers(FRACTION),
    default=(0.6, 0.8, 0.95, 0.99),
    show_default="0.6 0.8 0.95 0.99",
    help="Sparsity of each expert.",
)
@option(
    "--controls",
    type=Names(("dense", "sparse", "equal")),
    default=(),
    help="Also train a dense model, one sparse model with as many weights as all experts together, "
    "or as many experts of equal sparsity.",
)
@study_options("runs/assembly", seeds=(0,))
@click.pass_context
def command(
    ctx: click.Context,
    levels: tuple[float, ...],
    controls: tuple[str, ...],
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
    """Train an assembly of experts, and compare it with controls.

    The experts have several sparsities and are trained together as one model.

    All other options are those of 'train'. Finished runs are not trained again, and unfinished ones
    are continued. Writes assemble.json, assemble.csv, subsets.csv and assemble.png
    into --out: the assembly and its controls, and every subset of the experts.

    Each assembly is a run of 'train --levels'; 'evaluate', 'inspect' and 'fuse' work on it.

    --print-commands prints one independent command a line. When all are done, the same call without
    this option writes the tables ('pyg-stgcn sweep --help' shows the command for Slurm).
    """
    given = configured(ctx, options, config_file)
    make_options({**given, "levels": list(levels)})
    check_names(given)

    from pyg_stgcn.studies.assemblies import plan_assemblies, summarise_assemblies

    try:
        planned = plan_assemblies(out, given, levels, controls, seeds)
    except InputError as error:
        raise click.UsageError(str(error)) from None
    with launcher(out) as place:
        train_missing("assembly and controls", planned, place, jobs, only_print=print_commands)
    if print_commands:
        return
    result = summarise_assemblies(planned, out, figure)
    if as_json:
        print_json(result)
        return
    print_result(result, title=str(given["dataset"]), figure=figure)


command.params += record_options(_OWN)


def print_result(result: dict[str, Any], *, title: str, figure: Path | None = None) -> None:
    print_table(
        ("", "seeds", "top-1", "mean class", "assembly - this (95 %)", "kept", "of all parameters"),
        [_cells(row) for row in result["rows"]],
        title=f"{title}; kept: 1 is a dense model",
    )
    print_subsets(result["subsets"])
    echo(f"tables: {result['csv']}, {result['subsets_csv']}\nfigure: {figure or result['png']}")


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        row["name"],
        row["seeds"],
        with_deviation(row),
        percent(row["mean_class"]),
        difference(row),
        f"{row['kept']:.3f}",
        f"{row['params_kept']:.3f}",
    )
