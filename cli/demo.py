"""``pyg-stgcn demo``."""

from __future__ import annotations

from pathlib import Path

import click

from pyg_stgcn.cli._figure import figure_option
from pyg_stgcn.cli._options import RecordOption
from pyg_stgcn.cli._output import echo, percent, print_json, print_table
from pyg_stgcn.cli._plain import option
from pyg_stgcn.runs.options import OPTIONS

_SPARSITIES = {"dense": 0.0, "sparse": 0.9}
_OPTIONS: dict[str, object] = {
    "dataset": "synthetic",
    "channels": 16,
    "clip_frames": 24,
    "epochs": 18,
    "batch_size": 16,
    "lr": 0.025,
    "eval_views": 1,
    "accelerator": "cpu",
}


@click.command("demo")
@option("--root", default="data", metavar="DIR", show_default=True, help="Folder of the datasets.")
@option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/demo"),
    metavar="DIR",
    show_default=True,
    help="Folder for the two runs.",
)
@figure_option("both trainings", beside="curves.png in --out")
@option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(root: str, out: Path, seed: int, figure: Path | None, as_json: bool) -> None:
    """Train a dense and a 90 % sparse ST-GCN on synthetic data.

    It takes a few minutes on a CPU and needs no download. Finished runs in --out are not trained
    again, and unfinished ones are continued.
    """
    from pyg_stgcn.datasets import SyntheticActions
    from pyg_stgcn.plots.curves import plot_curves
    from pyg_stgcn.runs.run_files import RunFiles
    from pyg_stgcn.studies.jobs import Job
    from pyg_stgcn.studies.launching import run_jobs
    from pyg_stgcn.studies.local_launcher import LocalLauncher
    from pyg_stgcn.studies.records import read_metrics, read_summary

    jobs = [
        Job(
            label,
            out / f"{label}-seed{seed}",
            {**_OPTIONS, "sparsity": sparsity, "seed": seed, "root": root},
        )
        for label, sparsity in _SPARSITIES.items()
    ]
    missing = [job for job in jobs if not job.is_finished()]
    if missing:
        SyntheticActions(root)
        echo(f"training in {' and '.join(str(job.folder) for job in missing)}", err=True)
        run_jobs(missing, LocalLauncher(), parallel=len(missing))
    folders = {job.label: job.folder for job in jobs}
    results = {label: read_summary(folder, counts=True) for label, folder in folders.items()}
    drawing = out / "curves.png"
    plot_curves(
        (drawing, figure),
        {label: read_metrics(RunFiles(folder).metrics) for label, folder in folders.items()},
    )
    if as_json:
        print_json({"runs": results, "figure": str(figure or drawing)})
        return
    print_table(
        ("", *results),
        [
            ("top-1", *(percent(result["top1"]) for result in results.values())),
            ("mean class", *(percent(result["mean_class"]) for result in results.values())),
            ("kept weights", *(f"{result['maskable_kept']:,}" for result in results.values())),
            ("sparsity", *(percent(result["sparsity"]) for result in results.values())),
            (
                "kept of all parameters",
                *(percent(result["params_kept_fraction"]) for result in results.values()),
            ),
            ("seconds", *(result["seconds"] for result in results.values())),
        ],
        title="SyntheticActions, xsub",
    )
    echo(f"figure: {figure or drawing}")


command.params.append(RecordOption(OPTIONS["seed"]))
