"""Accuracy on streams of networks that were trained on clips, and of those tuned for streams.

    python benchmarks/streams.py --dataset utd-mhad --root data --seeds 0 1 2 --out runs/streams

Every seed trains a small ST-GCN on clips, and goes on from there twice, for the same number of
epochs: on clips, and with the context of a stream. All three are evaluated on the same recordings,
joined from the validation clips. Finished runs are used again. The table has medians.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from pyg_stgcn.evaluation import StreamOptions, evaluate_stream
from pyg_stgcn.jsonfile import read_json
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.run_files import RunFiles
from pyg_stgcn.tables import write_json
from pyg_stgcn.training.runner import train

#: A network that reaches 24 frames into the past and into the future, so that it answers early.
NETWORK: dict[str, Any] = {"stages": 5, "inflate_stages": [3, 5], "down_stages": [4]}
MEASURES = {
    "frames right": "accuracy",
    "at that moment": "accuracy_live",
    "F1@10": "f1_10",
    "F1@25": "f1_25",
    "F1@50": "f1_50",
    "mAP": "map",
    "early": "early_area",
}
VARIANTS = {
    "clips": {},
    "clips, tuned on clips": {},
    "clips, tuned with `--context stream`": {"context": "stream"},
}


def finished(config: TrainOptions, folder: Path) -> Path:
    """The folder of a run, which is trained if it is not finished."""
    files = RunFiles(folder)
    if not files.is_finished:
        train(config, folder, resume=files.is_started)
    return folder


def run_seed(arguments: argparse.Namespace, seed: int) -> dict[str, dict[str, Any]]:
    """Train and evaluate the three networks of a seed."""
    common: dict[str, Any] = {"channels": 16, "clip_frames": arguments.window, "hold_out": 0.1}
    common |= {"seed": seed, "eval_views": 10, "accelerator": "cpu", **NETWORK}
    config = TrainOptions.of(
        dataset=arguments.dataset, root=arguments.root, source=arguments.source, **common
    )
    first = arguments.out / f"seed{seed}-clips"
    rows = {}
    for number, (name, options) in enumerate(VARIANTS.items()):
        if number == 0:
            folder = finished(config.replace(epochs=arguments.epochs), first)
        else:
            more = {"init": str(first), "epochs": arguments.more, "lr": 0.015, **options}
            folder = finished(config.replace(**more), arguments.out / f"seed{seed}-tuned{number}")
        found = evaluate_stream(folder, options=StreamOptions(window=arguments.window))
        rows[name] = found | {"top1": read_json(RunFiles(folder).summary, "train again")["top1"]}
    return rows


def main() -> None:
    """Write ``streams.json`` and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="utd-mhad")
    parser.add_argument("--root", default="data")
    parser.add_argument("--source", help="local copy of the dataset's archive")
    parser.add_argument("--window", type=int, default=32, help="frames of clips and of answers")
    parser.add_argument("--epochs", type=int, default=40, help="on clips")
    parser.add_argument("--more", type=int, default=20, help="epochs of the tuning")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/streams"))
    arguments = parser.parse_args()
    results = {str(seed): run_seed(arguments, seed) for seed in arguments.seeds}
    write_json(arguments.out / "streams.json", results)
    header = ["trained on", "clips", *MEASURES, "false alarms a minute", "delay, frames"]
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for name in VARIANTS:
        own = [rows[name] for rows in results.values()]
        cells = [
            f"{100 * statistics.median(row[key] for row in own):.1f}"
            for key in ("top1", *MEASURES.values())
        ]
        alarms = statistics.median(row["false_alarms_per_minute"] for row in own)
        waits = [row["delay_frames"] for row in own if row["delay_frames"] is not None]
        wait = f"{statistics.median(waits):.0f}" if waits else ""
        print(f"| {' | '.join([name, *cells, f'{alarms:.1f}', wait])} |")


if __name__ == "__main__":
    main()
