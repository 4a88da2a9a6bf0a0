"""``pyg-stgcn profile``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyg_stgcn.cli._checks import NameType
from pyg_stgcn.cli._figure import figure_option
from pyg_stgcn.cli._numbers import number
from pyg_stgcn.cli._output import echo, print_json, print_table, sparsity_rows
from pyg_stgcn.cli._plain import option
from pyg_stgcn.names import BACKBONES
from pyg_stgcn.ranges import BATCH, CHANNELS, FRAMES, PERSONS
from pyg_stgcn.runs.run_files import RunFiles
from pyg_stgcn.text import count, suggestion

if TYPE_CHECKING:
    from torch import Tensor

    from pyg_stgcn.models.backbone import Backbone
    from pyg_stgcn.profiling.cost import LayerCost


def _check_model(name: str) -> None:
    if name not in BACKBONES:
        raise click.BadParameter(
            f"{name!r} is neither the folder of a run nor one of {', '.join(BACKBONES)}"
            f"{suggestion(name, BACKBONES)}",
            param_hint="MODEL",
        )


def _from_run(folder: Path) -> tuple[Backbone, dict[str, Any]]:
    """The model of a run, and a summary of its kept weights."""
    from pyg_stgcn.runs.folder import Run
    from pyg_stgcn.runs.run_sparsity import sparsity_summary

    run = Run.open(folder)
    model: Any = run.load_model()
    return model, sparsity_summary(model, run, run.load_masks(model))


def _from_name(name: str, skeleton: str, channels: int, graph: str | None) -> Backbone:
    from pyg_stgcn.models import create_model

    options: dict[str, Any] = {} if graph is None else {"graph": graph}
    model: Any = create_model(name, 60, skeleton, base_channels=channels, **options)
    return model


@click.command("profile")
@click.argument("model", metavar="MODEL|RUN")
@option(
    "--skeleton",
    type=NameType("skeleton"),
    default="ntu25",
    show_default=True,
    metavar="NAME|FILE.json",
    help="Skeleton of a MODEL.",
)
@option(
    "--channels",
    type=number(CHANNELS),
    default=64,
    show_default=True,
    help="Channels of the first stage of a MODEL.",
)
@option(
    "--graph",
    type=NameType("graph"),
    help="Graph of a MODEL.  [default: the model's published one]",
)
@option(
    "--frames", type=number(FRAMES), default=100, show_default=True, help="Frames of each clip."
)
@option(
    "--persons", type=number(PERSONS), default=2, show_default=True, help="Persons of each clip."
)
@option("--batch", type=number(BATCH), default=1, show_default=True, help="Clips of a batch.")
@option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@figure_option("the cost of each layer")
@option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    model: str,
    skeleton: str,
    channels: int,
    graph: str | None,
    frames: int,
    persons: int,
    batch: int,
    device: str,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Count parameters and MACs of a MODEL or RUN, and time it.

    MACs are multiply-accumulates. Dense MACs count all weights and all pairs of joints; effective
    MACs count only those that are not zero. The time is the median of repeated forward passes; the
    memory is the peak of one pass. For a RUN, the sparsity is shown too, and the network without
    its pruned channels, if these are at least a quarter.
    """
    folder = Path(model)
    if folder.is_dir():
        RunFiles(folder).check_is_run()
    else:
        _check_model(model)

    from pyg_stgcn.cli._device import check_device
    from pyg_stgcn.models import random_clips, shrink
    from pyg_stgcn.models.shrinking import has_pruned_channels

    check_device(device)
    kept: dict[str, Any] = {}
    if folder.is_dir():
        backbone, kept = _from_run(folder)
    else:
        backbone = _from_name(model, skeleton, channels, graph)
    backbone = backbone.to(device)
    layers, totals = _measure(backbone, random_clips(backbone, batch, persons, frames))
    if has_pruned_channels(backbone):
        small = shrink(backbone)
        _, found = _measure(small, random_clips(small, batch, persons, frames))
        totals["shrunken"] = found
    title = f"{model}, {batch} x {count(persons, 'person')}, {count(frames, 'frame')}"
    rows = [vars(layer) for layer in layers]
    if as_json:
        print_json({"model": model, **totals, **kept, "layers": rows})
    else:
        _print_tables(layers, totals, kept, title, device)
    if figure is None:
        return

    from pyg_stgcn.plots.costs import plot_costs

    plot_costs(figure, rows, f"cost of each layer: {title}")
    if not as_json:
        echo(f"figure: {figure}")


def _print_tables(
    layers: Sequence[LayerCost],
    totals: dict[str, Any],
    kept: dict[str, Any],
    title: str,
    device: str,
) -> None:
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
        title=title,
    )
    print_table(
        ("total", ""),
        [
            ("parameters", f"{totals['params_total']:,}"),
            ("without classifier", f"{totals['params_without_head']:,}"),
            *(sparsity_rows(kept) if kept else ()),
            ("GMACs, dense", f"{totals['macs'] / 1e9:.3f}"),
            ("GMACs, effective", f"{totals['effective_macs'] / 1e9:.3f}"),
            (f"milliseconds on {device}", totals["milliseconds"]),
            ("peak memory (MiB)", f"{totals['peak_bytes'] / 2**20:.1f}"),
            *_shrunken_rows(totals, device),
        ],
    )


def _shrunken_rows(totals: dict[str, Any], device: str) -> list[tuple[str, Any]]:
    """The totals of the network without pruned channels, if there are any."""
    if "shrunken" not in totals:
        return []
    small = totals["shrunken"]
    return [
        ("without pruned channels: parameters", f"{small['params_total']:,}"),
        ("without pruned channels: GMACs", f"{small['macs'] / 1e9:.3f}"),
        (f"without pruned channels: milliseconds on {device}", small["milliseconds"]),
    ]


def _measure(
    backbone: Backbone, clips: tuple[Tensor, Tensor, int]
) -> tuple[list[LayerCost], dict[str, Any]]:
    """The cost of each layer, and the totals."""
    from pyg_stgcn.profiling.cost import count_macs, measure_forward

    layers = count_macs(backbone, clips)
    milliseconds, peak = measure_forward(backbone, clips)
    head = sum(parameter.numel() for parameter in backbone.head.parameters())
    params = sum(parameter.numel() for parameter in backbone.parameters())
    return layers, {
        "params_total": params,
        "params_without_head": params - head,
        "macs": sum(layer.macs for layer in layers),
        "effective_macs": sum(layer.effective_macs for layer in layers),
        "milliseconds": round(milliseconds, 2),
        "peak_bytes": peak,
    }
