"""``pyg-stgcn evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from pyg_stgcn.cli._output import percent, print_json, print_table


@click.command("evaluate")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--clips",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Clips whose probabilities are averaged.",
)
@click.option("--root", help="Folder of the datasets, if it has moved.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(run: Path, clips: int, root: str | None, device: str, as_json: bool) -> None:
    """Judge the trained model of RUN on its validation clips.

    Writes evaluation.json, the class probabilities (predictions.npz) and the confusion matrix
    (confusion.csv, confusion.png) into RUN.
    """
    from pyg_stgcn.cli._device import check_device
    from pyg_stgcn.training import evaluate_run

    check_device(device)
    result = evaluate_run(run, num_clips=clips, device=device, root=root)
    if as_json:
        print_json(result)
        return
    print_table(
        ("", "value"),
        [
            ("top-1", percent(result["top1"])),
            ("top-5", percent(result["top5"])),
            ("mean class", percent(result["mean_class"])),
            ("samples", result["samples"]),
            ("clips averaged", result["clips"]),
        ],
        title=f"{result['dataset']}, {result['benchmark']}",
    )
    click.echo(f"confusion matrix: {result['confusion_csv']}, {result['confusion_png']}")
