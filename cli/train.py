"""``pyg-stgcn train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from pyg_stgcn.cli._checks import check_benchmark, check_names
from pyg_stgcn.cli._lists import ListsCommand, Numbers, Words
from pyg_stgcn.cli._numbers import training_option
from pyg_stgcn.cli._output import print_json, print_summary
from pyg_stgcn.cli._study import given_options
from pyg_stgcn.ranges import TRAINING

#: Which weights are masked, and how: what a ticket brings along.
MASKING = {"sparsity", "edge_sparsity", "method", "include", "exclude", "structure", "allocation"}
MASKING |= {
    "min_density",
    "score_scale",
    "penalty",
    "penalty_groups",
    "schedule",
    "mask_update_every",
}
MASKING |= {"freeze_after", "warmup", "ramp_end", "score_lr", "score_weight_decay"}


def _parse_augment(
    ctx: click.Context, param: click.Parameter, words: tuple[str, ...]
) -> dict[str, float]:
    if not words:
        return {}
    from pyg_stgcn.errors import InputError
    from pyg_stgcn.runs.augmentation import make_augmentations, parse_augmentations
    from pyg_stgcn.skeletons import get_skeleton

    try:
        values = parse_augmentations(words)
        make_augmentations(values, get_skeleton("ntu25"))
    except InputError as error:
        raise click.BadParameter(str(error)) from None
    return values


def _resumed_config(ctx: click.Context, folder: Path, options: dict[str, Any]) -> Any:
    from dataclasses import replace

    from pyg_stgcn.runs.claim import never_began
    from pyg_stgcn.runs.options import PLACEMENT, load_config
    from pyg_stgcn.runs.paths import absolute_options, is_file, with_absolute_paths
    from pyg_stgcn.runs.run_files import RunFiles

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
        if name not in PLACEMENT | moved and getattr(config, name) != value:
            raise click.UsageError(
                f"--{name.replace('_', '-')} {value}: the run in {folder} was started with "
                f"{getattr(config, name)}; leave the option out, or start again in another --out"
            )
    return replace(config, **{name: given[name] for name in (PLACEMENT | moved) & set(given)})


def _default_folder(config: Any) -> Path:
    dataset = Path(config.dataset).stem
    parts = [dataset, config.benchmark, config.architecture.replace(" ", ""), config.stream]
    pruned = "sparsity" + "-".join(f"{level:g}" for level in config.levels or [config.sparsity])
    if config.ticket is not None:
        pruned = f"ticket-{Path(config.ticket).stem}{'-redrawn' if config.redraw else ''}"
    parts += [pruned, f"seed{config.seed}"]
    return Path("runs") / "-".join(str(part) for part in parts if part)


@click.command("train", cls=ListsCommand)
@click.option("--dataset", metavar="NAME|FILE.pkl", help="Dataset, or a pickle in PYSKL form.")
@click.option("--root", help="Folder of the datasets.  [default: data; a pickle's own folder]")
@click.option(
    "--source", metavar="FILE|FOLDER", help="Local copy of the dataset's archive or raw files."
)
@click.option("--skeleton", metavar="NAME|FILE.json", help="Skeleton of a pickle.")
@click.option("--benchmark", help="Train/validation split, e.g. xsub.  [default: the first]")
@click.option(
    "--strict", is_flag=True, help="Stop at a clip that cannot be used, do not leave it out."
)
@click.option(
    "--skip-bad", is_flag=True, help="Leave out clips that cannot be used, however many they are."
)
@click.option(
    "--drop-leaks",
    is_flag=True,
    help="Leave out validation clips that are copies of training clips.",
)
@training_option(
    "--val-split",
    help="For data without validation clips: the fraction of each class's training clips to take, "
    "such as 0.2.",
)
@click.option(
    "--val", metavar="FILE.pkl", help="For data without validation clips: a pickle with these."
)
@training_option(
    "--hold-out",
    default=0.0,
    show_default=True,
    help="Training clips to leave out, for 'fuse --search'.",
)
@click.option("--model", default="stgcn", show_default=True, help="Backbone.")
@click.option(
    "--levels",
    type=Numbers(TRAINING["levels"]),
    callback=lambda ctx, param, value: list(value or ()),
    help="Train an assembly: the sparsity of each expert, e.g. 0.6 0.8 0.95 0.99.",
)
@click.option(
    "--experts",
    type=Words(),
    callback=lambda ctx, param, value: list(value) if value else None,
    help="Backbone of each expert.  [default: --model for all]",
)
@click.option(
    "--learned-weights", is_flag=True, help="Learn how much each expert counts in the mean."
)
@click.option(
    "--init",
    metavar="RUN|FILE",
    help="Weights to start from: a run, its model.safetensors or checkpoints/best.ckpt, or a "
    "checkpoint of PYSKL.",
)
@click.option("--freeze-backbone", is_flag=True, help="Train nothing but the classifier.")
@click.option(
    "--skip-zeros",
    is_flag=True,
    help="Leave pruned weights out of the training steps, for speed: ST-GCN on a CPU, not with the "
    "methods score and feedback.",
)
@click.option("--ticket", metavar="FILE", help="Lottery ticket to train, from its epoch on.")
@click.option("--redraw", is_flag=True, help="Take the ticket's masks only, with new weights.")
@training_option(
    "--save-epoch",
    help="Keep a dense run's weights of this epoch, to rewind to; 0: the initialisation.",
)
@click.option(
    "--graph",
    default="random",
    show_default=True,
    help="A partition (stgcn_spatial, spatial, ...), or 'random': learnable, over all joints.",
)
@training_option(
    "--partitions",
    help="Partitions of the random graph.  [default: 8 for dgstgcn, 3 for others]",
)
@click.option(
    "--stream",
    default="joint",
    show_default=True,
    help="joint, bone, joint-motion or bone-motion; several joined by '+'.",
)
@training_option("--channels", help="Width of the first stage.  [default: 64 or 16]")
@training_option("--clip-frames", help="Frames a clip.  [default: 100 or 48]")
@training_option(
    "--pad-persons",
    help="Fill clips up to so many persons, as older toolboxes do with 2.  [default: none]",
)
@click.option(
    "--scale/--no-scale",
    default=True,
    show_default=True,
    help="Divide 3-D clips by their mean bone length.",
)
@training_option(
    "--rotation",
    default=0.3,
    show_default=True,
    help="Random rotations up to so many radians.",
)
@training_option(
    "--scaling",
    default=0.1,
    show_default=True,
    help="Random factors of the axes, up to so much from 1.",
)
@click.option(
    "--augment",
    metavar="NAME[=VALUE]",
    multiple=True,
    callback=_parse_augment,
    help="mirror=0.5 (probability), crop=0.5 (smallest share), speed=0.2 (largest change), "
    "noise=0.01 (deviation), joint-dropout=0.1 or frame-loss=0.25 (share). Repeatable.",
)
@training_option("--sparsity", default=0.0, show_default=True, help="Weights to prune.")
@training_option(
    "--edge-sparsity",
    default=0.0,
    show_default=True,
    help="Edges of the graph to prune.",
)
@click.option(
    "--method",
    type=click.Choice(["feedback", "magnitude", "score", "released", "rigl", "set", "random"]),
    default="feedback",
    show_default=True,
    help="Keep the largest weights, and train pruned ones along or leave them alone; those with "
    "the highest learned scores, by our settings or those of the paper's release; a few that are "
    "exchanged by gradient or by lot; or any.",
)
@click.option(
    "--include",
    metavar="PATTERN,...",
    help="Names of the parameters to mask, e.g. 'stages.*.tcn.*'.  [default: all weights]",
)
@click.option(
    "--exclude",
    metavar="PATTERN,...",
    default="head.*",
    show_default=True,
    help="Those to leave dense.",
)
@click.option(
    "--structure",
    type=click.Choice(["unstructured", "block8", "channel", "2:4"]),
    default="unstructured",
    show_default=True,
    help="Prune single weights, blocks of eight output channels, whole output channels, or two of "
    "every four inputs.",
)
@click.option(
    "--allocation",
    type=click.Choice(["global", "uniform", "erk"]),
    help="Prune by one threshold, all layers alike, or small layers less.  [default: erk; global "
    "for released]",
)
@training_option(
    "--min-density",
    help="What each layer keeps at least, as a share of what it would keep if all kept alike.  "
    "[default: 0.25; 0 for released]",
)
@click.option(
    "--score-scale",
    type=click.Choice(["fan_in", "none"]),
    help="How layers compare under one threshold.  [default: fan_in; none for released]",
)
@training_option(
    "--penalty",
    default=0.0,
    show_default=True,
    help="Strength of a group lasso on what is about to be pruned, such as 0.0001.",
)
@click.option(
    "--penalty-groups",
    type=click.Choice(["filter", "input", "layer", "all"]),
    default="filter",
    show_default=True,
    help="Its groups.",
)
@click.option(
    "--schedule",
    type=click.Choice(["constant", "step", "linear", "cubic"]),
    help="How the sparsity grows.  [default: constant for rigl, set and random, step for released; "
    "else cubic]",
)
@training_option(
    "--mask-update-every",
    help="Steps from one change of the masks to the next.  [default: 100 for rigl and set, or 30 "
    "changes in a short training; else 1]",
)
@training_option(
    "--freeze-after",
    help="Share of the training after which masks stand still.  [default: 0.75 for rigl and set]",
)
@training_option(
    "--warmup",
    help="Share of the training before the sparsity grows.  [default: 0.6 for released; else 0]",
)
@training_option(
    "--ramp-end",
    help="Share of the training at which it is reached.  [default: 0.3, counted from the warm-up]",
)
@training_option(
    "--score-lr",
    help="Learning rate of --method score's scores.  [default: ten times --lr; --lr for released]",
)
@training_option(
    "--score-weight-decay",
    help="Weight decay of the scores.  [default: 0; --weight-decay for released]",
)
@training_option("--epochs", help="Passes over the clips.  [default: 80 or 100]")
@training_option("--batch-size", help="Clips a step, over all devices.  [default: 128 or 16]")
@training_option(
    "--lr",
    help="Learning rate at the start; cosine to zero.  [default: 0.1 for a batch of 128 or 0.025 "
    "for one of 16, in proportion for others]",
)
@training_option("--weight-decay", help="L2 penalty.  [default: 0.0005 or 0.01]")
@training_option("--dropout", default=0.0, show_default=True, help="Before the classifier.")
@training_option("--label-smoothing", default=0.1, show_default=True)
@click.option(
    "--class-weights",
    metavar="balanced|FILE.csv",
    help="Weights of the classes in the loss: 'balanced' (all classes count equally), or a file of "
    "lines 'class,weight'.",
)
@click.option(
    "--balanced-sampler", is_flag=True, help="Draw training clips of every class equally often."
)
@training_option("--seed", default=0, show_default=True)
@training_option(
    "--eval-views",
    default=10,
    show_default=True,
    help="Views of each clip that the final evaluation averages over.",
)
@training_option(
    "--num-workers",
    default=0,
    show_default=True,
    help="Processes that prepare batches.",
)
@click.option("--accelerator", default="auto", show_default=True, help="auto, cpu, gpu, ...")
@click.option("--devices", default="auto", show_default=True, help="Processes or GPUs a machine.")
@training_option("--num-nodes", default=1, show_default=True, help="Machines.")
@click.option("--strategy", default="auto", show_default=True, help="auto, ddp, ...")
@click.option(
    "--precision",
    default="32-true",
    show_default=True,
    help="32-true, 16-mixed, bf16-mixed or 64-true.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Run directory.  [default: runs/<what is trained>]",
)
@click.option("--resume", is_flag=True, help="Continue the run in --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_context
def command(
    ctx: click.Context, out: Path | None, resume: bool, as_json: bool, **options: Any
) -> None:
    """Train and prune one model.

    Where two defaults are given, the first is the published recipe and the second the one for
    fewer than 5,000 training clips, with more epochs for fewer than 430.

    The run directory holds config.json, metrics.csv, curves.png, checkpoints/, the weights and
    summary.json. Killed runs go on with --resume and end as if they had never been stopped.
    """
    if resume and out is None:
        raise click.UsageError("--resume needs --out DIR, the folder of the run to continue")
    if not resume and options["dataset"] is None:
        raise click.UsageError("--dataset is missing; 'pyg-stgcn datasets list' names some")

    if options["val"] is not None and options["val_split"] is not None:
        raise click.UsageError("--val and --val-split exclude each other; leave one out")

    if options["freeze_backbone"] and options["init"] is None:
        raise click.UsageError("--freeze-backbone needs --init, the weights that are frozen")

    if options["redraw"] and options["ticket"] is None:
        raise click.UsageError("--redraw needs --ticket, the file whose weights are drawn again")

    if options["ticket"] is not None:
        for name in sorted(MASKING):
            if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise click.UsageError(
                    f"--ticket brings its own masks; leave --{name.replace('_', '-')} out"
                )

    from pyg_stgcn.runs.options import TrainConfig
    from pyg_stgcn.runs.run_files import RunFiles, resume_command
    from pyg_stgcn.signals import Stopped
    from pyg_stgcn.training.runner import train

    if resume and out is not None:
        config = _resumed_config(ctx, out, options)
        if RunFiles(out).is_finished:
            raise click.UsageError(f"{out}: the run is finished; see its summary.json")
    else:
        config = TrainConfig(**options)
    check_names(config)
    check_benchmark(config)
    folder = out or _default_folder(config)
    try:
        summary = train(config, folder, resume=resume)
    except Stopped as stop:
        if RunFiles(folder).is_started:
            stop.remedy = f"go on with {resume_command(folder)}"
        raise
    if not summary:
        return
    if as_json:
        print_json({**summary, "run": str(folder)})
    else:
        print_summary(summary, folder)
