"""``pyg-stgcn datasets``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyg_stgcn.cli._checks import NameType, check_runs
from pyg_stgcn.cli._dataset_info import describe, look_through, print_description, print_info
from pyg_stgcn.cli._figure import figure_option
from pyg_stgcn.cli._group import HelpfulGroup
from pyg_stgcn.cli._numbers import number
from pyg_stgcn.cli._output import echo, print_json, print_table
from pyg_stgcn.cli._plain import option
from pyg_stgcn.cli.datasets_import import command as import_command
from pyg_stgcn.errors import InputError
from pyg_stgcn.plots.figure_files import CLIP_FORMATS
from pyg_stgcn.ranges import FPS

if TYPE_CHECKING:
    from torch import Tensor

    from pyg_stgcn.datasets import SkeletonDataset

_name = click.argument("name", type=NameType("dataset"), metavar="NAME|FILE.pkl")
_root = option(
    "--root", metavar="DIR", help="Folder of the datasets.  [default: data; a pickle's own folder]"
)
_source = option(
    "--source", metavar="FILE|DIR", help="Local copy of the dataset's archive or raw files."
)
_skeleton = option(
    "--skeleton",
    type=NameType("skeleton"),
    metavar="NAME|FILE.json",
    help="Skeleton of a pickle.",
)
_strict = option("--strict", is_flag=True, help="Stop at the first clip that cannot be used.")
_skip_bad = option(
    "--skip-bad", is_flag=True, help="Skip all clips that cannot be used, however many."
)
_json = option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group("datasets", cls=HelpfulGroup)
def command() -> None:
    """List, import, prepare and describe datasets."""


command.add_command(import_command)


def _open(
    name: str,
    root: str | None,
    source: str | None,
    skeleton: str | None,
    strict: bool = False,
    skip_bad: bool = False,
) -> SkeletonDataset:
    from pyg_stgcn.runs.opening import open_dataset
    from pyg_stgcn.runs.options import TrainOptions

    config = TrainOptions.of(
        dataset=name,
        root=root,
        source=source,
        skeleton=skeleton,
        strict=strict,
        skip_bad=skip_bad,
    )
    dataset = open_dataset(config, "all")
    _ = dataset.geometry  # Warns of joints in another order.
    return dataset


def _draw(figure: Path, info: dict[str, Any]) -> None:
    from pyg_stgcn.plots.data import plot_dataset

    plot_dataset(
        figure,
        {(row["from"], row["to"]): row["clips"] for row in info["frame_histogram"]},
        dict(zip(info["classes"], info["clips_per_class"], strict=True)),
        info["missing_joints"]["by_joint"],
        f"{info['dataset']}: {info['clips']:,} clips",
    )


def _class_name(dataset: SkeletonDataset, label: int) -> str:
    return dataset.classes[label] if label >= 0 else "not known"


def _trained_edges(run: Path, dataset: SkeletonDataset) -> Tensor:
    from pyg_stgcn.nn import edge_strength
    from pyg_stgcn.runs.folder import Run

    trained = Run.open(run)
    if trained.skeleton.joints != dataset.skeleton.joints:
        raise InputError(
            f"--run {run}: its skeleton {trained.skeleton.name!r} is not that of the clip, "
            f"{dataset.skeleton.name!r}: {trained.skeleton.difference(dataset.skeleton)}; name a "
            "run on data with the same one"
        )
    return edge_strength(trained.load_model())


@command.command("list")
@_json
def list_command(as_json: bool) -> None:
    """List the datasets that have a name."""
    from pyg_stgcn.datasets import describe_datasets

    rows = describe_datasets()
    if as_json:
        print_json(rows)
        return
    print_table(("name", "description"), rows.items(), texts=2)
    echo("Other data: give the path of a pickle in PYSKL's annotation format.")


@command.command("info")
@_name
@_root
@_source
@_skeleton
@_strict
@_skip_bad
@figure_option("the lengths, the classes and the missing joints")
@_json
def info_command(figure: Path | None, as_json: bool, **where: Any) -> None:
    """Describe a dataset, and prepare it first if necessary.

    A joint is missing if all its coordinates are zero (except for the root in 3-D poses relative to
    it), or if its score is zero. Missing joints are counted in the frames that show their person. A
    frame misses a person if at least one person of the clip is not in it. The main person is the
    one seen in the most frames; in 3-D, training drops the frames that miss it.

    The heights of the joints and the lengths of the bones are means over a sample of the clips. A
    warning appears if they do not fit the skeleton: the joints may be in another order.
    """
    dataset = _open(**where)
    info = {**describe(where["name"], dataset), **look_through(dataset)}
    if as_json:
        print_json(info)
    else:
        print_info(info)
    if figure is None:
        return
    _draw(figure, info)
    if not as_json:
        echo(f"figure: {figure}")


@command.command("prepare")
@_name
@_root
@_source
@_skeleton
@_strict
@_skip_bad
@_json
def prepare_command(as_json: bool, **where: Any) -> None:
    """Download a dataset or read its raw files, and store it for training."""
    info = describe(where["name"], _open(**where))
    if as_json:
        print_json(info)
    else:
        print_description(info)


@command.command("show")
@_name
@_root
@_source
@_skeleton
@_skip_bad
@option(
    "--clip",
    required=True,
    metavar="NAME|NUMBER",
    help="Name of the clip, or its number, counted from 0.",
)
@figure_option(
    "a strip of poses over time, or an animation (.gif),",
    formats=CLIP_FORMATS,
    required=True,
)
@option(
    "--run",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="A trained run; its graph sets the widths of the lines.",
)
@option(
    "--fps",
    type=number(FPS),
    default=20,
    show_default=True,
    help="Frames per second of an animation.",
)
def show_command(clip: str, figure: Path, run: Path | None, fps: int, **where: Any) -> None:
    """Draw a clip.

    Bones are coloured by side; missing joints are not drawn. With --run, the width of a line shows
    the mean weight of the edge in the trained graph, and the strongest edges that are not bones are
    drawn too.
    """
    if run is not None:
        check_runs(run)

    from pyg_stgcn.datasets.store.lookup import find_clip
    from pyg_stgcn.plots.clips import draw_clip

    dataset = _open(**where)
    data = dataset[find_clip(dataset, clip)]
    draw_clip(
        figure,
        data,
        dataset.skeleton,
        has_score=dataset.has_score,
        title=f"{dataset.name}: {data.name}\nclass: {_class_name(dataset, int(data.y))}",
        edge_weight=None if run is None else _trained_edges(run, dataset),
        fps=fps,
    )
    echo(f"figure: {figure}")
