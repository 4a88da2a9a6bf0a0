"""Files with mutations: each is used, or refused with one clear error.

    python benchmarks/fuzz.py --count 100000 --state fuzz.json

Makes a run of every kind, then mutates its files one at a time (bits, bytes, pieces, values,
types, shapes; checksums are put right where that can be done) and opens them as the commands do. A
mutation is determined by its kind of file and its number; a call with the same --state goes on
where the last one ended. Counted are the mutations that were accepted, those that were refused with
an InputError of one line that names the file ("unclear" if it does not), and those that ended in
anything else: a traceback, which more memory than --memory ends in too, or a hang of more than
--seconds. `--only KIND --first N --count 1` repeats one of them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import pickle
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from rich.progress import Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save, save_file

from pyg_stgcn.datasets import SkeletonDataset, SkeletonPickle
from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Assembly, load_pyskl, pyskl_state_dict
from pyg_stgcn.runtime.files import load as load_recognizer
from pyg_stgcn.runtime.files import save as save_recognizer
from pyg_stgcn.skeleton import Skeleton, get_skeleton
from pyg_stgcn.sparsity import Ticket, load_sparse, save_ticket
from pyg_stgcn.sparsity.files import checksum
from pyg_stgcn.training import Run, TrainConfig, train
from pyg_stgcn.training.checkpoint import AtomicCheckpointIO
from pyg_stgcn.training.data import clip_transform
from pyg_stgcn.training.evaluation import open_validation
from pyg_stgcn.training.predictions import Predictions
from pyg_stgcn.training.pretrained import load_pretrained
from pyg_stgcn.training.records import read_metrics, read_subsets, read_summary
from pyg_stgcn.training.rundir import sparsity_facts
from pyg_stgcn.training.tickets import first_epoch, open_ticket, start_from

Random = random.Random
MIB = 2**20


# ---- What is mutated -----------------------------------------------------------------------------

TOKENS = [b"-1", b"0", b"9" * 5000, b"1e999", b"NaN", b"null", b"[]", b"{}", b'""', b"\n", b"\0"]
TOKENS += [b"true", b"[[" * 2000, b'{"a":' * 2000, b"\xff\xfe", b"\\ud800", b"1" * 20, b","]
VALUES: list[Any] = [None, True, False, -1, 0, 1, 3, 7, 10**9, 2**63, 10**30, 10**400, 0.5, -1e300]
VALUES += [float("nan"), float("inf"), "", "x", "../../x", "a\0b", "\ud800", "\x1b[2J", "x" * 10**5]
VALUES += ["random", "spatial", "distance-2", "distance-999999999999", "joint+bone", "stgcn", "1e9"]
VALUES += [[], [[]], {}, {"x": 1}, [1, 2, 3], [0.5] * 1000, ["a"] * 999, [["a"] * 99] * 99, [None]]


def nested(depth: int) -> Any:
    content: Any = []
    for _ in range(depth):
        content = [content]
    return content


VALUES += [nested(50), nested(500)]


def drawn(values: list[Any], rng: Random) -> Any:
    """A copy of one of some values, whatever its depth."""
    return json.loads(json.dumps(rng.choice(values)))


def mutated_bytes(data: bytes, rng: Random) -> bytes:
    """Flip, cut off, drop, repeat, move or overwrite parts."""
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        start = rng.randrange(len(data) + 1)
        length = rng.choice((1, 1, 2, 4, 8, 64, max(1, len(data) // 8)))
        middle = data[start : start + length]
        kind = rng.randrange(8)
        if kind < 2 and middle:
            flipped = middle[0] ^ (1 << rng.randrange(8))
            data = data[:start] + bytes([flipped]) + data[start + 1 :]
        elif kind == 2:
            data = data[:start]
        elif kind == 3:
            data = data[:start] + data[start + length :]
        elif kind == 4:
            data = data[: start + length] + middle + data[start + length :]
        elif kind == 5:
            token = rng.choice(TOKENS)
            data = data[:start] + token + data[start + rng.choice((0, len(token))) :]
        elif kind == 6:
            data = data[:start] + rng.randbytes(length) + data[start + length :]
        else:
            data = middle + data[:start] + data[start + length :]
    return data


def mutated_value(content: Any, rng: Random, values: list[Any]) -> Any:
    """Put another value somewhere into nested dicts and lists, or take one away."""
    parent, key, part = None, None, content
    while isinstance(part, dict | list) and part and (parent is None or rng.random() < 0.8):
        parent = part
        key = rng.choice(list(part) if isinstance(part, dict) else range(len(part)))
        part = parent[key]
    if parent is None:
        return drawn(values, rng)
    kind = rng.random()
    if kind < 0.1:
        del parent[key]
    elif kind < 0.2 and isinstance(parent, dict):
        parent[rng.choice(("", "x", "options", "\ud800", "dataset"))] = parent.pop(key)
    elif kind < 0.4 and isinstance(part, int | float) and not isinstance(part, bool):
        parent[key] = rng.choice((-part, part * 10**6, part + 1, float(part), str(part), [part]))
    else:
        parent[key] = drawn(values, rng)
    return content


def mutated_json(data: bytes, rng: Random) -> bytes:
    """Change a value of a JSON text, or its bytes."""
    if rng.random() < 0.3:
        return mutated_bytes(data, rng)
    content = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = mutated_value(content, rng, VALUES)
    text = json.dumps(content)
    return text.encode(rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16")))


def mutated_array(array: np.ndarray[Any, Any], rng: Random) -> np.ndarray[Any, Any]:
    """An array of other numbers, types or shapes."""
    array = array.copy()
    kind = rng.randrange(8)
    if kind == 0:
        return array.astype(rng.choice(("f2", "f8", "i1", "u8", "c8", "S3", ">f4", "U5", "b1")))
    if kind == 1:
        return array.reshape(rng.choice(((-1,), (1, *array.shape), (*array.shape, 1))))
    if kind == 2:
        return array[: rng.randrange(len(array) + 1)]
    if kind == 3:
        return np.concatenate([array, array])
    if kind == 4 and array.dtype.kind in "if":
        odd = rng.choice((-1, 10**6, 0)) if array.dtype.kind == "i" else rng.choice((np.nan, 1e30))
        array.reshape(-1)[rng.randrange(array.size)] = odd
        return array
    if kind == 5:
        return np.array(rng.choice((5, "x", [], [[]], 1.5)))
    if kind == 6:
        return np.asfortranarray(array)
    return np.zeros(rng.choice((0, 1, 2**20)), rng.choice(("f4", "i8", "U1", "V3", "M8[s]")))


def mutated_npz(data: bytes, rng: Random) -> bytes:
    """Change an array, a header (with the checksums of the archive put right), or bytes."""
    if rng.random() < 0.35:
        return mutated_bytes(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    kind = rng.randrange(6)
    if kind < 3:
        content = io.BytesIO()
        changed = mutated_array(np.load(io.BytesIO(members[name])), rng)
        np.save(content, changed)
        members[name] = content.getvalue()
    elif kind == 3:
        members[name] = mutated_bytes(members[name][:128], rng) + members[name][128:]
    elif kind == 4:
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**9}, {10**9}), }}"
        head = b"\x93NUMPY\x01\0" + (118).to_bytes(2, "little") + header.ljust(117).encode()
        members[name] = head + b"\n" + bytes(rng.choice((0, 4, 2**22)))
    elif rng.random() < 0.5:
        del members[name]
    else:
        members[rng.choice(("x.npy", "names", "../names.npy"))] = members[name]
    target = io.BytesIO()
    method = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(target, "w", method) as archive:
        for member, content_of in members.items():
            archive.writestr(member, content_of)
    return target.getvalue()


TYPES = ["F32", "F16", "F64", "I64", "I8", "BOOL", "U64", "BF16", "F8_E4M3", "F8_E8M0", "C64", "X"]


def mutated_safetensors(data: bytes, rng: Random) -> bytes:
    """Change the header of a file of tensors, its numbers or its bytes."""
    if rng.random() < 0.3:
        return mutated_bytes(data, rng)
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    names = [name for name in header if name != "__metadata__"]
    entry = header[rng.choice(names)]
    kind = rng.randrange(6)
    if kind == 0:
        entry["dtype"] = rng.choice(TYPES)
    elif kind == 1:
        entry["shape"] = rng.choice(([], [10**9], entry["shape"][::-1], [*entry["shape"], 1], [-1]))
    elif kind == 2:
        name = rng.choice(names)
        header[rng.choice(("x", name + "x", "experts.7.x", "x" * 5000))] = header.pop(name)
    elif kind == 3:
        del header[rng.choice(names)]
    elif kind == 4:
        header = mutated_value(header, rng, VALUES)
    else:
        body = mutated_bytes(body, rng)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def mutated_sparse(data: bytes, rng: Random) -> bytes:
    """Change what a sparse file says, and put its checksum right."""
    if rng.random() < 0.3:
        return mutated_safetensors(data, rng)
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(data)
        file.flush()
        stored = load_file(file.name)
    length = int.from_bytes(data[:8], "little")
    texts = json.loads(data[8 : 8 + length])["__metadata__"]
    content = json.loads(texts["pyg_stgcn.content"])
    name = rng.choice(list(stored))
    kind = rng.randrange(5)
    if kind < 3:
        content = mutated_value(content, rng, VALUES)
    elif kind == 3:
        stored[name] = mutated_tensor(stored[name], rng).contiguous().clone()
    else:
        del stored[name]
    text = json.dumps(content)
    header = json.loads(texts["pyg_stgcn"])
    header["crc32"] = checksum(stored, text)
    return save(stored, {"pyg_stgcn": json.dumps(header), "pyg_stgcn.content": text})


def mutated_tensor(tensor: torch.Tensor, rng: Random) -> torch.Tensor:
    """A tensor of other numbers, types or shapes."""
    kind = rng.randrange(6)
    if kind == 0:
        types = (torch.float16, torch.float64, torch.int64, torch.bool, torch.uint8)
        return tensor.to(rng.choice(types))
    if kind == 1:
        return tensor.flatten()
    if kind == 2 and tensor.dim():
        return tensor[: rng.randrange(len(tensor) + 1)]
    if kind == 3 and tensor.is_floating_point():
        return torch.full_like(tensor, rng.choice((float("nan"), float("inf"), 1e30, 0.0)))
    if kind == 4:
        return torch.zeros(rng.choice((0, 1, 99)), dtype=tensor.dtype)
    return torch.roll(tensor.flatten(), 1).view(tensor.shape)


def mutated_checkpoint(data: bytes, rng: Random) -> bytes:
    """Change a tensor or an entry of a file of torch.save, its pickle or its bytes."""
    if rng.random() < 0.3:
        return mutated_bytes(data, rng)
    if rng.random() < 0.3 and zipfile.is_zipfile(io.BytesIO(data)):
        return mutated_member(data, rng)
    content = torch.load(io.BytesIO(data), weights_only=True)
    state = content.get("state_dict", content)
    name = rng.choice(list(state))
    kind = rng.randrange(9)
    if kind < 3:
        state[name] = mutated_tensor(state[name], rng)
    elif kind == 3:
        state[name] = torch.ones(1).expand(rng.choice(((3 * 10**9,), (60000, 60000), (2, 2))))
    elif kind == 4:
        state[rng.choice((5, ("a", 1), "x" * 10**4, "a\nb", "module.backbone.x", name + "x"))] = (
            state.pop(name)
        )
    elif kind == 5:
        state[name] = drawn(VALUES, rng)
    elif kind == 6:
        state[name] = rng.choice(
            (
                torch.eye(3).to_sparse(),
                torch.empty(10**12, device="meta"),
                torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8),
            )
        )
    elif kind == 7:
        for number in range(2000):
            state[f"x{number}"] = state[name]
    else:
        content = rng.choice((state[name], [content], nested(200), {"state_dict": state[name]}))
    target = io.BytesIO()
    torch.save(content, target, _use_new_zipfile_serialization=rng.random() < 0.7)
    return target.getvalue()


def mutated_member(data: bytes, rng: Random) -> bytes:
    """Change the bytes of a member of an archive, with its checksums put right."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        chosen = next(name for name in names if name.endswith("data.pkl"))
        if rng.random() < 0.3:
            chosen = rng.choice(names)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as copied:
            for name in names:
                part = archive.read(name)
                if name == chosen:
                    part = mutated_bytes(part, rng) if rng.random() < 0.9 else bytes(64 * MIB)
                method = zipfile.ZIP_DEFLATED if len(part) > 32 * MIB else zipfile.ZIP_STORED
                copied.writestr(name, part, method)
    return target.getvalue()


FIELDS = ("", "nan", "1e999", "x", "-1", "a,b", '"', "9" * 5000)


def mutated_csv(data: bytes, rng: Random) -> bytes:
    """Change a field of a table, or its bytes."""
    if rng.random() < 0.5:
        return mutated_bytes(data, rng)
    rows = [line.split(",") for line in data.decode().splitlines()]
    row = rng.choice(rows)
    row[rng.randrange(len(row))] = rng.choice(
        ("", "nan", "1e999", "x", "-1", "a,b", '"', "9" * 5000)
    )
    return "\n".join(map(",".join, rows)).encode()


# ---- How it is used ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A file, how it is mutated, and how it is opened.

    Args:
        path: The file; its content is put back afterwards.
        mutate: Makes other content of it.
        use: Does with it what the commands do.
        share: How often it is chosen in comparison with others.
    """

    path: Path
    mutate: Callable[[bytes, Random], bytes]
    use: Callable[[], object]
    share: int = 1


def use_run(folder: Path) -> None:
    """What 'evaluate' and 'inspect' do with a run before they compute."""
    run = Run.open(folder)
    model = run.load_model()
    with run.masked(model):
        sparsity_facts(model, run)
    validation = open_validation(run)
    validation.transform = clip_transform(run.config, validation, train=False, num_clips=1)
    with torch.inference_mode():
        model(validation[0])


def use_predictions(path: Path) -> None:
    found = Predictions.load(path)
    assert np.isfinite(found.probabilities).all()
    str(found.names[0])


def use_ticket(path: Path, dense: Run) -> None:
    run = replace(dense, config=replace(dense.config, ticket=str(path)))
    ticket = open_ticket(run)
    first_epoch(run, ticket)
    start_from(ticket, run, run.build_model())


def use_store(open_dataset: Callable[[], SkeletonDataset], expected: list[torch.Tensor]) -> None:
    """A store is the one that was written, or is made again."""
    found = open_dataset()
    assert len(found) == len(expected)
    for number in (0, len(found) - 1):
        assert torch.equal(found[number].x, expected[number]), "other data than were written"


def annotations(rng: np.random.Generator) -> dict[str, Any]:
    clips = [
        {
            "frame_dir": f"clip{number:02}",
            "label": number % 3,
            "total_frames": 12,
            "keypoint": rng.normal(size=(1 + number % 2, 12, 5, 3)).astype(np.float32),
        }
        for number in range(18)
    ]
    names = [clip["frame_dir"] for clip in clips]
    meta = {"classes": ["a", "b", "c"], "joints": [f"joint{i}" for i in range(5)], "center": 2}
    return {
        "split": {"xsub_train": names[:12], "xsub_val": names[12:]},
        "annotations": clips,
        "meta": {**meta, "edges": [(1, 0), (2, 1), (3, 2), (4, 3)]},
    }


def make_kinds(folder: Path) -> dict[str, Kind]:
    """Runs and datasets in a folder, and what of them is mutated."""
    data = folder / "tiny.pkl"
    data.write_bytes(pickle.dumps(annotations(np.random.default_rng(0))))
    config = TrainConfig(str(data), root=str(folder / "data"), channels=4, clip_frames=8, epochs=1)
    config = replace(config, batch_size=6, eval_clips=1, accelerator="cpu", hold_out=0.25)
    train(replace(config, sparsity=0.9), folder / "sparse")
    train(replace(config, save_epoch=0), folder / "dense")
    train(replace(config, levels=[0.5, 0.8]), folder / "assembly")
    sparse, dense, assembly = (Run.open(folder / n) for n in ("sparse", "dense", "assembly"))
    kinds: dict[str, Kind] = {}

    def add(name: str, path: Path, mutate: Any, use: Callable[[], object], share: int = 1) -> None:
        kinds[name] = Kind(path, mutate, use, share)

    for run in (sparse, assembly):
        name = run.folder.name
        path = run.folder / "config.json"
        add(f"config of {name}", path, mutated_json, lambda r=run: use_run(r.folder), 6)
        add(f"weights of {name}", run.weights, mutated_safetensors, lambda r=run: use_run(r.folder))
        path = run.folder / "summary.json"
        add(f"summary of {name}", path, mutated_json, lambda r=run: read_summary(r.folder), 8)
    path = assembly.folder / "assembly.json"
    add("subsets", path, mutated_json, lambda: read_subsets(assembly.folder), 8)
    add("masks", sparse.masks, mutated_sparse, lambda: use_run(sparse.folder))
    path = sparse.predictions
    add("predictions", path, mutated_npz, lambda: use_predictions(sparse.predictions), 12)
    add("metrics", sparse.metrics, mutated_csv, lambda: read_metrics(sparse.metrics), 8)
    path = sparse.sparse_weights
    add("sparse weights", path, mutated_sparse, lambda: load_sparse(sparse.sparse_weights), 2)
    checkpoint = sparse.last_checkpoint
    reader = AtomicCheckpointIO()
    add("checkpoint", checkpoint, mutated_checkpoint, lambda: reader.load_checkpoint(checkpoint), 2)
    add_models(add, folder, sparse, dense)
    add_data(add, folder, data)
    return kinds


def add_models(add: Any, folder: Path, sparse: Run, dense: Run) -> None:
    """Weights that came from somewhere else."""
    model = dense.load_model()
    state = pyskl_state_dict(model)
    for name, new in (("pyskl", True), ("old pyskl", False)):
        path = folder / f"{name.replace(' ', '-')}.pth"
        content = {"meta": {"epoch": 16}, "state_dict": OrderedDict(state)}
        torch.save(content, path, _use_new_zipfile_serialization=new)
        add(name, path, mutated_checkpoint, lambda p=path: load_pyskl(dense.build_model(), p), 2)
    path = folder / "init.safetensors"
    save_file(model.state_dict(), path)
    use = lambda p=path: load_pretrained(dense.build_model(), p)  # noqa: E731
    add("init", path, mutated_safetensors, use)
    masks = {
        name: torch.rand(value.shape) > 0.9
        for name, value in model.state_dict().items()
        if value.dim() > 1 and not name.startswith(("head.", "data_norm."))
    }
    facts = {name: getattr(dense.config, name) for name in ("model", "graph", "channels")}
    facts |= {"in_channels": dense.in_channels, "classes": dense.classes, "epoch": 0}
    facts |= {"skeleton": dense.skeleton.to_dict(), "pattern": "unstructured"}
    ticket = folder / "ticket.safetensors"
    save_ticket(ticket, Ticket(masks, model.state_dict(), facts))
    add("ticket", ticket, mutated_sparse, lambda: use_ticket(ticket, dense), 2)
    exported, trained = folder / "exported.safetensors", sparse.load_model()
    assert not isinstance(trained, Assembly)
    save_recognizer(
        exported,
        trained,
        options=[{"name": name, **sparse.options} for name in sparse.backbones],
        classes=sparse.classes,
        preprocessing={"stream": "joint", "clip_frames": sparse.frames, "has_score": False},
    )
    add("exported", exported, mutated_sparse, lambda: load_recognizer(exported).transform())


def add_data(add: Any, folder: Path, data: Path) -> None:
    """A skeleton, a pickle, and the store of a pickle."""
    skeleton = folder / "skeleton.json"
    get_skeleton("coco17").to_json(skeleton)
    add("skeleton", skeleton, mutated_json, lambda: Skeleton.from_json(skeleton), 8)

    def open_dataset(root: str) -> SkeletonDataset:
        return SkeletonPickle(data, root=str(folder / root), split="all")

    def use_pickle() -> None:
        shutil.rmtree(folder / "other", ignore_errors=True)
        assert torch.isfinite(open_dataset("other")[0].x).all()

    add("pickle", data, mutated_bytes, use_pickle, 4)
    dataset = open_dataset("stored")
    expected = [clip.x for clip in dataset]
    for path in sorted(Path(dataset.processed_dir).rglob("*")):
        if path.suffix == ".npy" and path.is_file():
            mutate: Any = lambda d, r: mutated_bytes(d[:128], r) + d[128:]  # noqa: E731
        elif path.suffix == ".json":
            mutate = mutated_json
        else:
            continue
        use = lambda: use_store(lambda: open_dataset("stored"), expected)  # noqa: E731
        add(f"store {path.name}", path, mutate, use)


# ---- Counting ------------------------------------------------------------------------------------


class HangError(BaseException):
    """A mutation took too long; no handler of ours catches this."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@dataclass
class Outcome:
    """What became of one mutation: "accepted", "refused" or what went wrong, in words."""

    word: str
    detail: str = ""
    seconds: float = 0.0
    bytes: int = 0


def try_one(name: str, kind: Kind, number: int, seconds: float = 20.0) -> Outcome:
    """Mutate a file, open it, and put it back.

    Args:
        name: Of the kind.
        kind: What to mutate.
        number: Of the mutation.
        seconds: After which it counts as a hang.
    """
    rng = random.Random(f"{name} {number}")
    whole = kind.path.read_bytes()
    try:
        changed = kind.mutate(whole, rng)
    except Exception:  # Not every mutation is possible: texts make no numbers.
        changed = mutated_bytes(whole, rng)
    kind.path.write_bytes(changed)
    random.seed(0)
    torch.manual_seed(0)
    peak_before = reset_peak()
    started = time.monotonic()
    outcome = Outcome("accepted")
    try:
        with time_limit(seconds), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind.use()
    except InputError as error:
        outcome = Outcome("refused", str(error)[:1000])
        # An option of a configuration that is of the right type is named by itself.
        named = str(kind.path.parent) in str(error) or kind.path.name == "config.json"
        if "\n" in str(error) or len(str(error)) > 2000 or not named:
            outcome.word = "unclear"
    except HangError:
        outcome = Outcome("hang", f"more than {seconds} s")
    except Exception:
        outcome = Outcome("traceback", traceback.format_exc(limit=-4))
    finally:
        kind.path.write_bytes(whole)
    outcome.seconds = time.monotonic() - started
    outcome.bytes = max(0, peak() - peak_before)
    return outcome


def reset_peak() -> int:
    """Make the kernel count the peak of this process's memory from here on, where it can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return resident()


def peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def limit_memory(num_bytes: int) -> None:
    """Let this process have so much more address space than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + num_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def load_state(path: Path | None) -> dict[str, Any]:
    if path is None or not path.exists():
        return {"kinds": {}, "failures": []}
    return json.loads(path.read_text())


def chosen(kinds: dict[str, Kind], number: int) -> str:
    """The kind of the mutation of a number: each as often as its share says."""
    names = [name for name, kind in kinds.items() for _ in range(kind.share)]
    return names[number % len(names)]


def record(state: dict[str, Any], name: str, number: int, outcome: Outcome) -> None:
    counts = state["kinds"].setdefault(name, {"slowest": 0.0, "peak_mib": 0.0})
    counts[outcome.word] = counts.get(outcome.word, 0) + 1
    counts["slowest"] = max(counts["slowest"], round(outcome.seconds, 2))
    counts["peak_mib"] = max(counts["peak_mib"], round(outcome.bytes / MIB, 1))
    if outcome.word not in ("accepted", "refused"):
        state["failures"].append([name, number, outcome.word, outcome.detail[-1500:]])


def show(state: dict[str, Any]) -> None:
    words = ("accepted", "refused", "unclear", "traceback", "hang")
    print(f"{'kind':24}" + "".join(f"{word:>10}" for word in (*words, "slowest", "peak MiB")))
    total: Counter[str] = Counter()
    for name, counts in sorted(state["kinds"].items()):
        numbers = [counts.get(word, 0) for word in words]
        total.update(dict(zip(words, numbers, strict=True)))
        ends = f"{counts['slowest']:>10}{counts['peak_mib']:>10}"
        print(f"{name:24}" + "".join(f"{number:>10}" for number in numbers) + ends)
    print(f"{'all':24}" + "".join(f"{total[word]:>10}" for word in words))
    where = Counter(
        (name, word, detail.splitlines()[-1][:120] if detail else "")
        for name, _, word, detail in state["failures"]
    )
    first = {}
    for name, number, word, detail in state["failures"]:
        key = (name, word, detail.splitlines()[-1][:120] if detail else "")
        first.setdefault(key, number)
    for (name, word, line), count in where.most_common(40):
        print(f"{count:>5} x {name}, first number {first[name, word, line]}: {word}: {line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=10_000, help="mutations of this call")
    parser.add_argument("--first", type=int, help="number of the first; default: after the last")
    parser.add_argument("--only", help="the only kind of file")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a hang")
    parser.add_argument("--memory", type=int, default=4096, help="MiB that a mutation may take")
    parser.add_argument("--state", type=Path, help="JSON file of the counts, to go on from")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    state = load_state(arguments.state)
    first = state.get("next", 0) if arguments.first is None else arguments.first
    if arguments.state:
        arguments.state = arguments.state.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        os.chdir(temporary)  # A mutated path may be relative.
        kinds = make_kinds(Path(temporary))
        if arguments.only:
            kinds = {arguments.only: kinds[arguments.only]}
        limit_memory(arguments.memory * MIB)
        columns = (*Progress.get_default_columns()[:2], TextColumn("{task.completed}/{task.total}"))
        with Progress(*columns, TimeRemainingColumn(), disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("mutations", total=arguments.count)
            for number in range(first, first + arguments.count):
                name = chosen(kinds, number)
                record(state, name, number, try_one(name, kinds[name], number, arguments.seconds))
                progress.advance(task)
                state["next"] = number + 1
                if arguments.state and number % 200 == 0:
                    arguments.state.write_text(json.dumps(state))
    if arguments.state:
        arguments.state.write_text(json.dumps(state))
    show(state)
    if arguments.count == 1 and state["failures"]:
        print(state["failures"][-1][-1])
    sys.exit(bool(state["failures"]))


if __name__ == "__main__":
    main()
