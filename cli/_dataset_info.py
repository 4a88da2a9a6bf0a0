"""The description of a dataset: numbers of clips, joints and lengths, as tables and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyg_stgcn.cli._output import percent, print_table
from pyg_stgcn.text import readable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyg_stgcn.datasets import SkeletonDataset

#: Number of most often missing joints to print, and the longest bar of a histogram.
_WORST, _BAR = 3, 40


def describe(name: str, dataset: SkeletonDataset) -> dict[str, Any]:
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


def look_through(dataset: SkeletonDataset) -> dict[str, Any]:
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


def print_description(info: dict[str, Any], more: Iterable[tuple[str, str]] = ()) -> None:
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


def print_info(info: dict[str, Any]) -> None:
    missing = info["missing_joints"]
    print_description(
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
