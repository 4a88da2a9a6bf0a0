"""``pyg-stgcn datasets``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from pyg_stgcn.cli._output import print_json, print_table

_name = click.argument("name", metavar="NAME|FILE.pkl")
_root = click.option(
    "--root", help="Folder of the datasets.  [default: data; a pickle's own folder]"
)
_source = click.option(
    "--source", metavar="FILE|FOLDER", help="Local copy of the dataset's archive or raw files."
)
_skeleton = click.option("--skeleton", metavar="NAME|FILE.json", help="Skeleton of a pickle.")
_strict = click.option(
    "--strict", is_flag=True, help="Stop at a clip that cannot be used, do not leave it out."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("datasets")
def command() -> None:
    """List, prepare and describe datasets."""


def _describe(
    name: str, root: str | None, source: str | None, skeleton: str | None, strict: bool
) -> dict[str, Any]:
    import numpy as np

    from pyg_stgcn.training import TrainConfig
    from pyg_stgcn.training.data import open_dataset

    config = TrainConfig(dataset=name, root=root, source=source, skeleton=skeleton, strict=strict)
    dataset = open_dataset(config, "all")
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
        "clips_per_class": np.bincount(dataset.labels, minlength=dataset.num_classes).tolist(),
        "benchmarks": splits,
        "skipped": dataset.skipped,
        "duplicates": dataset.duplicates,
        "leaks": {name: dataset.leaks(name) for name in dataset.benchmarks},
        "folder": str(Path(dataset.processed_dir)),
    }


def _print_description(facts: dict[str, Any]) -> None:
    frames = facts["frames"]
    print_table(
        ("", "value"),
        [
            ("clips", f"{facts['clips']:,}"),
            ("classes", len(facts["classes"])),
            ("skeleton", f"{facts['skeleton']} ({facts['joints']} joints)"),
            ("channels", facts["channels"]),
            ("frames", f"{frames['min']} to {frames['max']}, median {frames['median']:g}"),
            *((f"clips with {m} person(s)", f"{n:,}") for m, n in facts["persons"].items()),
            *(
                (f"{name}, {split}", f"{size:,}")
                for name, sizes in facts["benchmarks"].items()
                for split, size in sizes.items()
            ),
            *(
                (f"{name}, val that are copies of train", f"{len(leaks):,}")
                for name, leaks in facts["leaks"].items()
                if leaks
            ),
            ("copies of other clips", f"{sum(len(same) - 1 for same in facts['duplicates']):,}"),
            ("left out, cannot be used", f"{len(facts['skipped']):,}"),
            ("prepared in", facts["folder"]),
        ],
        title=facts["dataset"],
    )


@command.command("list")
@_json
def list_command(as_json: bool) -> None:
    """List the datasets that have a name."""
    from pyg_stgcn.datasets import DATASETS

    rows = {
        name: (sys.modules[kind.__module__].__doc__ or "").splitlines()[0]
        for name, kind in DATASETS.items()
    }
    if as_json:
        print_json(rows)
        return
    print_table(("name", "what it is"), rows.items())
    click.echo("Anything else: a pickle in PYSKL's annotation form, named by its path.")


@command.command("info")
@_name
@_root
@_source
@_skeleton
@_strict
@_json
def info_command(as_json: bool, **where: Any) -> None:
    """Describe a dataset (prepares it first where needed)."""
    facts = _describe(**where)
    if as_json:
        print_json(facts)
        return
    _print_description(facts)
    per_class = zip(facts["classes"], facts["clips_per_class"], strict=True)
    print_table(("class", "clips"), per_class)


@command.command("prepare")
@_name
@_root
@_source
@_skeleton
@_strict
@_json
def prepare_command(as_json: bool, **where: Any) -> None:
    """Read the raw files into the store that training opens."""
    facts = _describe(**where)
    if as_json:
        print_json(facts)
    else:
        _print_description(facts)
