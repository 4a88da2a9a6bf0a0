"""``pyg-stgcn evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pyg_stgcn.cli._checks import NameType, check_runs
from pyg_stgcn.cli._figure import figure_option
from pyg_stgcn.cli._lists import Choice
from pyg_stgcn.cli._messages import given_flags
from pyg_stgcn.cli._numbers import number
from pyg_stgcn.cli._output import (
    echo,
    percent,
    print_json,
    print_subsets,
    print_table,
    sparsity_rows,
)
from pyg_stgcn.cli._plain import option
from pyg_stgcn.cli._stream_options import (
    JOINING_OPTIONS,
    STREAM_OPTIONS,
    print_stream,
    stream_options,
)
from pyg_stgcn.errors import InputError
from pyg_stgcn.names import MODES, dropped_fraction
from pyg_stgcn.ranges import VIEWS
from pyg_stgcn.text import joined

_ACCURACIES = {"top-1": "top1", "top-5": "top5", "mean class": "mean_class"}


@click.command("evaluate")
@click.argument("run", type=click.Path(path_type=Path))
@option(
    "--views",
    type=number(VIEWS),
    default=10,
    show_default=True,
    help="Views of each clip; their probabilities are averaged.",
)
@option(
    "--corruption",
    metavar="SEVERITY|FRACTION|all",
    help="Drop frames first: minor (0.25), moderate (0.5), severe (0.75), or another fraction of "
    "them; 'all' severities with all modes.",
)
@option(
    "--mode",
    type=Choice(MODES),
    help="Choice of the dropped frames.  [default: random]",
)
@option(
    "--repair",
    type=Choice(["interpolate"]),
    help="Fill in missing frames and joints by linear interpolation.",
)
@stream_options
@option(
    "--checkpoint",
    type=Choice(["best", "last"]),
    help="Evaluate a checkpoint, also of an unfinished run.  [default: the final weights]",
)
@option(
    "--dataset",
    type=NameType("dataset"),
    metavar="NAME|FILE.pkl",
    help="Other data, or the new path of the data of the run.  [default: the data of the run]",
)
@option(
    "--split",
    metavar="NAME",
    help="train, val, test, all, or the name of a split of the data.  [default: val; all of a "
    "pickle without splits]",
)
@option("--benchmark", help="Benchmark of the data, a pair of splits such as xsub.")
@option("--root", metavar="DIR", help="Folder of the datasets.  [default: that of the run]")
@option("--source", metavar="FILE|DIR", help="Local copy of the dataset's archive or raw files.")
@option(
    "--skeleton",
    type=NameType("skeleton"),
    metavar="NAME|FILE.json",
    help="Skeleton of a pickle.",
)
@option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@figure_option("the confusion matrix, the robustness or the stream", beside="the figure in RUN")
@option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    run: Path,
    views: int,
    corruption: str | None,
    mode: str | None,
    repair: str | None,
    checkpoint: str | None,
    device: str,
    figure: Path | None,
    as_json: bool,
    stream: bool,
    **rest: Any,
) -> None:
    """Evaluate the trained model of RUN on clips.

    By default these are the validation clips of the run.

    Writes evaluation.json, the class probabilities (predictions.npz) and the confusion matrix
    (confusion.csv, confusion.png) into RUN.

    For an assembly, it evaluates every subset of the experts too (assembly.json, .csv and .png).

    With --dataset, --split or --benchmark, it evaluates other clips on the same skeleton. Classes
    are matched by name. The names of the files then end in the names of the data and the split
    (evaluation-mine-test.json), and predictions-mine-test.csv lists the predicted class of every
    clip, with or without a label.

    With --corruption, it evaluates intact clips and clips with dropped frames, and writes
    robustness.json, robustness.csv and robustness.png instead. Their names contain a single
    corruption and the repair: robustness-0.75-random-interpolate.json. To repair only the joints
    that the sensor did not see, use --corruption 0.

    With --stream, it evaluates a stream: the clips are joined to long recordings, or --segments
    names the actions in long recordings. It writes stream.json, stream.csv and stream.png instead.

    With --checkpoint, the names contain the checkpoint: evaluation-best.json.
    """
    _check_corruption(corruption, mode, repair)
    _check_stream(ctx, stream)
    check_runs(run)
    of_stream = {name: rest.pop(name) for name in STREAM_OPTIONS}
    if stream:
        result = _evaluate_stream(run, of_stream, device, checkpoint, figure, rest)
    else:
        result = _evaluate(run, corruption, mode, repair, views, device, checkpoint, figure, rest)
    if as_json:
        print_json(result)
    elif stream:
        print_stream(result, _title(result), figure)
    elif corruption is None:
        _print_evaluation(result, figure)
    else:
        _print_robustness(result, figure)


def _evaluate(
    run: Path,
    corruption: str | None,
    mode: str | None,
    repair: str | None,
    views: int,
    device: str,
    checkpoint: str | None,
    figure: Path | None,
    where: dict[str, str | None],
) -> dict[str, Any]:
    from pyg_stgcn.cli._device import check_device
    from pyg_stgcn.evaluation import evaluate_assembly, evaluate_robustness, evaluate_run
    from pyg_stgcn.evaluation.evaluation_data import EvaluationData
    from pyg_stgcn.runs.folder import Run

    check_device(device)
    options: dict[str, Any] = {"num_views": views, "device": device, "checkpoint": checkpoint}
    options["data"] = EvaluationData(**where)
    if corruption is not None:
        options |= {"mode": mode or "random", "repair": repair}
        return evaluate_robustness(run, corruption, figure=figure, **options)
    result = evaluate_run(run, figure=figure, **options)
    if Run.open(run).config.model.levels and "top1" in result:
        result["assembly"] = evaluate_assembly(run, **options)
    return result


def _evaluate_stream(
    run: Path,
    options: dict[str, Any],
    device: str,
    checkpoint: str | None,
    figure: Path | None,
    where: dict[str, str | None],
) -> dict[str, Any]:
    from pyg_stgcn.cli._device import check_device
    from pyg_stgcn.evaluation import StreamOptions, evaluate_stream
    from pyg_stgcn.evaluation.evaluation_data import EvaluationData

    check_device(device)
    return evaluate_stream(
        run,
        options=StreamOptions(**options),
        device=device,
        data=EvaluationData(**where),
        checkpoint=checkpoint,
        figure=figure,
    )


def _check_stream(ctx: click.Context, stream: bool) -> None:
    """Refuse options of another evaluation."""
    if not stream:
        for flag in given_flags(ctx, STREAM_OPTIONS):
            raise click.UsageError(f"{flag} needs --stream")
        return
    for flag in given_flags(ctx, ("views", "corruption", "mode", "repair")):
        raise click.UsageError(f"--stream has no {flag}; leave the option out")
    if given_flags(ctx, ("segments",)):
        for flag in given_flags(ctx, JOINING_OPTIONS):
            raise click.UsageError(
                f"{flag} is for joined clips, and --segments joins none; leave one of them out"
            )


def _check_corruption(corruption: str | None, mode: str | None, repair: str | None) -> None:
    if corruption is None:
        if mode or repair:
            raise click.UsageError(
                f"{'--mode' if mode else '--repair'} needs --corruption, such as severe, "
                "or 0 to drop nothing"
            )
        return
    if corruption == "all":
        if mode:
            raise click.UsageError("--corruption all takes every --mode; leave the option out")
        return

    try:
        dropped_fraction(corruption)
    except InputError as error:
        raise click.BadParameter(f"{error}; or 'all'", param_hint="--corruption") from None


def _print_evaluation(result: dict[str, Any], figure: Path | None) -> None:
    print_table(
        ("", "value"),
        [
            *(
                (label, percent(result[name]))
                for label, name in _ACCURACIES.items()
                if name in result
            ),
            ("clips", result["clips"]),
            *([("without a label", result["unlabelled"])] if result["unlabelled"] else []),
            ("views", result["views"]),
            *sparsity_rows(result),
        ],
        title=_title(result),
    )
    if "confusion_csv" in result:
        drawing = figure or result["confusion_png"]
        echo(f"confusion matrix: {result['confusion_csv']}, {drawing}")
    if "predictions_csv" in result:
        echo(f"predicted classes: {result['predictions_csv']}")
    echo(f"result: {result['evaluation_json']}")
    if "assembly" in result:
        print_subsets(result["assembly"]["rows"])
        echo(f"figure: {result['assembly']['assembly_png']}")


def _title(result: dict[str, Any]) -> str:
    return joined(result["dataset"], result["benchmark"], result["split"])


def _print_robustness(result: dict[str, Any], figure: Path | None) -> None:
    repair = f", repair: {result['repair']}" if result["repair"] else ""
    print_table(
        ("dropped frames", "fraction", "top-1", "mean class"),
        [
            (
                row["mode"] or "none",
                f"{100 * row['dropped']:g} %",
                percent(row["top1"]),
                percent(row["mean_class"]),
            )
            for row in result["rows"]
        ],
        title=f"{_title(result)}{repair}",
    )
    echo(
        f"clips: {result['clips']}, views: {result['views']}\n"
        f"kept: {percent(1 - result['sparsity'])} of the maskable weights, "
        f"{percent(result['params_kept_fraction'])} of all parameters\n"
        f"table: {result['robustness_csv']}\nfigure: {figure or result['robustness_png']}"
    )
