"""Mean and spread over seeds of finished runs, as a Markdown table.

Usage: python benchmarks/table.py RUN [RUN ...]
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from pyg_stgcn.runs.config_file import load_config


def spread(values: list[float]) -> str:
    """Mean and sample standard deviation, in percent."""
    deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{100 * statistics.mean(values):.2f} ± {100 * deviation:.2f}"


def main(folders: list[str]) -> None:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for folder in folders:
        result = json.loads(Path(folder, "summary.json").read_text(encoding="utf-8"))
        options = load_config(Path(folder, "config.toml"))[0].flat()
        data = f"{Path(result['dataset']).name} {result['benchmark']}"
        key = (data, options["backbone"], options["stream"], options["sparsity"])
        groups[key].append(result)
    print(
        "| data | model | stream | sparsity | kept of all | top-1 by seed | top-1 | mean class "
        "| minutes |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for (data, model, stream, sparsity), results in sorted(groups.items()):
        results.sort(key=lambda result: result["seed"])
        each = ", ".join(f"{100 * result['top1']:.2f}" for result in results)
        minutes = ", ".join(f"{result['seconds'] / 60:.1f}" for result in results)
        print(
            f"| {data} | {model} | {stream} | {100 * sparsity:g} % "
            f"| {100 * results[0]['params_kept_fraction']:.1f} % | {each} "
            f"| {spread([result['top1'] for result in results])} "
            f"| {spread([result['mean_class'] for result in results])} | {minutes} |"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
