"""``pyg-stgcn profile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyg_stgcn.cli._output import print_json, print_table

if TYPE_CHECKING:
    from pyg_stgcn.models.backbone import Backbone

_POSITIVE = click.IntRange(min=1)


def _from_run(folder: Path) -> Backbone:
    from pyg_stgcn.training import Run

    model: Any = Run.open(folder).load_model()
    return model


def _from_name(name: str, skeleton: str, channels: int, graph: str | None) -> Backbone:
    from pyg_stgcn.models import create_model, list_models

    if name not in list_models():
        raise click.BadParameter(
            f"{name!r} is neither the folder of a run nor one of {', '.join(list_models())}",
            param_hint="MODEL",
        )
    options: dict[str, Any] = {} if graph is None else {"graph": graph}
    model: Any = create_model(name, 60, skeleton, base_channels=channels, **options)
    return model


@click.command("profile")
@click.argument("model", metavar="MODEL|RUN")
@click.option(
    "--skeleton",
    default="ntu25",
    show_default=True,
    metavar="NAME|FILE.json",
    help="Skeleton of a MODEL.",
)
@click.option("--channels", type=_POSITIVE, default=64, show_default=True, help="Width of a MODEL.")
@click.option("--graph", help="Graph of a MODEL.  [default: the model's published one]")
@click.option("--frames", type=_POSITIVE, default=100, show_default=True)
@click.option("--persons", type=_POSITIVE, default=2, show_default=True, help="In each clip.")
@click.option("--batch", type=_POSITIVE, default=1, show_default=True, help="Clips at once.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    model: str,
    skeleton: str,
    channels: int,
    graph: str | None,
    frames: int,
    persons: int,
    batch: int,
    device: str,
    as_json: bool,
) -> None:
    """Parameters, multiply-accumulates, time and memory of a MODEL, or of a trained RUN.

    Dense counts all weights and all pairs of joints, effective only those that are not zero. The
    classifier is counted, and named apart in the totals. Time is the median of repeated forward
    passes, memory what one of them allocates at most.
    """
    from pyg_stgcn.cli._device import check_device
    from pyg_stgcn.models.cost import count_macs, measure_forward, random_batch

    check_device(device)
    folder = Path(model)
    is_run = folder.is_dir()
    backbone = _from_run(folder) if is_run else _from_name(model, skeleton, channels, graph)
    backbone = backbone.to(device)
    clips = random_batch(backbone, batch, persons, frames)
    layers = count_macs(backbone, clips)
    milliseconds, peak = measure_forward(backbone, clips)
    head = sum(parameter.numel() for parameter in backbone.head.parameters())
    params = sum(parameter.numel() for parameter in backbone.parameters())
    totals = {
        "params": params,
        "params_without_head": params - head,
        "macs": sum(layer.macs for layer in layers),
        "effective_macs": sum(layer.effective_macs for layer in layers),
        "milliseconds": round(milliseconds, 2),
        "peak_bytes": peak,
    }
    if as_json:
        print_json({"model": model, **totals, "layers": [vars(layer) for layer in layers]})
        return
    print_table(
        ("layer", "kind", "parameters", "million MACs", "effective"),
        [
            (
                layer.name,
                layer.kind,
                f"{layer.params:,}",
                f"{layer.macs / 1e6:,.2f}",
                f"{layer.effective_macs / 1e6:,.2f}",
            )
            for layer in layers
        ],
        title=f"{model}, {batch} x {persons} persons, {frames} frames",
    )
    print_table(
        ("total", ""),
        [
            ("parameters", f"{params:,}"),
            ("without classifier", f"{params - head:,}"),
            ("GMACs, dense", f"{totals['macs'] / 1e9:.3f}"),
            ("GMACs, effective", f"{totals['effective_macs'] / 1e9:.3f}"),
            (f"milliseconds on {device}", totals["milliseconds"]),
            ("peak memory (MiB)", f"{peak / 2**20:.1f}"),
        ],
    )
