"""``pyg-stgcn inspect``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyg_stgcn.cli._checks import check_runs
from pyg_stgcn.cli._figure import figure_option
from pyg_stgcn.cli._output import echo, percent, print_json, print_table
from pyg_stgcn.cli._plain import option

if TYPE_CHECKING:
    from pyg_stgcn.evaluation.inspection import Comparison, Group, Inspection
    from pyg_stgcn.sparsity import Overlap


@click.command("inspect")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@figure_option("the kept weights of each layer, the overlaps and the edges")
@option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(runs: tuple[Path, ...], figure: Path | None, as_json: bool) -> None:
    """Show the kept weights of each layer of the trained model of RUN.

    A dead row is an output channel, and a dead column an input channel, without a kept weight.

    Several runs of one architecture are compared, and so are the experts of an assembly. The
    overlap of two masks is their Jaccard index: the number of weights that both keep, divided by
    the number that either keeps. Chance is the overlap of two random masks with the same density
    in each layer.
    """
    check_runs(*runs)

    from pyg_stgcn.evaluation.inspection import compare, inspect_run, networks_of, plot_groups

    found = [inspect_run(run) for run in runs]
    groups = compare(networks_of(found))
    if as_json:
        _print_json(found, groups, figure)
    else:
        _print_text(found, groups)
    if figure is None:
        return
    plot_groups(figure, groups)
    if not as_json:
        echo(f"figure: {figure}")


def _print_text(found: Sequence[Inspection], groups: Sequence[Group]) -> None:
    if len(found) == 1:
        _print_layers(found[0])
    else:
        _print_runs(found)
    for group in groups:
        if group.comparisons:
            _print_overlaps(group.comparisons)
    for run in found:
        folder = "" if len(found) == 1 else f"{run.folder}: "
        for name in run.empty:
            echo(f"Warning: {folder}{name} keeps no weights", err=True)


def _print_json(found: Sequence[Inspection], groups: Sequence[Group], figure: Path | None) -> None:
    reports = [run.to_dict() for run in found]
    content: dict[str, Any] = reports[0] if len(found) == 1 else {"runs": reports}
    overlaps = [pair.to_dict() for group in groups for pair in group.comparisons]
    if overlaps:
        content["overlaps"] = overlaps
    if figure is not None:
        content["figure"] = str(figure)
    print_json(content)


def _print_layers(found: Inspection) -> None:
    print_table(
        ("layer", "shape", "weights", "kept", "sparsity", "dead rows", "dead columns"),
        [
            (
                layer.name,
                "x".join(map(str, layer.shape)),
                f"{layer.numel:,}",
                f"{layer.kept:,}",
                percent(layer.sparsity),
                layer.dead_rows,
                layer.dead_cols,
            )
            for layer in found.layers
        ],
    )
    totals = found.totals
    echo(
        f"kept {totals['maskable_kept']:,} of {totals['params_maskable']:,} maskable weights "
        f"(sparsity {percent(totals['sparsity'])}), "
        f"{percent(totals['params_kept_fraction'])} of all {totals['params_total']:,} parameters"
    )
    if found.assembly is not None:
        _print_experts(found.assembly)


def _print_experts(assembly: dict[str, Any]) -> None:
    print_table(
        ("expert", "model", "weights", "kept", "sparsity", "of all parameters"),
        [
            (
                number,
                expert["model"],
                f"{expert['params_maskable']:,}",
                f"{expert['maskable_kept']:,}",
                percent(expert["sparsity"]),
                percent(expert["params_kept_fraction"]),
            )
            for number, expert in enumerate(assembly["experts"], start=1)
        ],
        texts=2,
    )
    echo(
        f"together {assembly['kept_of_one']:.3f} of one expert's maskable weights; "
        f"{assembly['params_kept']:,} parameters for a prediction, "
        f"{assembly['params_kept_of_one']:.3f} of those of one dense model"
    )


def _print_runs(found: Sequence[Inspection]) -> None:
    print_table(
        ("run", "maskable weights", "kept", "sparsity", "kept of all parameters"),
        [
            (
                run.folder,
                f"{run.totals['params_maskable']:,}",
                f"{run.totals['maskable_kept']:,}",
                percent(run.totals["sparsity"]),
                percent(run.totals["params_kept_fraction"]),
            )
            for run in found
        ],
    )


def _print_overlaps(comparisons: Sequence[Comparison]) -> None:
    means = f" (means over {len(comparisons)} pairs)" if len(comparisons) > 1 else ""
    print_table(
        ("layer", "weights", "overlap", "chance", "overlap / chance"),
        [
            (layers[0].name, f"{layers[0].numel:,}", *_means(layers))
            for layers in zip(*(pair.layers for pair in comparisons), strict=True)
        ],
        title=f"Overlap of the masks, layer by layer{means}",
    )
    rows = []
    for pair in comparisons:
        rows.append((pair.first, pair.second, "weights", *_means([pair.weights])))
        if pair.edges is not None:
            rows.append((pair.first, pair.second, "edges", *_means([pair.edges])))
    header = ("network", "and network", "of all", "overlap", "chance", "overlap / chance")
    print_table(header, rows, texts=3)


def _means(parts: Sequence[Overlap]) -> tuple[str, str, str]:
    """Overlap, chance and their ratio, each as the mean over those that have one."""
    means = []
    for name in ("jaccard", "chance", "ratio"):
        values = [value for part in parts if (value := getattr(part, name)) is not None]
        means.append(sum(values) / len(values) if values else None)
    jaccard, chance, ratio = means
    return (
        "" if jaccard is None else percent(jaccard),
        "" if chance is None else percent(chance),
        "" if ratio is None else f"{ratio:.2f}",
    )
