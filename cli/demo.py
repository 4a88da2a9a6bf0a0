"""``pyg-stgcn demo``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import click

from pyg_stgcn.cli._output import percent, print_json, print_table

_SPARSITIES = {"dense": 0.0, "sparse": 0.9}
_OPTIONS = {
    "--dataset": "synthetic",
    "--channels": "16",
    "--clip-frames": "24",
    "--epochs": "18",
    "--batch-size": "16",
    "--lr": "0.025",
    "--eval-clips": "1",
    "--accelerator": "cpu",
}


def _relay(label: str, lines: IO[str]) -> None:
    for line in lines:
        click.echo(f"{label:>6}: {line}", nl=False, err=True)


def _options(label: str, seed: int) -> dict[str, str]:
    return {**_OPTIONS, "--seed": str(seed), "--sparsity": str(_SPARSITIES[label])}


def _is_finished(folder: Path, options: dict[str, str]) -> bool:
    from pyg_stgcn.errors import InputError
    from pyg_stgcn.training.config import load_config

    if not (folder / "summary.json").exists():
        return False
    config, _ = load_config(folder / "config.json")
    for option, value in options.items():
        found = getattr(config, option.removeprefix("--").replace("-", "_"))
        if str(found) != value:
            raise InputError(
                f"{folder}: holds a run with {option} {found}, the demo needs {value}; "
                "name another folder with --out"
            )
    return True


def _start(folder: Path, options: dict[str, str], root: str) -> subprocess.Popen[str]:
    """Start a training in a process of its own: two small ones fill two cores, one does not."""
    options = {**options, "--root": root, "--out": str(folder)}
    words = [word for option in options.items() for word in option]
    if (folder / "config.json").exists():
        words.append("--resume")
    threads = str(max(1, (os.cpu_count() or 1) // len(_SPARSITIES)))
    return subprocess.Popen(
        [sys.executable, "-c", "from pyg_stgcn.cli import main; main()", "train", *words],
        env={"OMP_NUM_THREADS": threads, **os.environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _train(folders: dict[str, Path], root: str, seed: int) -> None:
    processes = {
        label: _start(folder, _options(label, seed), root) for label, folder in folders.items()
    }
    relays = []
    for label, process in processes.items():
        assert process.stderr is not None
        relays.append(threading.Thread(target=_relay, args=(label, process.stderr)))
        relays[-1].start()
    try:
        failed = [label for label, process in processes.items() if process.wait()]
    finally:
        for process in processes.values():
            process.kill()
        for relay in relays:
            relay.join()
    if failed:
        raise click.ClickException(f"the {failed[0]} training failed, see above")


@click.command("demo")
@click.option("--root", default="data", show_default=True, help="Folder of the datasets.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/demo"),
    show_default=True,
    help="Folder of the two runs.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(root: str, out: Path, seed: int, as_json: bool) -> None:
    """Train a dense and a 90 % sparse ST-GCN on embedded data; a few minutes on a CPU.

    Needs no download. Runs that are already in --out are not trained again, and unfinished ones
    are continued.
    """
    from pyg_stgcn.datasets import SyntheticActions
    from pyg_stgcn.training.callbacks import read_metrics
    from pyg_stgcn.training.plots import plot_curves

    folders = {label: out / f"{label}-seed{seed}" for label in _SPARSITIES}
    missing = {
        label: folder
        for label, folder in folders.items()
        if not _is_finished(folder, _options(label, seed))
    }
    if missing:
        SyntheticActions(root)
        click.echo(f"training in {' and '.join(map(str, missing.values()))}", err=True)
        _train(missing, root, seed)
    results: dict[str, dict[str, Any]] = {
        label: json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        for label, folder in folders.items()
    }
    picture = out / "curves.png"
    plot_curves(
        picture,
        {label: read_metrics(folder / "metrics.csv") for label, folder in folders.items()},
    )
    if as_json:
        print_json({"runs": results, "picture": str(picture)})
        return
    print_table(
        ("", *results),
        [
            ("top-1", *(percent(result["top1"]) for result in results.values())),
            ("mean class", *(percent(result["mean_class"]) for result in results.values())),
            ("kept weights", *(f"{result['maskable_kept']:,}" for result in results.values())),
            ("sparsity", *(percent(result["sparsity"]) for result in results.values())),
            ("seconds", *(result["seconds"] for result in results.values())),
        ],
        title="SyntheticActions, xsub",
    )
    click.echo(f"picture: {picture}")
