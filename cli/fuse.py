"""``pyg-stgcn fuse``."""

from __future__ import annotations

from pathlib import Path

import click

from pyg_stgcn.cli._checks import check_runs
from pyg_stgcn.cli._figure import figure_option
from pyg_stgcn.cli._lists import ListsCommand, Numbers
from pyg_stgcn.cli._output import echo, percent, print_json, print_table
from pyg_stgcn.cli._plain import option
from pyg_stgcn.ranges import WEIGHT
from pyg_stgcn.text import joined


@click.command("fuse", cls=ListsCommand)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@option(
    "--weights",
    type=Numbers(WEIGHT),
    help="Weight of each run.  [default: 2 for joint and bone, 1 for motion]",
)
@option("--search", is_flag=True, help="Choose the weights on held-out training clips.")
@option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/fusion"),
    metavar="DIR",
    show_default=True,
    help="Folder for the result.",
)
@figure_option("the accuracies", beside="fusion.png in --out")
@option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    runs: tuple[Path, ...],
    weights: tuple[float, ...] | None,
    search: bool,
    out: Path,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Average the class probabilities of several RUNs.

    The runs are, for example, those of the four streams. 'train' and 'evaluate' write the
    probabilities into each run. By default, joint and bone streams have twice the weight of the
    motion streams. --search needs runs trained with --hold-out: it never uses the validation clips
    that the result is measured on.
    """
    if search and weights is not None:
        raise click.UsageError("--weights and --search exclude each other")
    check_runs(*runs)

    from pyg_stgcn.evaluation.fusion import fuse_runs

    result = fuse_runs(runs, out, weights=weights, search=search, figure=figure)
    if as_json:
        print_json(result)
        return
    rows = [
        (
            row["run"],
            row["model"],
            row["stream"],
            f"{row['weight']:g}",
            *(percent(row[name]) for name in ("top1", "top5", "mean_class")),
        )
        for row in result["runs"]
    ]
    fused = [percent(result[name]) for name in ("top1", "top5", "mean_class")]
    print_table(
        ("", "model", "stream", "weight", "top-1", "top-5", "mean class"),
        [*rows, ("fused", "", "", "", *fused)],
        title=f"{joined(result['dataset'], result['benchmark'])}; weights: {result['chosen_by']}",
    )
    echo(f"figure: {figure or result['fusion_png']}")
