"""Launchers by name, with their options; imports little."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyg_stgcn.errors import InputError
from pyg_stgcn.ranges import Range, whole
from pyg_stgcn.text import suggestion

if TYPE_CHECKING:
    from pyg_stgcn.studies.launching import Launcher

LOCAL, SLURM, RAY = LAUNCHERS = ("local", "slurm", "ray")
#: Folder in that of a study for what a launcher writes.
FOLDER = "launcher"
#: Options of the launchers: a range of numbers, or the choices of a text, if there are any.
OPTIONS: Mapping[str, Mapping[str, Range | tuple[str, ...]]] = {
    LOCAL: {},
    SLURM: {
        "cluster": ("slurm", "local"),
        "retries": whole(0, 1_000),
        # submitit asks for a signal 90 seconds before the end.
        "time": whole(10, 1_000_000),
        "cpus_per_task": whole(1, 10_000),
        **dict.fromkeys(("gpus_per_node", "gres", "mem", "mem_per_cpu", "mem_per_gpu"), ()),
        **dict.fromkeys(("partition", "account", "qos", "constraint", "nodelist", "exclude"), ()),
        **dict.fromkeys(("comment", "setup"), ()),
    },
    RAY: {
        "address": (),
        "retries": whole(0, 1_000),
        "cpus": whole(1, 10_000),
        "gpus": Range(0, 10_000),
        "memory_gb": Range(0, 1_000_000, low_open=True),
    },
}
#: Number of times that one run may be lost.
_RETRIES = 3


def parse_launcher_options(name: str, words: Iterable[str]) -> dict[str, Any]:
    """Options of a launcher, from words such as ``"time=600"``.

    Args:
        name: One of :data:`LAUNCHERS`.
        words: Each a name of :data:`OPTIONS`, ``=``, and a value.

    Raises:
        InputError: A word is not one of these, or a value is out of range.

    Example:
        >>> parse_launcher_options("slurm", ["partition=gpu", "time=600"])
        {'partition': 'gpu', 'time': 600}
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if key not in OPTIONS[name]:
            known = ", ".join(OPTIONS[name]) or "none"
            raise InputError(
                f"launcher_options {word}: {key!r} is not an option of launcher={name!r}"
                f"{suggestion(key, OPTIONS[name])}; there are {known}"
            )
        if not equals or not text:
            raise InputError(f"launcher_options {word}: has no value; write {key}=VALUE")
        found[key] = _value(word, text, OPTIONS[name][key])
    return found


def _value(word: str, text: str, allowed: Range | tuple[str, ...]) -> Any:
    if isinstance(allowed, tuple):
        if allowed and text not in allowed:
            raise InputError(
                f"launcher_options {word}: {text!r} is not one of {', '.join(allowed)}"
                f"{suggestion(text, allowed)}"
            )
        return text
    try:
        value = int(text) if allowed.whole else float(text)
    except ValueError:
        raise InputError(f"launcher_options {word}: {text!r} is no number") from None
    if value not in allowed:
        raise InputError(f"launcher_options {word}: is out of range; choose from {allowed}")
    return value


@contextmanager
def open_launcher(name: str, options: Mapping[str, Any], folder: Path) -> Iterator[Launcher]:
    """A launcher; it connects to its cluster with the first run, until the end of the context.

    Args:
        name: One of :data:`LAUNCHERS`.
        options: See :func:`parse_launcher_options`.
        folder: Of the whole study. Its sub-folder :data:`FOLDER` gets the logs of a cluster.

    Raises:
        InputError: The package that the launcher needs is not installed.
    """
    # Imported on use: the command line needs the names above only.
    from pyg_stgcn.studies.cluster_launcher import ClusterLauncher
    from pyg_stgcn.studies.local_launcher import LocalLauncher
    from pyg_stgcn.studies.ray_engine import RayEngine
    from pyg_stgcn.studies.slurm_engine import SlurmEngine

    given = dict(options)
    retries = given.pop("retries", _RETRIES)
    folder = folder.absolute() / FOLDER
    if name == LOCAL:
        yield LocalLauncher()
    elif name == SLURM:
        yield ClusterLauncher(SlurmEngine(folder / "submitit", given), folder, retries)
    else:
        with closing(RayEngine(given)) as engine:
            yield ClusterLauncher(engine, folder, retries)


def import_for(name: str, package: str) -> Any:
    """Import the package that a launcher needs.

    Raises:
        InputError: It is not installed.
    """
    try:
        return import_module(package)
    except ImportError:
        raise InputError(
            f"launcher={name!r} needs the package {package}: pip install 'pyg-stgcn[{name}]'"
        ) from None
