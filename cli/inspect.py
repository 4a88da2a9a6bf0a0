"""``pyg-stgcn inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pyg_stgcn.cli._output import percent, print_json, print_table


@click.command("inspect")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(run: Path, as_json: bool) -> None:
    """Show what is left of each layer of RUN's trained model.

    A dead row is an output channel, and a dead column an input channel, without a kept weight.
    """
    from dataclasses import asdict

    from pyg_stgcn.models import Assembly
    from pyg_stgcn.training.assembly import assembly_facts
    from pyg_stgcn.training.rundir import Run, layer_reports, sparsity_facts

    trained = Run.open(run)
    model = trained.load_model()
    assembly = assembly_facts(trained, model) if isinstance(model, Assembly) else None
    layers = layer_reports(model, trained.config)
    totals = sparsity_facts(model, trained.config)
    empty = [layer.name for layer in layers if layer.empty]
    if as_json:
        rows = [{**asdict(layer), "sparsity": layer.sparsity} for layer in layers]
        more = {} if assembly is None else {"assembly": assembly}
        print_json({**totals, **more, "layers": rows, "empty": empty})
        return
    print_table(
        ("layer", "shape", "weights", "kept", "sparsity", "dead rows", "dead columns"),
        [
            (
                layer.name,
                "x".join(map(str, layer.shape)),
                f"{layer.numel:,}",
                f"{layer.kept:,}",
                percent(layer.sparsity),
                layer.dead_rows,
                layer.dead_cols,
            )
            for layer in layers
        ],
    )
    click.echo(
        f"kept {totals['maskable_kept']:,} of {totals['params_maskable']:,} maskable weights "
        f"(sparsity {percent(totals['sparsity'])}), "
        f"{percent(totals['density'])} of all {totals['params_total']:,} parameters"
    )
    if assembly is not None:
        _print_experts(assembly)
    for name in empty:
        click.echo(f"Warning: {name} lost all its weights", err=True)


def _print_experts(assembly: dict[str, Any]) -> None:
    print_table(
        ("expert", "model", "weights", "kept", "sparsity", "of all parameters"),
        [
            (
                number,
                expert["model"],
                f"{expert['params_maskable']:,}",
                f"{expert['maskable_kept']:,}",
                percent(expert["sparsity"]),
                percent(expert["density"]),
            )
            for number, expert in enumerate(assembly["experts"], start=1)
        ],
        texts=2,
    )
    click.echo(
        f"together {assembly['kept_of_one']:.3f} of one expert's maskable weights; "
        f"{assembly['params_kept']:,} parameters for a prediction, "
        f"{assembly['params_kept_of_one']:.3f} of those of one dense model"
    )
