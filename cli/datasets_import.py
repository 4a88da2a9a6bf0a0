"""``pyg-stgcn datasets import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyg_stgcn.cli._checks import NameType
from pyg_stgcn.cli._dataset_info import describe, look_through, print_description
from pyg_stgcn.cli._figure import figure_option
from pyg_stgcn.cli._numbers import number
from pyg_stgcn.cli._output import echo, percent, print_json, print_table
from pyg_stgcn.cli._plain import option
from pyg_stgcn.cli._pose_options import (
    fps_option,
    image_size_option,
    max_persons_option,
    skeleton_option,
)
from pyg_stgcn.plots.figure_files import check_figure
from pyg_stgcn.ranges import PART, SEED
from pyg_stgcn.text import count, readable, shell_word

if TYPE_CHECKING:
    from pyg_stgcn.datasets import SkeletonDataset
    from pyg_stgcn.datasets.importing.import_report import ImportReport

#: Reasons that are printed, and names for each.
_REASONS, _NAMES = 10, 3


@click.command("import")
@click.argument("folder", type=click.Path(path_type=Path), metavar="FOLDER")
@option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="FILE.pkl", help="The pickle."
)
@option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="Labels: a line name,label for every recording.  [default: names of the folders]",
)
@skeleton_option
@option(
    "--to",
    type=NameType("skeleton"),
    metavar="NAME|FILE.json",
    help="Layout to convert all recordings to.",
)
@image_size_option
@fps_option
@max_persons_option
@option("--per-person", is_flag=True, help="Make every person a clip of their own.")
@option("--split", type=number(PART), help="Fraction of every class for validation, such as 0.2.")
@option(
    "--split-by",
    metavar="REGEX",
    help=r"Regular expression of the group in a name, such as 's\d+' for subjects. A group stays"
    " on one side of the split.",
)
@option("--seed", type=number(SEED), default=0, show_default=True, help="Seed of the split.")
@option("--strict", is_flag=True, help="Stop if a recording cannot be used.")
@option("--skip-bad", is_flag=True, help="Skip all recordings that cannot be used, however many.")
@figure_option("one clip of each class, by default beside the pickle,")
@option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(folder: Path, out: Path, figure: Path | None, as_json: bool, **options: Any) -> None:
    """Import pose files of FOLDER into one pickle for training.

    Every pose file, and every folder of files of one frame each, is a clip. The folder around it is
    its class; folders train, val and test above that are splits. --labels names classes in a CSV
    file instead, with the columns name, label and, if needed, split, start and end in seconds (or
    first_frame and last_frame) and person.

    The figure shows one clip of each class: look at it before you train. Recordings that cannot be
    used are skipped and listed, up to half of all. A stopped import continues when it is called
    again.
    """
    figure = figure or out.with_suffix(".png")

    from pyg_stgcn.datasets.importing.import_options import ImportOptions
    from pyg_stgcn.datasets.importing.import_poses import check_output, import_poses
    from pyg_stgcn.datasets.skeleton_pickle import SkeletonPickle
    from pyg_stgcn.skeletons import get_skeleton

    check_output(out)
    check_figure(figure)
    for name in ("skeleton", "to"):
        options[name] = None if options[name] is None else get_skeleton(options[name])
    report = import_poses(folder, out, ImportOptions(**options))
    dataset = SkeletonPickle(out, split="all", force_reload=True)
    info = _summary(report, dataset)
    _draw(figure, dataset)
    if as_json:
        print_json(info | {"figure": str(figure)})
    else:
        _print_summary(info, report)
        echo(f"figure: {figure}\n{_next_step(report)}")


def _summary(report: ImportReport, dataset: SkeletonDataset) -> dict[str, Any]:
    """The report and the description of the dataset, for JSON and tables."""
    return {
        **describe(str(report.out), dataset),
        **look_through(dataset),
        "skipped": [{"name": name, "reason": reason} for name, reason in report.skipped],
        "recordings_with_more_persons": report.crowded,
    }


def _print_summary(info: dict[str, Any], report: ImportReport) -> None:
    from pyg_stgcn.datasets.importing.import_report import group_reasons

    print_description(info, [("joints missing", percent(info["missing_joints"]["fraction"]))])
    rows = zip(map(readable, info["classes"]), info["clips_per_class"], strict=True)
    print_table(("class", "clips"), rows)
    if report.crowded:
        echo(
            f"{count(report.crowded, 'recording')} with more persons than were kept; keep more "
            "with --max-persons"
        )
    groups = group_reasons(report.skipped)
    if groups:
        print_table(
            ("skipped", "such as", "reason"),
            [
                (f"{len(names):,}", ", ".join(names[:_NAMES]), reason)
                for reason, names in groups[:_REASONS]
            ],
            texts=3,
        )
    if len(groups) > _REASONS:
        echo(f"{len(groups) - _REASONS:,} more reasons; --json lists everything that was skipped")


def _draw(figure: Path, dataset: SkeletonDataset) -> None:
    """Draw the first clip of each class, or of some classes if there are many."""
    import numpy as np

    from pyg_stgcn.plots.clip_grid import MAX_CLIPS, draw_clips
    from pyg_stgcn.plots.clip_scene import evenly_spaced

    labels, first = np.unique(dataset.labels, return_index=True)
    chosen = evenly_spaced(len(labels), MAX_CLIPS)
    clips = {}
    for label, i in zip(labels[chosen].tolist(), first[chosen].tolist(), strict=True):
        name = dataset.classes[label] if label >= 0 else "not known"
        clip = dataset[i]
        short = clip.name.rsplit("/", 1)[-1]  # Without folders, which often are the class.
        clips[f"{name}: {short}, {count(clip.x.size(1), 'frame')}"] = clip
    some = "" if len(chosen) == len(labels) else f", {len(chosen)} of them"
    draw_clips(
        figure,
        clips,
        dataset.skeleton,
        has_score=dataset.has_score,
        title=f"{dataset.name}: a clip of each of {count(len(labels), 'class')}{some}",
    )


def _next_step(report: ImportReport) -> str:
    has_validation = bool(set(report.splits) - {"train"})
    if report.divided and not has_validation:
        return (
            f"before training, import again with --split 0.2: {count(report.divided, 'recording')} "
            "with several clips, which 'train --val-split' would take apart"
        )
    file, run = shell_word(str(report.out)), shell_word(f"runs/{report.out.stem}")
    division = "" if has_validation else " --val-split 0.2"
    return f"train with: pyg-stgcn train --dataset {file}{division} --out {run}"
