"""Times how clips get from raw files to an open store, on generated data of the size of
NTU RGB+D 120.

    python benchmarks/datasets.py parse prepare open

"parse" makes clips of raw files, by a plain parser and by ours; "prepare" writes 114,480 clips into
a store; "open" opens it in a new process, where its source is a folder of as many files, where that
folder has just been touched, and where it is gone. Shown are medians over rounds, with the smallest
and the largest; ratios are those within a round. Processor time hardly depends on other programs.
Memory is read from /proc: Linux only.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import re
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pyg_stgcn import get_skeleton
from pyg_stgcn.datasets import Clip, SkeletonDataset
from pyg_stgcn.datasets.readers.ntu_file import Body, Recording, parse_recording
from pyg_stgcn.datasets.readers.ntu_persons import select_persons
from pyg_stgcn.datasets.readers.raw_files import (
    RawFile,
    list_raw_files,
    name_files,
    read_bytes,
    read_clips,
)
from pyg_stgcn.datasets.readers.reading import ClipSource

CLIPS, RAW_FILES, JOINTS, CLASSES = 114_480, 512, 25, 120


def num_frames(rng: np.random.Generator) -> int:
    """Frames of a clip, 80 on average."""
    return int(rng.integers(40, 121))


def num_persons(rng: np.random.Generator) -> int:
    """Persons of a clip, 1.2 on average."""
    return 1 + int(rng.random() < 0.2)


def clip_name(number: int) -> str:
    """A name in the format of NTU's."""
    setup, rest = divmod(number, 3 * 106 * 2 * CLASSES)
    camera, rest = divmod(rest, 106 * 2 * CLASSES)
    performer, rest = divmod(rest, 2 * CLASSES)
    replication, action = divmod(rest, CLASSES)
    numbers = (setup, camera, performer, replication, action)
    return "".join(f"{k}{n + 1:03}" for k, n in zip("SCPRA", numbers, strict=True))


class Generated(SkeletonDataset):
    """Clips cut out of random numbers; the source is a folder whose files are not read."""

    name = "generated"
    raw_file_names = ("files",)
    source_suffixes = (".skeleton",)

    def read(self) -> ClipSource:
        names = [clip_name(number) for number in range(CLIPS)]
        return ClipSource(
            skeleton=get_skeleton("ntu25"),
            classes=[f"action {number}" for number in range(CLASSES)],
            splits={
                f"{benchmark}_{part}": names[start::2]
                for benchmark in ("xsub", "xset")
                for start, part in enumerate(("train", "val"))
            },
            clips=self._clips(names),
            total=len(names),
            dtype="float16",
        )

    def _clips(self, names: Sequence[str]) -> Iterator[Clip]:
        rng = np.random.default_rng(0)
        # No two clips start with the same frame: copies would be looked for and reported.
        pool = rng.normal(0, 0.5, (len(names) + 240, JOINTS, 3)).astype(np.float16)
        for number, name in enumerate(names):
            frames, persons = num_frames(rng), num_persons(rng)
            rows = pool[number : number + persons * frames]
            yield Clip(name, number % CLASSES, rows.reshape(persons, frames, JOINTS, 3))


def write_raw_files(folder: Path) -> None:
    """Raw files with as many digits as the published ones, some of them copies of others."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    texts = [recording_text(rng) for _ in range(16)]
    for number, text in zip(range(RAW_FILES), itertools.cycle(texts)):
        (folder / f"{clip_name(number)}.skeleton").write_bytes(text)


def recording_text(rng: np.random.Generator) -> bytes:
    """The contents of a raw file."""
    frames, persons = num_frames(rng), num_persons(rng)
    lines = [str(frames)]
    for _ in range(frames):
        lines.append(str(persons))
        for person in range(persons):
            lines += [f"{72057594037931101 + person} 0 1 1 1 1 0 0.02764709 0.05745083 2", "25"]
            for numbers in rng.normal(0, (1, 1, 1, 99, 99, 999, 999, 1, 1, 1, 1), (JOINTS, 11)):
                lines.append(" ".join(f"{number:.7g}" for number in numbers) + " 2")
    return "\r\n".join([*lines, ""]).encode()


def parse_plainly(path: Path, fields: int | None = None) -> Recording:
    """A raw file, line by line: all numbers of a joint, as is common, or only the first ones."""
    frames_of: dict[str, list[int]] = {}
    joints_of: dict[str, list[list[list[float]]]] = {}
    with path.open() as lines:
        length = int(next(lines))
        for frame in range(length):
            for _ in range(int(next(lines))):
                body = next(lines).split()[0]
                count = int(next(lines))
                joints = [[float(x) for x in next(lines).split()[:fields]] for _ in range(count)]
                frames_of.setdefault(body, []).append(frame)
                joints_of.setdefault(body, []).append(joints)
    bodies = [
        Body(np.array(frames), np.array(joints_of[body], np.float32)[..., :3])
        for body, frames in frames_of.items()
    ]
    return Recording(length, bodies)


def read_plainly(files: Mapping[str, RawFile]) -> list[Clip]:
    """Clips of raw files, by the plain parser."""
    return [make_clip(name, parse_plainly(file.path)) for name, file in files.items()]


def read_positions_plainly(files: Mapping[str, RawFile]) -> list[Clip]:
    """The same, without the numbers that are not kept."""
    return [make_clip(name, parse_plainly(file.path, fields=3)) for name, file in files.items()]


def read_in_one_process(files: Mapping[str, RawFile]) -> list[Clip]:
    """The same, by our parser."""
    return [read_clip(name, file) for name, file in files.items()]


def read_on_all_cores(files: Mapping[str, RawFile]) -> list[Clip]:
    """The same, as a dataset is prepared."""
    return list(read_clips(read_clip, files))


def read_clip(name: str, file: RawFile) -> Clip:
    """A clip, by our parser."""
    return make_clip(name, parse_recording(read_bytes(file), str(file)))


def make_clip(name: str, recording: Recording) -> Clip:
    """The persons of a raw file."""
    return Clip(name, int(name[-3:]) - 1, select_persons(recording))


READERS = {
    "plain": read_plainly,
    "plain, x y z": read_positions_plainly,
    "one process": read_in_one_process,
    "all cores": read_on_all_cores,
}


class Seconds(NamedTuple):
    """Time by the clock and of processors, that of finished child processes included."""

    elapsed: float
    processor: float


def seconds(function: Callable[[], object]) -> Seconds:
    """Seconds that a call takes."""
    before = _now()
    function()
    return Seconds(*(b - a for a, b in zip(before, _now(), strict=True)))


def _now() -> Seconds:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = time.process_time() + children.ru_utime + children.ru_stime
    return Seconds(time.perf_counter(), processor)


def spread(values: Sequence[float], spec: str = "6.2f") -> str:
    """The median, and from where to where."""
    return f"{statistics.median(values):{spec}} ({min(values):{spec}} to {max(values):{spec}})"


def memory(kind: str) -> float:
    """MiB of this process: ``VmRSS`` now, ``VmHWM`` at most so far."""
    # Not getrusage: its value for a new process includes the parent.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.findall(rf"{kind}:\s+(\d+) kB", status)[0]) / 1024


def in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function in a process that has only the imports of this file."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def time_parsing(root: Path, rounds: int) -> None:
    """Prints how fast raw files become clips."""
    folder = root / "raw files"
    write_raw_files(folder)
    files = name_files(list_raw_files(folder, ".skeleton"), lambda file: file.path.stem)
    size = sum(file.path.stat().st_size for file in files.values()) / 1e6
    expected, *others = (read(files) for read in READERS.values())
    for found in others:
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one.keypoint, other.keypoint)
    taken: dict[str, list[Seconds]] = {name: [] for name in READERS}
    for _ in range(rounds):
        for name, read in READERS.items():
            taken[name].append(seconds(lambda read=read: read(files)))
    for name, times in taken.items():
        speeds = [size / t.elapsed for t in times]
        pairs = list(zip(taken["plain"], times, strict=True))
        ratios = [plain.elapsed / t.elapsed for plain, t in pairs]
        by_processor = [plain.processor / t.processor for plain, t in pairs]
        print(
            f"parse    {name:14} {spread(speeds, '6.1f')} MB/s   {spread(ratios, '5.2f')} times "
            f"plain, {spread(by_processor, '5.2f')} by processor time",
            flush=True,
        )


def prepare(root: Path) -> tuple[Seconds, float, float]:
    """Seconds to build the store, and MiB before and at most."""
    before = memory("VmRSS")
    taken = seconds(lambda: Generated(root, split="all"))
    return taken, before, memory("VmHWM")


def make_source(root: Path) -> None:
    """A folder of as many files as there are clips, unpacked an hour ago."""
    folder = root / "raw/files"
    folder.mkdir(parents=True)
    for number in range(CLIPS):
        (folder / f"{clip_name(number)}.skeleton").touch()
    hour_ago = time.time() - 3600
    os.utime(folder, (hour_ago, hour_ago))


def time_preparing(root: Path) -> None:
    """Prints the cost of building the store."""
    make_source(root)
    taken, before, peak = in_new_process(prepare, root)
    size = sum(path.stat().st_size for path in (root / "processed").rglob("*.npy"))
    print(
        f"prepare  {CLIPS:,} clips, {size / 2**30:.2f} GiB: {taken.elapsed:.1f} s, "
        f"{taken.processor:.1f} s of processor time, {peak:.0f} MiB at most, {before:.0f} before",
        flush=True,
    )


def open_store(root: Path) -> tuple[float, float, float]:
    """Milliseconds by the clock and of processors, and MiB, to open the store."""
    before = memory("VmRSS")
    datasets: list[Generated] = []
    taken = seconds(lambda: datasets.append(Generated(root, split="train")))
    added = memory("VmRSS") - before
    return 1e3 * taken.elapsed, 1e3 * taken.processor, added


def time_opening(root: Path, rounds: int) -> None:
    """Prints the cost of opening the store."""
    folder, away = root / "raw/files", root / "away"
    mtime = folder.stat().st_mtime_ns
    states: dict[str, Callable[[], object]] = {
        "folder": lambda: os.utime(folder, ns=(mtime, mtime)),
        "folder touched": lambda: os.utime(folder),
        "folder gone": lambda: folder.rename(away),
    }
    found: dict[str, list[tuple[float, float, float]]] = {state: [] for state in states}
    for _ in range(rounds):
        for state, enter in states.items():
            enter()
            found[state].append(in_new_process(open_store, root))
        away.rename(folder)
    for state, results in found.items():
        elapsed, processor, added = (
            spread(values, "6.1f") for values in zip(*results, strict=True)
        )
        print(
            f"open     {state:14} {elapsed} ms, {processor} ms of processor time, {added} MiB",
            flush=True,
        )


PARTS = ("parse", "prepare", "open")


def main() -> None:
    """Runs the chosen parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="|".join(PARTS))
    parser.add_argument("--folder", help="where to put 2 GB for a while", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        root = Path(name)
        if "parse" in arguments.parts:
            time_parsing(root, arguments.rounds)
        if set(arguments.parts) != {"parse"}:
            time_preparing(root)
        if "open" in arguments.parts:
            time_opening(root, arguments.rounds)


if __name__ == "__main__":
    main()
