"""``pyg-stgcn lottery``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pyg_stgcn.cli import train
from pyg_stgcn.cli._checks import check_names, check_runs
from pyg_stgcn.cli._lists import Names
from pyg_stgcn.cli._messages import given_flags
from pyg_stgcn.cli._numbers import number
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
from pyg_stgcn.ranges import PART, ROUNDS, whole
from pyg_stgcn.text import count

#: Options of 'train' that a lottery sets itself, and those that change masks during training.
_OWN = train.MASKING - {"include", "exclude", "allocation", "min_density", "score_scale"}
_OWN |= {"init", "freeze_backbone", "levels", "experts", "learned_weights"}
_OWN |= {"ticket", "redraw", "save_epoch"}
_OWN |= {"seed"}

#: Options of the search for masks, which --from replaces.
_SEARCH = (
    *("rounds", "rate", "final_sparsity", "one_shot", "seeds"),
    *("include", "exclude", "allocation", "min_density", "score_scale"),
)
#: Options that are passed on unchanged, and all options of the lottery itself.
_AS_THEY_ARE = ("rewind_epoch", "one_shot", "allocation", "min_density", "score_scale")
_LOTTERY = (*_AS_THEY_ARE, "rounds", "rate", "final_sparsity", "controls", "seeds", "from")


@click.command("lottery", cls=GroupedCommand, context_settings={"max_content_width": 100})
@option(
    "--rounds", type=number(ROUNDS), default=8, show_default=True, help="Number of pruning rounds."
)
@option(
    "--rate",
    type=number(PART),
    help="Fraction of the remaining weights that each round prunes.  [default: 0.2]",
)
@option(
    "--final-sparsity", type=number(PART), help="Sparsity after the last round, instead of --rate."
)
@option(
    "--rewind-epoch",
    type=number(whole(0, 1_000_000)),
    help="Epoch that the weights are set back to; 0: the initialisation.  "
    "[default: 1 % of the epochs, at least 1]",
)
@option(
    "--one-shot",
    is_flag=True,
    help="Prune the dense network in one step for each sparsity, without rounds.",
)
@option(
    "--from",
    type=click.Path(path_type=Path),
    metavar="RUN",
    multiple=True,
    help="Take the masks of a finished sparse run instead of pruning. Repeatable, one run a seed.",
)
@option(
    "--controls",
    type=Names(["random", "redrawn", "none"]),
    default=("random", "redrawn"),
    show_default="random redrawn",
    help="Controls: random masks, the ticket's masks with redrawn weights, or none.",
)
@study_options("runs/lottery", seeds=(0, 1, 2))
@click.pass_context
def command(
    ctx: click.Context,
    jobs: int,
    launcher: StudyLauncher,
    print_commands: bool,
    out: Path,
    config_file: Path | None,
    figure: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find lottery tickets by pruning, rewinding and training.

    Each round prunes the smallest of the remaining weights, sets the others back to an early epoch,
    and trains them from there. Two controls show the value of a ticket: random masks with the same
    density in each layer ('random'), and the ticket's masks with new weights ('redrawn'). With
    --from, the masks come from sparse runs instead of the rounds.

    All other options are those of 'train'. Finished runs are not trained again, and unfinished ones
    are continued. Writes lottery.json, lottery.csv and lottery.png into --out, and the tickets into
    --out/tickets. 'train --ticket' trains a ticket on the same or on other data.

    --print-commands prints the independent runs of one round. When they are done, the same command
    prints those of the next round.
    """
    _check_usage(ctx, options)
    check_runs(*options["from"])

    lottery = _make(ctx, out, config_file, options)
    later = lottery.num_runs
    with launcher(out) as place:
        for name, planned in lottery.stages():
            later -= len(planned)
            if train_missing(name, planned, place, jobs, only_print=print_commands, later=later):
                return
    if print_commands:
        return
    result = lottery.summarise(figure)
    if as_json:
        print_json(result)
        return
    print_table(
        (
            *("", "kept", "of all parameters", "seeds", "top-1", "mean class"),
            *("to dense (95 %)", "ticket's lead (95 %)", ""),
        ),
        [_cells(row) for row in result["rows"]],
        title=f"{lottery.options['dataset']}, rewound to epoch {result['rewind_epoch']}",
    )
    echo(f"{result['verdict']}\ntable: {result['csv']}\nfigure: {figure or result['png']}")


def _check_usage(ctx: click.Context, options: dict[str, Any]) -> None:
    if options["rate"] is not None and options["final_sparsity"] is not None:
        raise click.UsageError("--rate and --final-sparsity say the same; leave one out")
    if options["from"]:
        for flag in given_flags(ctx, _SEARCH):
            raise click.UsageError(f"--from takes masks and seeds from runs; leave {flag} out")


def _make(ctx: click.Context, out: Path, config_file: Path | None, options: dict[str, Any]) -> Any:
    own = {name: options.pop(name) for name in _LOTTERY}
    given = configured(ctx, options, config_file)
    check_names(given)

    from pyg_stgcn.sparsity import rate_for
    from pyg_stgcn.studies.lotteries import Lottery, planned_run, rewind_epoch, runs_by_seed

    rounds, rate = own["rounds"], own["rate"] or 0.2
    if own["final_sparsity"] is not None:
        rate = rate_for(rounds, own["final_sparsity"])
    dense = planned_run(given, out)
    epochs = dense.config.optim.epochs
    assert epochs is not None
    if own["rewind_epoch"] is None:
        own["rewind_epoch"] = rewind_epoch(epochs)
    elif own["rewind_epoch"] not in range(epochs):
        raise click.BadParameter(
            f"{own['rewind_epoch']}: the runs have {count(epochs, 'epoch')}; choose one before the "
            "last, or 0",
            param_hint="--rewind-epoch",
        )
    sources = runs_by_seed(own["from"], dense)
    return Lottery(
        folder=out,
        options=given,
        seeds=list(sources) or own["seeds"],
        rounds=1 if sources else rounds,
        rate=rate,
        controls=[control for control in own["controls"] if control != "none"],
        sources=sources,
        **{name: own[name] for name in _AS_THEY_ARE},
    )


command.params += record_options(_OWN, allocation="global", min_density=0.0, score_scale="none")


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        row["variant"],
        f"{100 * row['kept']:.3g} %",
        f"{100 * row['params_kept_fraction']:.3g} %",
        row["seeds"],
        with_deviation(row),
        percent(row["mean_class"]),
        difference(row),
        difference(row, "lead"),
        "wins" if row["wins"] else "",
    )
