"""``pyg-stgcn export``."""

from __future__ import annotations

from pathlib import Path

import click

from pyg_stgcn.cli._checks import check_runs
from pyg_stgcn.cli._lists import Choice
from pyg_stgcn.cli._output import echo
from pyg_stgcn.cli._plain import option

FORMATS = ("sparse", "onnx", "pt2", "engine")


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@option(
    "--format",
    "kind",
    type=Choice(FORMATS),
    default="sparse",
    show_default=True,
    help="sparse: for this package; onnx: for onnxruntime and others; pt2: for torch.export; "
    "engine: a folder with a small library in C++.",
)
@option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE|FOLDER",
    help="File to write; a folder with --format engine.",
)
@option(
    "--checkpoint",
    type=Choice(["best", "last"]),
    help="Export a checkpoint, also of an unfinished run.  [default: the final weights]",
)
@option("--half", is_flag=True, help="Store the weights in half precision (sparse only).")
def command(run: Path, kind: str, out: Path, checkpoint: str | None, half: bool) -> None:
    """Write the trained model of RUN to one file, or to a folder with its own engine.

    The file needs neither the run nor its data. A sparse file holds the kept weights, the
    skeleton, the classes and the preprocessing of clips. It contains no pickle. In Python,
    'pyg_stgcn.recognition.Recognizer.load(FILE)' loads a model that skips the pruned weights.

    An engine folder holds the model, the C++ sources of an engine without any dependency, and
    examples in C and Python; its README says how to build them with CMake.

    ONNX and PT2 files hold the dense model with its zeros; if at least a quarter of its channels is
    pruned (--structure channel), a smaller one without them, with equal outputs. The inputs are x
    [persons * joints, frames, channels], person by person, and batch [persons * joints], the clip
    index of every row in ascending order (int64). The output is logits [clips, classes];
    probabilities are softmax(logits / temperature). The metadata hold the temperature, the
    skeleton, the classes and the preprocessing as JSON. The file pyg_stgcn_prepare.py, written
    beside the model, turns raw poses into its inputs; it needs NumPy only.
    """
    if half and kind != "sparse":
        raise click.UsageError(f"--half is for sparse files; leave it out with --format {kind}")
    check_runs(run)

    from pyg_stgcn.models.shrinking import has_pruned_channels, shrink
    from pyg_stgcn.recognition import describe, save, save_engine_folder, save_prepare
    from pyg_stgcn.runs.folder import Run
    from pyg_stgcn.runtime.export_files import save_onnx, save_pt2

    trained = Run.open(run, checkpoint)
    model, preprocessing = trained.load_model(), trained.preprocessing
    dense = sum(value.nbytes for value in model.state_dict().values())
    if kind == "sparse":
        save(
            out,
            model,
            options=[{"name": name, **trained.options} for name in trained.backbones],
            classes=trained.classes,
            preprocessing=preprocessing,
            temperature=trained.temperature,
            half=half,
        )
    elif kind == "engine":
        out = save_engine_folder(out, model, trained.classes, preprocessing, trained.temperature)
        echo(f"{out.with_name('README.md')}: how to build the engine and use it")
    else:
        if has_pruned_channels(model):
            model = shrink(model)
            echo("pruned channels are removed: a smaller network with equal outputs")
        write = save_onnx if kind == "onnx" else save_pt2
        write(out, model, describe(model, trained.classes, preprocessing, trained.temperature))
        echo(f"{save_prepare(out.parent)}: turns raw poses into the inputs, with NumPy alone")
    size = out.stat().st_size
    echo(f"{out}: {size:,} bytes, {100 * size / dense:.1f} % of the dense weights")
