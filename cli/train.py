"""``pyg-stgcn train``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from pyg_stgcn.cli._checks import check_benchmark, check_names
from pyg_stgcn.cli._figure import figure_option
from pyg_stgcn.cli._messages import given_flags
from pyg_stgcn.cli._options import (
    GroupedCommand,
    config_option,
    configured,
    given_options,
    make_options,
    record_options,
)
from pyg_stgcn.cli._output import echo, print_json, print_summary
from pyg_stgcn.runs.options import OPTIONS
from pyg_stgcn.runs.run_files import RunFiles, resume_command
from pyg_stgcn.signals import Stopped

#: Options of masks, which a ticket has itself.
MASKING = {name for name, option in OPTIONS.items() if option.group == "sparsity"}
MASKING -= {"ticket", "redraw", "save_epoch", "skip_zeros"}


def _resumed_config(ctx: click.Context, folder: Path, options: dict[str, Any]) -> Any:
    from pyg_stgcn.runs.claim import never_began
    from pyg_stgcn.runs.config_file import load_config
    from pyg_stgcn.runs.options import PLACEMENT
    from pyg_stgcn.runs.paths import absolute_options, is_file, with_absolute_paths
    from pyg_stgcn.runs.processes import is_first_process

    first = is_first_process(options["num_nodes"])
    if not first and not RunFiles(folder).is_started:
        # The first machine has the run, and all machines compare their options before they train.
        if options["dataset"] is None:
            raise click.UsageError(
                f"{folder}: the run is not on this machine; give the options that it was started "
                f"with, or copy {RunFiles(folder).config_file.name} of the first machine into it"
            )
        return make_options(configured(ctx, options, None))
    if folder.is_dir() and never_began(folder):
        raise click.UsageError(
            f"{folder}: there is no run to continue, if one was started it was stopped before it "
            "began; start it without --resume"
        )
    config, _ = load_config(RunFiles(folder).config_file)
    config = with_absolute_paths(config)
    given = absolute_options(given_options(ctx, options))
    # Files may have moved; whether their clips are the same is checked when they are opened.
    moved = {name for name in ("dataset", "val") if is_file(given.get(name))}
    for name, value in given.items():
        if name not in PLACEMENT | moved and (started := config.flat()[name]) != value:
            raise click.UsageError(
                f"{OPTIONS[name].flag} {value}: the run in {folder} was started with "
                f"{started}; leave the option out, or start again in another --out"
            )
    return config.replace(**{name: given[name] for name in (PLACEMENT | moved) & set(given)})


def _print_config(config: Any) -> None:
    from pyg_stgcn.runs.config_file import options_to_toml
    from pyg_stgcn.runs.new_run import open_clips
    from pyg_stgcn.runs.opening import is_prepared
    from pyg_stgcn.runs.paths import with_absolute_paths

    config = with_absolute_paths(config)
    if is_prepared(config):
        _, _, config = open_clips(config)
    click.echo(options_to_toml(config), nl=False)


def _default_folder(config: Any) -> Path:
    dataset = Path(config.data.dataset).stem
    parts = [
        dataset,
        config.data.benchmark,
        config.architecture.replace(" ", ""),
        config.data.stream,
    ]
    pruned = "sparsity" + "-".join(
        f"{level:g}" for level in config.model.levels or [config.sparsity.sparsity]
    )
    if config.sparsity.ticket is not None:
        pruned = f"ticket-{Path(config.sparsity.ticket).stem}"
        pruned += "-redrawn" * config.sparsity.redraw
    parts += [pruned, f"seed{config.optim.seed}"]
    return Path("runs") / "-".join(str(part) for part in parts if part)


@click.command("train", cls=GroupedCommand, context_settings={"max_content_width": 100})
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Run directory.  [default: runs/DATA-MODEL-...]",
)
@config_option
@click.option(
    "--print-config", is_flag=True, help="Print all options as TOML for --config, and exit."
)
@click.option("--resume", is_flag=True, help="Continue the run in --out.")
@figure_option("the training curves", beside="curves.png in --out")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    out: Path | None,
    config_file: Path | None,
    print_config: bool,
    resume: bool,
    figure: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train and prune one model.

    Small data are fewer than 5,000 training clips. The run directory holds config.toml (all
    options), metrics.csv, curves.png, checkpoints, weights and summary.json. A killed run continues
    with --resume, and its result is the same.
    """
    if resume and out is None:
        raise click.UsageError("--resume needs --out DIR, the folder of the run to continue")
    if resume and config_file is not None:
        raise click.UsageError("--resume has the options of its run; leave --config out")
    if options["ticket"] is not None:
        for flag in given_flags(ctx, sorted(MASKING)):
            raise click.UsageError(f"--ticket brings its own masks; leave {flag} out")

    if resume and out is not None:
        config = _resumed_config(ctx, out, options)
        if RunFiles(out).is_finished:
            raise click.UsageError(f"{out}: the run is finished; see its summary.json")
    else:
        values = configured(ctx, options, config_file)
        config = make_options(values)
        check_names(values)
    if print_config:
        _print_config(config)
        return

    if config.hardware.num_nodes > 1:
        # When a machine is lost, torch would print a stack of C++; read when torch is imported.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from pyg_stgcn.runs.claim import check_folder
    from pyg_stgcn.training.runner import train

    folder = out or _default_folder(config)
    check_folder(config, folder, resume=resume)
    check_benchmark(config)
    try:
        summary = train(config, folder, resume=resume)
    except Stopped as stop:
        if RunFiles(folder).is_started:
            stop.remedy = f"go on with {resume_command(folder, config.hardware.num_nodes)}"
        raise
    if not summary:
        return
    if as_json:
        print_json({**summary, "run": str(folder)})
    else:
        print_summary(summary, folder)
    if figure is not None:
        _draw(figure, folder, tell=not as_json)


def _draw(figure: Path, folder: Path, *, tell: bool) -> None:
    from pyg_stgcn.plots.curves import plot_curves
    from pyg_stgcn.runs.run_files import RunFiles
    from pyg_stgcn.studies.records import read_metrics

    plot_curves(figure, {"": read_metrics(RunFiles(folder).metrics)})
    if tell:
        echo(f"figure: {figure}")


command.params += record_options()
