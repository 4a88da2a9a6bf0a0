"""``pyg-stgcn demo``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import click

from pyg_stgcn.cli._output import percent, print_json, print_table

_SPARSITIES = {"dense": 0.0, "90 % sparse": 0.9}


def _train_or_reuse(label: str, folder: Path, root: str | None, seed: int) -> dict[str, Any]:
    from pyg_stgcn.training import Run, TrainConfig, train

    config = TrainConfig(
        dataset="synthetic",
        root=root,
        channels=16,
        clip_frames=32,
        epochs=24,
        batch_size=16,
        lr=0.025,
        sparsity=_SPARSITIES[label],
        seed=seed,
        eval_clips=1,
        accelerator="cpu",
    )
    summary = folder / "summary.json"
    if summary.exists():
        found = Run.open(folder).config
        if found == config.with_recipe(0, str(found.benchmark)):
            click.echo(f"{label}: already trained in {folder}", err=True)
            content: dict[str, Any] = json.loads(summary.read_text(encoding="utf-8"))
            return content
        shutil.rmtree(folder)
    click.echo(f"{label}: training in {folder}", err=True)
    return train(config, folder, resume=folder.exists())


@click.command("demo")
@click.option("--root", help="Folder of the datasets.  [default: data; a pickle's own folder]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/demo"),
    show_default=True,
    help="Folder of the two runs.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(root: str | None, out: Path, seed: int, as_json: bool) -> None:
    """Train a dense and a 90 % sparse ST-GCN on embedded data; a few minutes on a CPU.

    Needs no download. Runs that are already in --out are not trained again.
    """
    from pyg_stgcn.training.callbacks import read_metrics
    from pyg_stgcn.training.plots import plot_curves

    folders = {label: out / label.replace(" % ", "-") for label in _SPARSITIES}
    results = {
        label: _train_or_reuse(label, folder, root, seed) for label, folder in folders.items()
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
