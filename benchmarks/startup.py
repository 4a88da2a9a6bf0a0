"""Start-up times: ``import pyg_stgcn`` beyond PyG, and ``pyg-stgcn --help``.

Usage: python benchmarks/startup.py [REPEATS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "import torch_geometric": ["-c", "import torch_geometric"],
    "import torch_geometric, pyg_stgcn": ["-c", "import torch_geometric, pyg_stgcn"],
    "pyg-stgcn --help": ["-c", "from pyg_stgcn.cli import main; main(['--help'])"],
}


def seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
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
