"""Trains small models under two versions of the package and compares all results, bit for bit.

Usage: python benchmarks/equality.py record FOLDER [--all-exports]
       python benchmarks/equality.py compare FOLDER FOLDER

``record`` trains every backbone with every method on a few random clips, on the CPU, by the command
line of the installed version, and then evaluates, fuses, sweeps and exports. ``compare`` reads two
such folders: tensors (safetensors), arrays (NPZ: predictions, outputs of exported models), columns
(CSV) and numbers (JSON), except times. It exits with 1 if anything differs. A value whose name has
changed is found by its content; to compare renamed values that differ, add them to ``RENAMED``.
"""

from __future__ import annotations

import inspect
import json
import os
import pickle
import re
import shlex
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import onnxruntime
import torch
from click.testing import CliRunner
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from safetensors.numpy import load_file
from torch.utils._pytree import keystr, tree_flatten_with_path
from torch_geometric.data import Batch, Data

BACKBONES = ("stgcn", "stgcnpp", "aagcn", "ctrgcn", "dgstgcn")
METHODS = ("dense", "feedback", "magnitude", "score", "released", "rigl", "set", "random")
FRAMES, JOINTS, PERSONS = 8, 17, (2, 1)

#: Options that another version names differently.
OTHER_NAMES = {"--structure": "--pattern", "--eval-views": "--eval-clips"}
OTHER_NAMES |= {"--views": "--clips", "--model": "--backbone"}
#: Regular expressions of names (path:key) of the first folder, and their new names.
RENAMED: dict[str, str] = {}
#: Names that are not compared: times, and the options.
IGNORED = re.compile(r"seconds|minutes|_ms\b|time|^[^:]*config\.(json|toml)")


def write_clips(path: Path) -> None:
    """Write 24 clips of three classes, of one or two persons, as a pickle in PYSKL's format."""
    rng, annotations = np.random.default_rng(0), []
    for i in range(24):
        shape = (1 + i % 2, 10 + i % 5, JOINTS)
        wave = 40 * np.sin(np.arange(shape[1]) / (1 + i % 3))[:, None, None]
        start = rng.uniform(100, 400, (shape[0], 1, JOINTS, 2))
        joints = (start + wave + rng.normal(size=(*shape, 2))).astype(np.float32)
        scores = rng.uniform(0.5, 1, shape).astype(np.float32)
        clip = {"frame_dir": f"clip{i:02d}", "label": i % 3, "total_frames": shape[1]}
        clip |= {"keypoint": joints, "keypoint_score": scores}
        annotations.append(clip | {"img_shape": (480, 640), "original_shape": (480, 640)})
    names = [clip["frame_dir"] for clip in annotations]
    split = {"train": names[:16], "val": names[16:]}
    path.write_bytes(pickle.dumps({"split": split, "annotations": annotations}))


def cases(folder: Path, all_exports: bool) -> Iterator[tuple[str, str]]:
    """Name and command line of each case; ``@NAME`` stands for the folder of an earlier case."""
    clips = folder / "clips.pkl"
    data = (
        f"--dataset '{clips}' --channels 8 --clip-frames {FRAMES} --epochs 2 --batch-size 4 "
        "--lr 0.05 --eval-views 2 --accelerator cpu --devices 1"
    )
    train = f"train {data} --seed 3"
    for backbone in BACKBONES:
        for method in METHODS:
            pruning = "" if method == "dense" else f"--method {method} --sparsity 0.8"
            every = "--mask-update-every 2" if method in ("rigl", "set") else ""
            yield f"{backbone}-{method}", f"{train} --model {backbone} {pruning} {every}"
    half = "--method magnitude --sparsity 0.5"
    yield "edges", f"{train} --graph stgcn_spatial --edge-sparsity 0.3 {half}"
    yield "assembly", f"{train} --levels '0.5 0.9' --learned-weights"
    yield "skip-zeros", f"{train} --skip-zeros --method rigl --sparsity 0.8 --mask-update-every 2"
    for structure in ("2:4", "block8", "channel"):
        yield f"structure-{structure.replace(':', 'to')}", f"{train} --structure {structure} {half}"
    yield "penalty", f"{train} --penalty 0.001 {half}"
    yield "bone", f"{train} --stream bone {half} --allocation global"
    augment = "--augment mirror=0.5 --augment crop=0.5 --augment joint-dropout=0.1 --dropout 0.2"
    yield "augmented", f"{train} --stream joint+bone {half} {augment} --balanced-sampler"
    yield "class-weights", f"{train} --graph stgcn_spatial {half} --class-weights balanced"
    yield "init", f"{train} --init @stgcn-dense --freeze-backbone"
    yield "evaluate", "evaluate @stgcn-magnitude --views 3"
    yield "evaluate-all", f"evaluate @bone --dataset '{clips}' --split all"
    yield "evaluate-dropped-frames", "evaluate @stgcn-dense --views 2 --corruption 0.5"
    yield "evaluate-assembly", "evaluate @assembly --views 2"
    yield "fuse", "fuse @stgcn-magnitude @bone"
    yield "sweep", f"sweep {data} --sparsities '0 0.8' --seeds 0"
    yield "lottery", f"lottery {data} --rounds 1 --seeds 0 --controls random"
    for model in (*(f"{backbone}-magnitude" for backbone in BACKBONES), "assembly"):
        for kind in ("sparse", "onnx", "pt2"):
            if all_exports or kind == "sparse" or model == "stgcn-magnitude":
                yield f"export-{model}-{kind}", f"export @{model} --format {kind}"


def record(folder: Path, all_exports: bool) -> None:
    """Run all cases, each in a folder of its own; a case that fails leaves ``failed.txt``."""
    import pyg_stgcn
    from pyg_stgcn.cli import main

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    folder = folder.resolve()
    folder.mkdir(parents=True)
    os.chdir(folder)  # A sweep starts processes, which import what lies in their directory.
    print(f"{pyg_stgcn.__file__} is recorded in {folder}.")
    write_clips(folder / "clips.pkl")
    begin = time.perf_counter()
    for name, line in cases(folder, all_exports):
        start = time.perf_counter()
        run(main, folder / name, shlex.split(line))
        print(f"{time.perf_counter() - start:6.1f} s  {name}", flush=True)
    print(f"{time.perf_counter() - begin:6.1f} s  in all")


def run(main: Any, out: Path, words: list[str]) -> None:
    """Run one command of a version's command line, which writes into ``out``."""
    known = {name for option in main.get_command(None, words[0]).params for name in option.opts}
    words = [str(out.with_name(word[1:])) if word.startswith("@") else word for word in words]
    words = [word if word in known else OTHER_NAMES.get(word, word) for word in words]
    try:
        if words[0] == "evaluate":  # It writes into its run: give it a copy.
            words[1] = str(shutil.copytree(words[1], out))
        elif words[0] == "export":
            out.mkdir()
            written = out / f"exported.{words[-1].replace('sparse', 'safetensors')}"
            words += ["--out", str(written)]
        else:
            words += ["--out", str(out)]
        result = CliRunner().invoke(main, words)
        if result.exception:
            raise RuntimeError(result.output) from result.exception
        if words[0] == "export":
            np.savez(out / "outputs.npz", logits=outputs(written))
    except Exception:
        out.mkdir(exist_ok=True)
        text = f"{shlex.join(words)}\n{traceback.format_exc()}"
        (out / "failed.txt").write_text(text, encoding="utf-8")
        print(f"FAILED: {text}")


def outputs(path: Path) -> np.ndarray[Any, Any]:
    """The logits of an exported model for two fixed clips, of two persons and of one."""
    padded = torch.randn(2, 2, FRAMES, JOINTS, 3, generator=torch.Generator().manual_seed(0))
    clips = [padded[i, :count].transpose(1, 2).flatten(0, 1) for i, count in enumerate(PERSONS)]
    persons, nodes = torch.tensor(PERSONS), torch.cat(clips)
    given = {"num_persons": persons, "batch_size": 2}
    given["batch"] = torch.arange(2).repeat_interleave(persons * JOINTS)

    def inputs(names: list[str]) -> dict[str, Any]:
        given["x"] = padded if "num_persons" in names else nodes
        return {name: given[name] for name in names}

    with torch.no_grad():
        if path.suffix == ".onnx":
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            session = onnxruntime.InferenceSession(path, options)
            given_to = inputs([entry.name for entry in session.get_inputs()])
            return session.run(None, {name: np.asarray(x) for name, x in given_to.items()})[0]
        if path.suffix == ".pt2":
            program = torch.export.load(path)
            given_to = inputs(list(program.graph_signature.user_inputs))
            return program.module()(*given_to.values()).numpy()
        runtime = import_module("pyg_stgcn.runtime")
        if hasattr(runtime, "load"):  # An earlier version.
            model = runtime.load(path).model
        else:
            model = import_module("pyg_stgcn.recognition").Recognizer.load(path).model.module
        if "x" in inspect.signature(model.forward).parameters:
            return model(nodes, given["batch"]).numpy()
        data = [Data(x=x, num_persons=n) for x, n in zip(clips, PERSONS, strict=True)]
        return model(Batch.from_data_list(data)).numpy()


def values(case: Path) -> dict[str, np.ndarray[Any, Any]]:
    """All numbers that a case has written, by the path of their file and their name in it."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    for path in case.rglob("*.*"):
        read: dict[str, Any] = {}
        if path.suffix == ".safetensors":
            read = load_file(path)
        elif path.suffix == ".npz":
            read = dict(np.load(path, allow_pickle=False))
        elif path.suffix == ".csv":  # Words become NaN: they may differ between versions.
            table = np.genfromtxt(path, delimiter=",", names=True, encoding="utf-8")
            read = {name: table[name] for name in table.dtype.names}
        elif path.suffix == ".json":
            leaves = tree_flatten_with_path(json.loads(path.read_text(encoding="utf-8")))[0]
            read = {keystr(key): leaf for key, leaf in leaves if isinstance(leaf, int | float)}
        labels = {f"{path.relative_to(case).as_posix()}:{name}": name for name in read}
        found |= {to: np.asarray(read[n]) for to, n in labels.items() if not IGNORED.search(to)}
    return found


def content(array: np.ndarray[Any, Any]) -> tuple[str, tuple[int, ...], bytes]:
    return str(array.dtype), array.shape, array.tobytes()


def difference(before: Path, after: Path) -> tuple[str, str]:
    """Whether two recordings of a case are identical, or else how they differ, and a remark."""
    if not (before.is_dir() and after.is_dir()):
        return "missing", "in one of the folders"
    if failed := [str(case) for case in (before, after) if (case / "failed.txt").exists()]:
        return "failed", f"see failed.txt in {', '.join(failed)}"
    old, new = values(before), values(after)
    for pattern, name in RENAMED.items():
        old = {re.sub(pattern, name, label): array for label, array in old.items()}
    if not old:
        return "empty", "nothing to compare"
    same = {
        label for label in old.keys() & new.keys() if content(old[label]) == content(new[label])
    }
    changed = sorted((old.keys() & new.keys()) - same)
    gone, added = sorted(old.keys() - new.keys()), new.keys() - old.keys()
    missing = Counter(content(old[name]) for name in gone) - Counter(
        content(new[name]) for name in added
    )
    if changed:
        a, b = old[changed[0]], new[changed[0]]
        size = f"shapes {a.shape} and {b.shape}"
        if a.shape == b.shape and a.dtype.kind != "U":
            size = f"by up to {np.abs(a.astype(float) - b.astype(float)).max():.3g}"
        return f"{len(changed)} of {len(old)} differ", f"{changed[0]} {size}"
    if missing:
        first = next(name for name in gone if content(old[name]) in missing)
        return f"{missing.total()} of {len(old)} not found", first
    return "identical", f"{len(old)} values, {len(gone)} renamed, {len(added) - len(gone)} new"


def compare(before: Path, after: Path) -> bool:
    """Print a table of all cases, and tell whether all are identical."""
    folders = (path for folder in (before, after) for path in folder.iterdir() if path.is_dir())
    names = sorted({path.name for path in folders} - {".pyg_stgcn"})
    table = Table("case", "result", "remark", title=f"{before} and {after}")
    results = {name: difference(before / name, after / name) for name in names}
    for name, (result, remark) in results.items():
        style = "green" if result == "identical" else "red"
        table.add_row(name, f"[{style}]{result}[/]", escape(remark))
    console = Console()
    console.print(table)
    count = sum(result == "identical" for result, _ in results.values())
    console.print(f"{count} of {len(results)} cases are identical.")
    return count == len(results) > 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["record", folder]:
            record(Path(folder), False)
        case ["record", folder, "--all-exports"]:
            record(Path(folder), True)
        case ["compare", before, after]:
            sys.exit(not compare(Path(before), Path(after)))
        case _:
            sys.exit(__doc__)
