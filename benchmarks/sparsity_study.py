"""The sparsity study of docs/measurements/results.md on UTD-MHAD, cross-subject, joint stream.

    python benchmarks/sparsity_study.py --source Skeleton.zip --jobs 2 methods lottery assembly

Width 16, 24 frames, 40 epochs and five views a clip in the evaluation, so that several seeds fit on
two cores; --epochs changes that. Parts: "methods" (five sparsities, four methods, three seeds),
"released" (the settings of the paper's release), "dgstgcn" (the generator on another backbone),
"lottery" (tickets and their controls), "assembly" (several sparsities and its controls), and
"dense" (dense networks with other regularisation). Finished runs are not trained again. Every part
prints its table and writes it, with a figure, into a folder of --out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

SEEDS = ("--seeds", "0", "1", "2")
SPARSITIES = ("0.8", "0.9", "0.95", "0.99")
#: Regularisation of a dense network: fewer channels, dropout, weight decay or learning rate.
DENSE = {
    "narrow": ("--channels", "6"),
    "dropout": ("--dropout", "0.5"),
    "decay-twice": ("--weight-decay", "0.02"),
    "decay-half": ("--weight-decay", "0.005"),
    "rate-twice": ("--lr", "0.05"),
}


def commands(part: str) -> list[list[str]]:
    """Calls of pyg-stgcn, without the data, that make up a part."""
    if part == "methods":
        methods = ("score", "magnitude", "rigl", "random")
        return [["sweep", "--sparsities", "0", *SPARSITIES, "--methods", *methods, *SEEDS]]
    if part == "released":
        return [["sweep", "--sparsities", "0", *SPARSITIES, "--methods", "released", *SEEDS]]
    if part == "dgstgcn":
        sweep = ["sweep", "--backbone", "dgstgcn", "--sparsities", "0", *SPARSITIES]
        return [[*sweep, "--methods", "score", *SEEDS]]
    if part == "lottery":
        return [["lottery", "--rounds", "2", "--final-sparsity", "0.95", *SEEDS]]
    if part == "assembly":
        levels = ["--levels", "0.6", "0.8", "0.95", "0.99", "--method", "score"]
        return [["assemble", *levels, "--controls", "dense", "sparse", "equal", *SEEDS]]
    return [["sweep", "--sparsities", "0", *options, *SEEDS] for options in DENSE.values()]


def folders(part: str, out: Path) -> list[Path]:
    """The folder of each result of a part."""
    return [out / name for name in (DENSE if part == "dense" else [part])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("methods", "released", "dgstgcn", "lottery", "assembly", "dense")
    parser.add_argument("parts", nargs="+", choices=parts)
    parser.add_argument("--source", help="UTD-MHAD's Skeleton.zip (default: download it)")
    parser.add_argument("--root", default="data", help="folder of the datasets")
    parser.add_argument("--out", type=Path, default=Path("runs/study"))
    parser.add_argument("--epochs", default="40")
    parser.add_argument("--jobs", default="1", help="trainings at a time")
    args = parser.parse_args()
    data = ["--dataset", "utd-mhad", "--benchmark", "xsub", "--root", args.root]
    data += ["--source", args.source] if args.source else []
    size = ["--clip-frames", "24", "--epochs", args.epochs, "--eval-views", "5"]
    for part in args.parts:
        for words, folder in zip(commands(part), folders(part, args.out), strict=True):
            call = [*words, *data, *size, "--jobs", args.jobs, "--out", str(folder)]
            print(f"pyg-stgcn {' '.join(call)}", flush=True)
            subprocess.run([sys.executable, "-m", "pyg_stgcn.cli", *call], check=True)


if __name__ == "__main__":
    main()
