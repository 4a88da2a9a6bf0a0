"""``pyg-stgcn export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pyg_stgcn.training import Run


def _has_score(run: Run, root: str | None) -> bool:
    from pyg_stgcn.training.evaluation import open_validation

    known = run.facts["data"].get("has_score")
    # Runs of earlier versions do not say it; their data do.
    return bool(open_validation(run, root).has_score if known is None else known)


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write.")
@click.option("--half", is_flag=True, help="Keep the weights in half precision.")
@click.option("--root", help="Folder of the datasets, for runs that do not tell about their data.")
def command(run: Path, out: Path, half: bool, root: str | None) -> None:
    """Write RUN's trained model into one file that needs neither the run nor its data.

    It holds the weights that are kept, the skeleton, the classes and how clips are prepared, and
    none of it is a pickle. In Python 'pyg_stgcn.runtime.load(FILE)' makes a model of it that skips
    its zeros.
    """
    from pyg_stgcn.runtime.files import save
    from pyg_stgcn.training import Run

    trained = Run.open(run)
    config = trained.config
    save(
        out,
        trained.load_model(),
        options=[{"name": name, **trained.options} for name in trained.backbones],
        classes=trained.classes,
        preprocessing={
            "stream": config.stream,
            "clip_frames": config.clip_frames,
            "has_score": _has_score(trained, root),
            "scale": config.scale,
            "num_persons": config.pad_persons,
        },
        half=half,
    )
    dense = trained.weights.stat().st_size
    size = out.stat().st_size
    click.echo(f"{out}: {size:,} bytes, {100 * size / dense:.1f} % of {trained.weights.name}")
