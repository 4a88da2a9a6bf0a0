"""``pyg-stgcn bench``."""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyg_stgcn.cli._checks import check_runs
from pyg_stgcn.cli._figure import figure_option
from pyg_stgcn.cli._lists import ListsCommand, Names, WholeNumbers
from pyg_stgcn.cli._numbers import number
from pyg_stgcn.cli._output import echo, print_json, print_table
from pyg_stgcn.cli._plain import option
from pyg_stgcn.ranges import BATCH, FRAMES, PERSONS, PROCESSES, ROUNDS
from pyg_stgcn.text import count

if TYPE_CHECKING:
    from pyg_stgcn.profiling.measure import Measurement

#: The names in pyg_stgcn.profiling.backends, whose import would load torch.
_BACKENDS = (
    "eager",
    "shrunk",
    "compile",
    "onnx",
    "onnx-int8",
    "openvino",
    "openvino-bf16",
    "openvino-int8",
    "torch-sparse",
    "2:4",
    "runtime",
    "engine",
)


@click.command("bench", cls=ListsCommand)
@click.argument("run", type=click.Path(path_type=Path))
@option(
    "--backends",
    type=Names(_BACKENDS),
    help=f"Any of {', '.join(_BACKENDS)}; the first is the baseline.  "
    "[default: all available ones]",
)
@option(
    "--persons",
    type=WholeNumbers(PERSONS),
    default=(1, 2),
    show_default="1 2",
    help="Persons of each clip.",
)
@option("--frames", type=number(FRAMES), help="Frames of each clip.  [default: those of the run]")
@option(
    "--batch", type=WholeNumbers(BATCH), default=(1,), show_default="1", help="Clips of a batch."
)
@option(
    "--threads",
    type=WholeNumbers(PROCESSES),
    default=(1,),
    show_default="1",
    help="CPU threads.",
)
@option(
    "--rounds",
    type=number(ROUNDS),
    default=15,
    show_default=True,
    help="Timed runs of each backend.",
)
@option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for the table and the figure.  [default: RUN]",
)
@figure_option("the times", beside="bench.png in --out")
@option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
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
    figure: Path | None,
    as_json: bool,
) -> None:
    """Time the trained model of RUN with several backends.

    eager: the dense model in PyTorch; shrunk: the same without its pruned channels; compile: the
    dense model with torch.compile; onnx, openvino: the dense model in ONNX Runtime and OpenVINO, in
    float32, or with -bf16 and -int8 in bfloat16 and 8-bit integers; torch-sparse: sparse weights
    with torch-sparse; 2:4: weights of --structure 2:4 in float16, on a recent NVIDIA GPU; runtime:
    the model compiled by compile_sparse; engine: the compiled model in the C++ engine. Each round
    runs every backend once. The table shows medians, deciles, and the speed-up over the first
    backend in the same round. Memory is that of a forward pass, without the weights (engine: with
    them). Writes bench.csv, bench.json and bench.png into --out.
    """
    check_runs(run)

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
        figure=figure,
    )
    if as_json:
        print_json([entry.to_dict() for entry in found])
        return
    print_table(
        ("setting", "backend", "ms", "deciles", "speed-up", "deciles", "MiB", "difference"),
        [_row(entry) for entry in found],
        title=f"{run}, {count(rounds, 'round')}",
        texts=2,
    )
    echo(f"figure: {figure or RunFiles(folder).bench('png')}")


def _row(entry: Measurement) -> tuple[Any, ...]:
    setting = entry.setting
    memory = "" if entry.peak_bytes is None else f"{entry.peak_bytes / 2**20:.1f}"
    return (
        f"{setting.clips} x {count(setting.persons, 'person')}, {count(setting.threads, 'thread')}",
        entry.backend,
        f"{entry.milliseconds:.2f}",
        f"{entry.fastest:.2f} to {entry.slowest:.2f}",
        f"{entry.ratio:.2f}",
        f"{entry.ratio_low:.2f} to {entry.ratio_high:.2f}",
        memory,
        f"{entry.difference:.0e}",
    )
