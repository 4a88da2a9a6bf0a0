"""Start-up times: ``import pyg_stgcn`` beyond PyG, and commands that do not need torch.

Usage: python benchmarks/startup.py [REPEATS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

LINES = ("--help", "train --help", "datasets list", "train --dataset ntu6")
COMMANDS = {
    "import torch_geometric": ["-c", "import torch_geometric"],
    "import torch_geometric, pyg_stgcn": ["-c", "import torch_geometric, pyg_stgcn"],
    **{f"pyg-stgcn {line}": ["-m", "pyg_stgcn.cli", *line.split()] for line in LINES},
}


def seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    found = subprocess.run([sys.executable, *arguments], capture_output=True)
    assert found.returncode in (0, 2), found.stderr  # 2: a mistyped name.
    return time.perf_counter() - start


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    for name, values in times.items():
        print(
            f"{statistics.median(values):6.2f} s ({min(values):.2f} to {max(values):.2f})  {name}"
        )


if __name__ == "__main__":
    main()
