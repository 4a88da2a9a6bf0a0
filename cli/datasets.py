"""``pyg-stgcn datasets``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyg_stgcn.cli._checks import NameType, check_runs
from pyg_stgcn.cli._figure import figure_option
from pyg_stgcn.cli._group import HelpfulGroup
from pyg_stgcn.cli._numbers import number
from pyg_stgcn.cli._output import echo, percent, print_json, print_table
from pyg_stgcn.cli._plain import option
from pyg_stgcn.errors import InputError
from pyg_stgcn.plots.figure_files import CLIP_FORMATS
from pyg_stgcn.ranges import FPS
from pyg_stgcn.text import readable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from pyg_stgcn.datasets import SkeletonDataset

#: Number of most often missing joints to print, and the longest bar of a histogram.
_WORST, _BAR = 3, 40

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
    """List, prepare and describe datasets."""


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


def _describe(name: str, dataset: SkeletonDataset) -> dict[str, Any]:
    import numpy as np

    frames, persons = dataset.num_frames, dataset.num_persons
    splits = {name: dataset.split_sizes(name) for name in dataset.benchmarks}
    return {
        "dataset": name,
        "clips": len(dataset),
        "classes": list(dataset.classes),
        "skeleton": dataset.skeleton.name,
        "joints": dataset.skeleton.num_joints,
        "channels": dataset.num_channels,
        "persons": {
            int(m): int(n) for m, n in zip(*np.unique(persons, return_counts=True), strict=True)
        },
        "frames": {
            "min": int(frames.min()),
            "median": float(np.median(frames)),
            "max": int(frames.max()),
        },
        "clips_per_class": np.bincount(
            dataset.labels[dataset.labels >= 0], minlength=dataset.num_classes
        ).tolist(),
        "unlabelled": int((dataset.labels < 0).sum()),
        "benchmarks": splits,
        "splits": dataset.splits,
        "skipped": dataset.skipped,
        "duplicates": dataset.duplicates,
        "leaks": {name: dataset.leaks(name) for name in dataset.benchmarks},
        "folder": str(Path(dataset.processed_dir)),
    }


def _look_through(dataset: SkeletonDataset) -> dict[str, Any]:
    """Statistics over all lengths and coordinates."""
    from pyg_stgcn.datasets.store.statistics import frame_histogram, missing_in

    missing, names = missing_in(dataset), dataset.skeleton.joints
    geometry = dataset.geometry
    worst = sorted(zip(missing.joints.tolist(), names, strict=True), reverse=True)[:_WORST]
    return {
        "frame_histogram": [
            {"from": low, "to": high, "clips": clips}
            for low, high, clips in frame_histogram(dataset.num_frames)
        ],
        "missing_joints": {
            "fraction": missing.fraction,
            "by_joint": dict(zip(names, missing.joints.tolist(), strict=True)),
            "worst": {joint: fraction for fraction, joint in worst if fraction > 0},
        },
        "frames_missing_a_person": missing.frames,
        "frames_missing_the_main_person": missing.main,
        "up": geometry.up,
        "lengths_in": "body sizes" if geometry.relative else "units of the data",
        "joint_heights": dict(zip(names, _finite(geometry.heights), strict=True)),
        "bones": [
            {"child": names[child], "parent": names[parent], "length": length, "variation": varies}
            for (child, parent), length, varies in zip(
                dataset.skeleton.bones,
                _finite(geometry.lengths),
                _finite(geometry.variation),
                strict=True,
            )
        ],
        "warnings": list(geometry.warnings),
    }


def _finite(values: NDArray[np.float64]) -> list[float | None]:
    """The numbers, with None for NaN, which JSON does not have."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _print_description(info: dict[str, Any], more: Iterable[tuple[str, str]] = ()) -> None:
    frames = info["frames"]
    print_table(
        ("", "value"),
        [
            ("clips", f"{info['clips']:,}"),
            ("classes", len(info["classes"])),
            ("skeleton", f"{info['skeleton']} ({info['joints']} joints)"),
            ("channels", info["channels"]),
            ("frames", f"{frames['min']} to {frames['max']}, median {frames['median']:g}"),
            *((f"clips with {m} person(s)", f"{n:,}") for m, n in info["persons"].items()),
            *(
                (f"{name}, {split}", f"{size:,}")
                for name, sizes in info["benchmarks"].items()
                for split, size in sizes.items()
            ),
            *((f"split {name}", f"{size:,}") for name, size in info["splits"].items()),
            *([("without a label", f"{info['unlabelled']:,}")] if info["unlabelled"] else []),
            *(
                (f"{name}, val that are copies of train", f"{len(leaks):,}")
                for name, leaks in info["leaks"].items()
                if leaks
            ),
            ("copies of other clips", f"{sum(len(same) - 1 for same in info['duplicates']):,}"),
            ("skipped, cannot be used", f"{len(info['skipped']):,}"),
            *more,
            ("prepared in", info["folder"]),
        ],
        title=info["dataset"],
    )


def _print_lengths(histogram: list[dict[str, int]]) -> None:
    from rich.progress_bar import ProgressBar

    most = max(row["clips"] for row in histogram)
    print_table(
        ("frames", "clips", ""),
        [
            (
                f"{row['from']} to {row['to']}",
                f"{row['clips']:,}",
                ProgressBar(most, row["clips"], width=_BAR),
            )
            for row in histogram
        ],
    )


def _print_joints(info: dict[str, Any]) -> None:
    """Print the heights of the joints, and their bones."""

    def shown(value: float | None, spec: str) -> str:
        return "" if value is None else format(value, spec)

    bones: dict[str, list[dict[str, Any]]] = {joint: [] for joint in info["joint_heights"]}
    for bone in info["bones"]:
        bones[bone["child"]].append(bone)
    rows = []
    for row, (joint, height) in enumerate(info["joint_heights"].items()):
        for bone in bones[joint] or [{"parent": "", "length": None, "variation": None}]:
            length, varies = shown(bone["length"], ".3g"), shown(bone["variation"], ".0%")
            rows.append((row, joint, shown(height, ".3g"), bone["parent"], length, varies))
    print_table(
        ("", "joint", f"height ({info['up']})", "bone to", "length", "varies by"),
        rows,
        title=f"mean heights above the root and lengths, in {info['lengths_in']}",
        texts=2,
    )


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
    info = {**_describe(where["name"], dataset), **_look_through(dataset)}
    if as_json:
        print_json(info)
    else:
        _print_info(info)
    if figure is None:
        return
    _draw(figure, info)
    if not as_json:
        echo(f"figure: {figure}")


def _print_info(info: dict[str, Any]) -> None:
    missing = info["missing_joints"]
    _print_description(
        info,
        [
            ("joints missing", percent(missing["fraction"])),
            *((f"  {joint}", percent(fraction)) for joint, fraction in missing["worst"].items()),
            ("frames missing a person", percent(info["frames_missing_a_person"])),
            ("frames missing the main person", percent(info["frames_missing_the_main_person"])),
        ],
    )
    _print_joints(info)
    _print_lengths(info["frame_histogram"])
    names = map(readable, info["classes"])
    per_class = zip(names, info["clips_per_class"], strict=True)
    print_table(("class", "clips"), per_class)
    if info["skipped"]:
        print_table(("skipped", "reason"), info["skipped"].items(), texts=2)


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
    info = _describe(where["name"], _open(**where))
    if as_json:
        print_json(info)
    else:
        _print_description(info)


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
