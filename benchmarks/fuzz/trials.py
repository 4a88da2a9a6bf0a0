"""One mutation: its outcome, time and memory."""

from __future__ import annotations

import contextlib
import random
import resource
import signal
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from kinds import Kind
from mutations import mutated_bytes

from pyg_stgcn.errors import InputError


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
    """The result of one mutation: "accepted", "refused" or an error in words."""

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
        named = str(kind.path.parent) in str(error) or kind.path.name == "config.toml"
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
