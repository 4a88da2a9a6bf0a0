"""Time and memory of a trained model in its forms."""

from __future__ import annotations

import ctypes
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.profiling.backends import Clips, Runner, make_form
from pyg_stgcn.runtime.fold import copy_plain

WARM_UP = 2


@dataclass(frozen=True)
class Setting:
    """What is run.

    Args:
        threads: Threads of torch, or of onnxruntime.
        clips: Clips at once.
        persons: Persons of each.
        frames: Frames of each.
    """

    threads: int
    clips: int
    persons: int
    frames: int


@dataclass(frozen=True)
class Measurement:
    """One form in one setting.

    Args:
        form: The form, see :data:`~pyg_stgcn.profiling.backends.BACKENDS`.
        setting: The setting.
        milliseconds: Median time of a pass.
        fastest: The first tenth of the times.
        slowest: The last tenth.
        ratio: Median of how many times faster than the first form it was in the same round.
        ratio_low: The first tenth of these ratios.
        ratio_high: The last tenth.
        difference: Largest difference of the logits from those of the first form, as a share of the
            largest logit.
        peak_bytes: What passes add to the memory of a process at most, if that can be known.
    """

    form: str
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
        """One flat row."""
        row = asdict(self)
        return {"form": row.pop("form"), **row.pop("setting"), **row}


def compare_backends(
    model: Backbone | Assembly,
    forms: Sequence[str],
    settings: Sequence[Setting],
    rounds: int,
    tell: Callable[[str], None],
) -> Iterator[Measurement]:
    """Time the forms of a trained model in turns, one pass each, setting by setting.

    Args:
        model: The trained model.
        forms: Some of :data:`~pyg_stgcn.profiling.backends.BACKENDS`; the others are compared with
            the first.
        settings: What to run.
        rounds: How often.
        tell: Told what is being done.

    Yields:
        For each setting one measurement a form.
    """
    peaks = {}
    for form in forms:
        tell(f"memory of {form}")
        peaks[form] = _peaks(form, model, settings)
    threads_before, made = torch.get_num_threads(), _Made()
    try:
        for number, setting in enumerate(settings):
            torch.set_num_threads(setting.threads)
            clips = Clips.of(model, setting.clips, setting.persons, setting.frames)
            runners, outputs = {}, {}
            for form in forms:
                tell(f"{form}, {_words(setting)}")
                runners[form] = made.runner(form, model, setting)
                outputs[form] = _first_passes(runners[form], clips)
            tell(f"{rounds} rounds, {_words(setting)}")
            times = _paired(runners, clips, rounds)
            for form in forms:
                yield _measurement(form, setting, times, outputs, peaks[form][number])
    finally:
        torch.set_num_threads(threads_before)


class _Made:
    """Forms that are made once for all settings with as many threads and frames.

    Args:
        hoard: See :func:`~pyg_stgcn.profiling.backends.make_form`.
    """

    def __init__(self, hoard: bool = True) -> None:
        self.hoard = hoard
        self.runners: dict[tuple[str, int, int], Runner] = {}

    def runner(self, form: str, model: nn.Module, setting: Setting) -> Runner:
        key = (form, setting.threads, setting.frames)
        # What torch compiles is for one size.
        if key not in self.runners or form == "compile":
            self.runners[key] = make_form(form, model, setting.frames, self.hoard)
        return self.runners[key]


def _words(setting: Setting) -> str:
    return (
        f"{setting.clips} x {setting.persons} persons, {setting.frames} frames, "
        f"{setting.threads} threads"
    )


@torch.inference_mode()
def _first_passes(run: Runner, clips: Clips) -> Tensor:
    for _ in range(WARM_UP):
        logits = run(clips)
    return logits.float().cpu()


@torch.inference_mode()
def _paired(runners: Mapping[str, Runner], clips: Clips, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each form in each round."""
    times: dict[str, list[float]] = {form: [] for form in runners}
    for _ in range(rounds):
        for form, run in runners.items():
            start = time.perf_counter()
            run(clips)
            if clips.x.is_cuda:
                torch.cuda.synchronize(clips.x.device)
            times[form].append(1000 * (time.perf_counter() - start))
    return times


def _measurement(
    form: str,
    setting: Setting,
    times: Mapping[str, list[float]],
    outputs: Mapping[str, Tensor],
    peak: int | None,
) -> Measurement:
    first = next(iter(times))
    reference = outputs[first]
    ratios = [slow / fast for slow, fast in zip(times[first], times[form], strict=True)]
    fastest, slowest = _tenths(times[form])
    low, high = _tenths(ratios)
    difference = (outputs[form] - reference).abs().max() / reference.abs().max()
    return Measurement(
        form=form,
        setting=setting,
        milliseconds=statistics.median(times[form]),
        fastest=fastest,
        slowest=slowest,
        ratio=statistics.median(ratios),
        ratio_low=low,
        ratio_high=high,
        difference=float(difference),
        peak_bytes=peak,
    )


def _tenths(values: list[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, *_, high = statistics.quantiles(values, n=10, method="inclusive")
    return low, high


def _peaks(form: str, model: nn.Module, settings: Sequence[Setting]) -> list[int | None]:
    """The memory of one form in all settings, in a process of its own."""
    if next(model.parameters()).is_cuda:
        return [_gpu_peak(form, model, setting) for setting in settings]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_peaks_here, form, copy_plain(model), settings).result()


@torch.inference_mode()
def _peaks_here(form: str, model: Any, settings: Sequence[Setting]) -> list[int | None]:
    found: list[int | None] = []
    made = _Made(hoard=False)
    for setting in settings:
        torch.set_num_threads(setting.threads)
        clips = Clips.of(model, setting.clips, setting.persons, setting.frames)
        run = made.runner(form, model, setting)
        run(clips)  # makes what stays
        before = _forget_peak()
        run(clips)
        now = _resident("VmHWM")
        found.append(None if before is None or now is None else now - before)
    return found


@torch.inference_mode()
def _gpu_peak(form: str, model: Any, setting: Setting) -> int:
    clips = Clips.of(model, setting.clips, setting.persons, setting.frames)
    run = make_form(form, model, setting.frames)
    run(clips)
    device = clips.x.device
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run(clips)
    return torch.cuda.max_memory_allocated(device) - before


def _forget_peak() -> int | None:
    """Makes the present memory of this process its largest so far; Linux only."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # else what was freed would still count
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except (OSError, AttributeError, TypeError):
        return None
    return _resident("VmRSS")


def _resident(name: str) -> int | None:
    """Bytes of memory of this process by their name in ``/proc``; Linux only."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return None
    kilobytes = [line.split()[1] for line in status.splitlines() if line.startswith(f"{name}:")]
    return 1024 * int(kilobytes[0]) if kilobytes else None
