"""Time and memory of a trained model by several backends."""

from __future__ import annotations

import ctypes
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.example_clips import random_clips
from pyg_stgcn.models.plain_copy import copy_plain
from pyg_stgcn.profiling.backends import make_runner
from pyg_stgcn.profiling.dense_engines import Runner, engine_instructions
from pyg_stgcn.text import count

WARM_UP = 2

Clips = tuple[Tensor, Tensor, int]


@dataclass(frozen=True)
class Setting:
    """The size of a measurement.

    Args:
        threads: Threads of torch, or of the engine.
        clips: Clips of a batch.
        persons: Persons of each.
        frames: Frames of each.
    """

    threads: int
    clips: int
    persons: int
    frames: int


@dataclass(frozen=True)
class Measurement:
    """One backend in one setting.

    Args:
        backend: The backend, see :data:`~pyg_stgcn.profiling.backends.BACKENDS`.
        setting: The setting.
        milliseconds: Median time of a pass.
        fastest: First decile of the times.
        slowest: Last decile of the times.
        ratio: Median speed-up over the first backend, round by round.
        ratio_low: First decile of the speed-ups.
        ratio_high: Last decile of the speed-ups.
        difference: Largest difference of the logits from those of the first backend, divided by the
            largest logit.
        peak_bytes: Memory that passes add to a process, at most; None if unknown.
    """

    backend: str
    setting: Setting
    milliseconds: float
    fastest: float
    slowest: float
    ratio: float
    ratio_low: float
    ratio_high: float
    difference: float
    peak_bytes: int | None

    def to_dict(self) -> dict[str, Any]:
        """A flat row."""
        row = asdict(self)
        return {"backend": row.pop("backend"), **row.pop("setting"), **row}


def compare_backends(
    model: Backbone | Assembly,
    backends: Sequence[str],
    settings: Sequence[Setting],
    rounds: int,
    tell: Callable[[str], None],
) -> Iterator[Measurement]:
    """Time a trained model by several backends in turns, one pass each, setting by setting.

    Args:
        model: The trained model.
        backends: Some of :data:`~pyg_stgcn.profiling.backends.BACKENDS`; the others are compared
            with the first.
        settings: The sizes to measure.
        rounds: Number of passes of every backend.
        tell: Receives a line about every step.

    Yields:
        One measurement of every backend for each setting.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield from _compare(model, backends, settings, rounds, tell, Path(folder))


def _compare(
    model: Backbone | Assembly,
    backends: Sequence[str],
    settings: Sequence[Setting],
    rounds: int,
    tell: Callable[[str], None],
    folder: Path,
) -> Iterator[Measurement]:
    peaks = {}
    for backend in backends:
        instructions = engine_instructions(backend)
        tell(f"memory of {backend}" + (f", which runs on {instructions}" if instructions else ""))
        peaks[backend] = _peaks(backend, model, settings, folder)
    threads_before, made = torch.get_num_threads(), _Runners(folder)
    try:
        for number, setting in enumerate(settings):
            torch.set_num_threads(setting.threads)
            clips = random_clips(model, setting.clips, setting.persons, setting.frames)
            runners, outputs = {}, {}
            for backend in backends:
                tell(f"{backend}, {_words(setting)}")
                runners[backend] = made.get(backend, model, setting)
                outputs[backend] = _first_passes(runners[backend], clips)
            tell(f"{count(rounds, 'round')}, {_words(setting)}")
            times = _paired(runners, clips, rounds)
            for backend in backends:
                yield _measurement(backend, setting, times, outputs, peaks[backend][number])
    finally:
        torch.set_num_threads(threads_before)


class _Runners:
    """Runners, made once for all settings with the same number of threads.

    Args:
        folder: See :func:`~pyg_stgcn.profiling.backends.make_runner`.
        keep_memory: The same.
    """

    def __init__(self, folder: Path, keep_memory: bool = True) -> None:
        self.folder = folder
        self.keep_memory = keep_memory
        self.found: dict[tuple[str, int], Runner] = {}

    def get(self, backend: str, model: Backbone | Assembly, setting: Setting) -> Runner:
        key = (backend, setting.threads)
        # torch.compile works for one size.
        if key not in self.found or backend == "compile":
            self.found[key] = make_runner(backend, model, self.folder, self.keep_memory)
        return self.found[key]


def _words(setting: Setting) -> str:
    return (
        f"{setting.clips} x {count(setting.persons, 'person')}, {count(setting.frames, 'frame')}, "
        f"{count(setting.threads, 'thread')}"
    )


@torch.inference_mode()
def _first_passes(run: Runner, clips: Clips) -> Tensor:
    for _ in range(WARM_UP):
        logits = run(*clips)
    return logits.float().cpu()


@torch.inference_mode()
def _paired(runners: Mapping[str, Runner], clips: Clips, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each backend in each round."""
    times: dict[str, list[float]] = {backend: [] for backend in runners}
    for _ in range(rounds):
        for backend, run in runners.items():
            start = time.perf_counter()
            run(*clips)
            if clips[0].is_cuda:
                torch.cuda.synchronize(clips[0].device)
            times[backend].append(1000 * (time.perf_counter() - start))
    return times


def _measurement(
    backend: str,
    setting: Setting,
    times: Mapping[str, list[float]],
    outputs: Mapping[str, Tensor],
    peak: int | None,
) -> Measurement:
    first = next(iter(times))
    reference = outputs[first]
    ratios = [slow / fast for slow, fast in zip(times[first], times[backend], strict=True)]
    fastest, slowest = _deciles(times[backend])
    low, high = _deciles(ratios)
    difference = (outputs[backend] - reference).abs().max() / reference.abs().max()
    return Measurement(
        backend=backend,
        setting=setting,
        milliseconds=statistics.median(times[backend]),
        fastest=fastest,
        slowest=slowest,
        ratio=statistics.median(ratios),
        ratio_low=low,
        ratio_high=high,
        difference=float(difference),
        peak_bytes=peak,
    )


def _deciles(values: list[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, *_, high = statistics.quantiles(values, n=10, method="inclusive")
    return low, high


def _peaks(
    backend: str, model: Backbone | Assembly, settings: Sequence[Setting], folder: Path
) -> list[int | None]:
    """The memory of a backend in all settings, in a process of its own."""
    if next(model.parameters()).is_cuda:
        return [_gpu_peak(backend, model, setting, folder) for setting in settings]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_peaks_here, backend, copy_plain(model), settings, folder).result()


@torch.inference_mode()
def _peaks_here(
    backend: str, model: Any, settings: Sequence[Setting], folder: Path
) -> list[int | None]:
    found: list[int | None] = []
    runners = _Runners(folder, keep_memory=False)
    for setting in settings:
        torch.set_num_threads(setting.threads)
        clips = random_clips(model, setting.clips, setting.persons, setting.frames)
        run = runners.get(backend, model, setting)
        run(*clips)  # allocates what later passes use again
        before = _reset_peak()
        run(*clips)
        now = _resident("VmHWM")
        found.append(None if before is None or now is None else now - before)
    return found


@torch.inference_mode()
def _gpu_peak(backend: str, model: Any, setting: Setting, folder: Path) -> int:
    clips = random_clips(model, setting.clips, setting.persons, setting.frames)
    run = make_runner(backend, model, folder)
    run(*clips)
    device = clips[0].device
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run(*clips)
    return torch.cuda.max_memory_allocated(device) - before


def _reset_peak() -> int | None:
    """Resets the peak memory of this process to the current one, and returns it; Linux only."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # freed memory would count otherwise
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except (OSError, AttributeError, TypeError):
        return None
    return _resident("VmRSS")


def _resident(name: str) -> int | None:
    """An entry of ``/proc/self/status`` in bytes; Linux only."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return None
    kilobytes = [line.split()[1] for line in status.splitlines() if line.startswith(f"{name}:")]
    return 1024 * int(kilobytes[0]) if kilobytes else None
