"""``pyg-stgcn bench``."""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyg_stgcn.cli._lists import ListsCommand, Names, WholeNumbers
from pyg_stgcn.cli._numbers import number
from pyg_stgcn.cli._output import echo, print_json, print_table
from pyg_stgcn.ranges import BATCH, FRAMES, PERSONS, PROCESSES, ROUNDS

if TYPE_CHECKING:
    from pyg_stgcn.profiling.measure import Measurement

#: Those of pyg_stgcn.profiling.backends, which would load torch.
_BACKENDS = ("eager", "compile", "onnx", "torch-sparse", "runtime")


@click.command("bench", cls=ListsCommand)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--backends",
    type=Names(_BACKENDS),
    help=f"Any of {', '.join(_BACKENDS)}; the others are compared with the first.  "
    "[default: all available ones]",
)
@click.option("--persons", type=WholeNumbers(PERSONS), default=(1, 2), show_default="1 2")
@click.option("--frames", type=number(FRAMES), help="[default: as the run was trained]")
@click.option(
    "--batch", type=WholeNumbers(BATCH), default=(1,), show_default="1", help="Clips at once."
)
@click.option("--threads", type=WholeNumbers(PROCESSES), default=(1,), show_default="1")
@click.option("--rounds", type=number(ROUNDS), default=15, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of table and figure.  [default: RUN]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    run: Path,
    backends: tuple[str, ...] | None,
    persons: tuple[int, ...],
    frames: int | None,
    batch: tuple[int, ...],
    threads: tuple[int, ...],
    rounds: int,
    device: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Time RUN's trained model by several backends, side by side.

    eager: the dense model in PyTorch; compile: the dense model by torch.compile; onnx: the dense
    model by onnxruntime; torch-sparse: sparse weights by torch-sparse; runtime: the model compiled
    by compile_sparse. Every round runs each backend once. The table shows medians, deciles, and the
    speed-up over the first backend in the same round. Memory is that of a forward pass, without the
    weights. Results are also written to bench.csv, bench.json and bench.png.
    """
    from pyg_stgcn.cli._device import check_device
    from pyg_stgcn.evaluation.run_backends import bench_run
    from pyg_stgcn.profiling.measure import Setting
    from pyg_stgcn.runs.folder import Run
    from pyg_stgcn.runs.run_files import RunFiles

    check_device(device)
    trained = Run.open(run)
    length = frames or trained.frames
    settings = [Setting(*sizes, length) for sizes in product(threads, batch, persons)]
    folder = trained.folder if out is None else out
    found = bench_run(
        trained,
        folder,
        backends,
        settings,
        rounds,
        device,
        tell=partial(echo, err=True),
    )
    if as_json:
        print_json([entry.to_dict() for entry in found])
        return
    print_table(
        ("setting", "backend", "ms", "deciles", "speed-up", "deciles", "MiB", "difference"),
        [_row(entry) for entry in found],
        title=f"{run}, {rounds} rounds",
        texts=2,
    )
    echo(f"figure: {RunFiles(folder).bench('png')}")


def _row(entry: Measurement) -> tuple[Any, ...]:
    setting = entry.setting
    memory = "" if entry.peak_bytes is None else f"{entry.peak_bytes / 2**20:.1f}"
    return (
        f"{setting.clips} x {setting.persons} persons, {setting.threads} threads",
        entry.backend,
        f"{entry.milliseconds:.2f}",
        f"{entry.fastest:.2f} to {entry.slowest:.2f}",
        f"{entry.ratio:.2f}",
        f"{entry.ratio_low:.2f} to {entry.ratio_high:.2f}",
        memory,
        f"{entry.difference:.0e}",
    )
