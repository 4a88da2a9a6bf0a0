"""The engine on one thread: frames of a stream, clips, the library and its process.

    python benchmarks/engine.py --json engine.json

Skeleton ntu25, one person, 95 % zeros by default. A frame of a stream is compared with the
reference implementation (``tests/reference``) that sees a window of 100 frames at every frame, and
with the same model on that window in the engine. Medians of processor time; the functions take
turns. ``--endless 1000000`` pushes so many frames instead, and shows the memory of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reference import ReferenceModel
from runtime import GRAPHS, pruned
from turns import seconds

from pyg_stgcn.engine import Engine, load
from pyg_stgcn.engine import library as binding
from pyg_stgcn.models import random_clips
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.recognition import save_engine
from pyg_stgcn.runtime import compile_sparse

HERE = Path(__file__).parent
JOINTS, CLASSES, RATE = 25, 60, 30
#: Frames of a measurement: a multiple of the frames between two answers.
FRAMES = 40


def write_model(path: Path, options: argparse.Namespace, width: int, frames: int) -> Backbone:
    """A masked model, and its file."""
    settings = {"width": width, "masks": "uniform", "structure": options.structure}
    model = pruned(options.model, options.sparsity, argparse.Namespace(**settings))
    steps = {"stream": "joint", "clip_frames": frames, "has_score": False}
    save_engine(path, model, [str(number) for number in range(CLASSES)], steps)
    return model


def poses_of(frames: int) -> Any:
    return np.random.default_rng(0).normal(size=(frames, JOINTS, 3)).astype(np.float32)


def milliseconds(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    return {
        name: 1000 * statistics.median(values) for name, values in seconds(runs, rounds).items()
    }


def stream_bars(path: Path, options: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """A frame of a stream against windows of frames."""
    reference = ReferenceModel(options.model, CLASSES, "ntu25", GRAPHS[options.model], 64).eval()
    padded, poses = torch.randn(1, 1, 100, JOINTS, 3), poses_of(FRAMES)
    with load(path) as engine:
        stream, window = engine.stream(), poses_of(100)[None]

        def push() -> None:
            for frame in poses:
                stream.push(frame)

        for _ in range(5):
            push()
        runs = {"reference": lambda: reference(padded), "stream": push}
        times = milliseconds({**runs, "window": lambda: engine.classify(window)}, options.rounds)
    frame = times["stream"] / FRAMES
    yield "frame of a stream, ms", frame
    yield "reference, window of 100 frames, ms", times["reference"]
    yield "engine, window of 100 frames, ms", times["window"]
    yield "stream against the reference, times", times["reference"] / frame
    yield "stream against the engine's window, times", times["window"] / frame
    yield f"people at {RATE} frames per second", 1000 / RATE / frame


def clip_bars(
    options: argparse.Namespace, folder: Path, width: int, frames: int
) -> Iterator[tuple[str, float]]:
    """A clip of the engine against the runtime of PyTorch."""
    path = folder / f"clip{width}.stgcn"
    model = write_model(path, options, width, frames)
    compiled, given = compile_sparse(model), random_clips(model, 1, 1, frames)
    x = given[0].numpy()
    # Small clips are over in a moment: several of them.
    several = range(max(1, 6400 // width // frames))
    with load(path) as engine:
        runs = {
            "runtime": lambda: [compiled(*given) for _ in several],
            "engine": lambda: [engine.logits(x) for _ in several],
        }
        times = milliseconds(runs, options.rounds)
    yield f"clip of width {width}, {frames} frames, ms", times["engine"] / len(several)
    yield f"width {width} against the torch runtime, times", times["runtime"] / times["engine"]


def process_bars(path: Path, folder: Path, rounds: int) -> Iterator[tuple[str, float]]:
    """The library, and a process in C that classifies a clip with it."""
    library = next(binding._FOLDER.glob("_stgcn*.so"))
    stripped = folder / "libstgcn.so"
    shutil.copy(library, stripped)
    subprocess.run(["strip", stripped], check=True)
    yield "shared library, stripped, KB", stripped.stat().st_size / 1000
    program, include = folder / "process", binding._FOLDER / "include"
    source = [str(HERE / "engine_process.c"), str(stripped), f"-Wl,-rpath,{folder}"]
    subprocess.run(["cc", "-O2", f"-I{include}", *source, "-o", str(program)], check=True)
    found = [
        subprocess.run([program, path], check=True, capture_output=True, text=True).stdout.split()
        for _ in range(rounds)
    ]
    yield "open, ms", statistics.median(float(opened) for opened, _ in found)
    yield "memory of a process, MB", statistics.median(int(peak) for _, peak in found) / 1000


def needed(library: Path) -> list[str]:
    """The libraries that ``ldd`` names, without the loader and what the kernel gives."""
    lines = subprocess.run(["ldd", library], check=True, capture_output=True, text=True).stdout
    names = [Path(line.split()[0]).name for line in lines.splitlines()]
    return [name for name in names if not name.startswith(("ld-", "linux-vdso"))]


#: Floor and goal of a bar; larger is better where the goal is larger.
BARS = {
    "stream against the reference, times": (120, 400),
    f"people at {RATE} frames per second": (40, 150),
    "width 64 against the torch runtime, times": (1, 1),
    "width 16 against the torch runtime, times": (1, 1.3),
    "clip of width 16, 24 frames, ms": (None, 0.5),
    "shared library, stripped, KB": (600, 300),
    "open, ms": (20, 5),
    "memory of a process, MB": (30, 15),
}


def table(found: dict[str, float]) -> str:
    lines = ["| | measured | floor | goal |", "| --- | --- | --- | --- |"]
    for name, value in found.items():
        floor, goal = BARS.get(name, (None, None))
        bars = ["" if bar is None else f"{bar:g}" for bar in (floor, goal)]
        lines.append(f"| {name} | {value:.3g} | {' | '.join(bars)} |")
    return "\n".join(lines)


def push_endlessly(engine: Engine, frames: int) -> None:
    """Pushes frames one by one, and prints the memory of the process ten times."""
    stream, poses = engine.stream(), poses_of(1000)
    for number in range(frames):
        stream.push(poses[number % len(poses)])
        if (number + 1) % (frames // 10) == 0:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            resident = pages * resource.getpagesize() / 1e6
            print(f"{number + 1} frames: {resident:.2f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="stgcn", choices=("stgcn", "stgcnpp"))
    parser.add_argument("--sparsity", type=float, default=0.95)
    parser.add_argument("--structure", default="unstructured")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--endless", type=int, default=0, help="frames to push")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        folder = Path(name)
        path = folder / "model.stgcn"
        write_model(path, options, 64, 100)
        if options.endless:
            with load(path) as engine:
                push_endlessly(engine, options.endless)
            return
        found = dict(stream_bars(path, options))
        for width, frames in ((64, 100), (16, 24)):
            found |= clip_bars(options, folder, width, frames)
        found |= process_bars(path, folder, options.rounds)
    libraries = needed(next(binding._FOLDER.glob("_stgcn*.so")))
    print(table(found), f"\nldd: {', '.join(libraries)}", sep="\n")
    if options.json:
        content = {**vars(options), "json": None, "ldd": libraries, "results": found}
        options.json.write_text(json.dumps(content, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
