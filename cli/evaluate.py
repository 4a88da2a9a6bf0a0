"""``pyg-stgcn evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pyg_stgcn.cli._numbers import number
from pyg_stgcn.cli._output import (
    echo,
    percent,
    print_json,
    print_subsets,
    print_table,
    sparsity_rows,
)
from pyg_stgcn.ranges import VIEWS


@click.command("evaluate")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--clips",
    type=number(VIEWS),
    default=10,
    show_default=True,
    help="Clips whose probabilities are averaged.",
)
@click.option(
    "--corruption",
    metavar="SEVERITY|SHARE|all",
    help="Lose frames first: minor (0.25), moderate (0.5), severe (0.75), or another share of "
    "them; 'all' severities with all patterns.",
)
@click.option(
    "--pattern",
    type=click.Choice(["random", "block", "prefix", "suffix", "periodic"]),
    help="Which frames are lost.  [default: random]",
)
@click.option(
    "--repair", type=click.Choice(["interpolate"]), help="Fill in what is missing afterwards."
)
@click.option(
    "--checkpoint",
    type=click.Choice(["best", "last"]),
    help="Take these weights, also of a run that is not finished.  [default: those of its end]",
)
@click.option("--root", help="Folder of the datasets, if it has moved.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    run: Path,
    clips: int,
    corruption: str | None,
    pattern: str | None,
    repair: str | None,
    checkpoint: str | None,
    root: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Judge the trained model of RUN on its validation clips.

    Writes evaluation.json, the class probabilities (predictions.npz) and the confusion matrix
    (confusion.csv, confusion.png) into RUN.

    Of an assembly it judges every subset of the experts too (assembly.json, .csv and .png).

    With --corruption, judges intact clips and clips that have lost frames, and writes
    robustness.json, robustness.csv and robustness.png instead. A single loss and a repair show in
    their names: robustness-0.75-random-interpolate.json. To repair what the sensor did not see,
    lose nothing: --corruption 0.

    With --checkpoint the names say so too: evaluation-best.json.
    """
    _check_losses(corruption, pattern, repair)

    from pyg_stgcn.cli._device import check_device
    from pyg_stgcn.training import Run, evaluate_assembly, evaluate_robustness, evaluate_run

    check_device(device)
    if corruption is None:
        result = evaluate_run(run, num_clips=clips, device=device, root=root, checkpoint=checkpoint)
        if Run.open(run).config.levels:
            result["assembly"] = evaluate_assembly(
                run, num_clips=clips, device=device, root=root, checkpoint=checkpoint
            )
    else:
        result = evaluate_robustness(
            run,
            corruption,
            pattern=pattern or "random",
            repair=repair,
            num_clips=clips,
            device=device,
            root=root,
            checkpoint=checkpoint,
        )
    if as_json:
        print_json(result)
    elif corruption is None:
        _print_evaluation(result)
    else:
        _print_robustness(result)


def _check_losses(corruption: str | None, pattern: str | None, repair: str | None) -> None:
    if corruption is None:
        if pattern or repair:
            raise click.UsageError(
                f"{'--pattern' if pattern else '--repair'} needs --corruption, such as severe, "
                "or 0 to lose nothing"
            )
        return
    if corruption == "all":
        if pattern:
            raise click.UsageError("--corruption all takes every --pattern; leave the option out")
        return

    from pyg_stgcn.errors import InputError
    from pyg_stgcn.transforms.corrupt import lost_share

    try:
        lost_share(corruption)
    except InputError as error:
        raise click.BadParameter(f"{error}; or 'all'", param_hint="--corruption") from None


def _print_evaluation(result: dict[str, Any]) -> None:
    print_table(
        ("", "value"),
        [
            ("top-1", percent(result["top1"])),
            ("top-5", percent(result["top5"])),
            ("mean class", percent(result["mean_class"])),
            ("samples", result["samples"]),
            ("clips averaged", result["clips"]),
            *sparsity_rows(result),
        ],
        title=f"{result['dataset']}, {result['benchmark']}",
    )
    echo(f"confusion matrix: {result['confusion_csv']}, {result['confusion_png']}")
    if "assembly" in result:
        print_subsets(result["assembly"]["rows"])
        echo(f"picture: {result['assembly']['assembly_png']}")


def _print_robustness(result: dict[str, Any]) -> None:
    repair = f", repair: {result['repair']}" if result["repair"] else ""
    print_table(
        ("lost frames", "share", "top-1", "mean class"),
        [
            (
                row["pattern"] or "none",
                f"{100 * row['lost']:g} %",
                percent(row["top1"]),
                percent(row["mean_class"]),
            )
            for row in result["rows"]
        ],
        title=f"{result['dataset']}, {result['benchmark']}{repair}",
    )
    echo(
        f"samples: {result['samples']}, clips averaged: {result['clips']}\n"
        f"kept: {percent(1 - result['sparsity'])} of the maskable weights, "
        f"{percent(result['density'])} of all parameters\n"
        f"table: {result['robustness_csv']}\npicture: {result['robustness_png']}"
    )
