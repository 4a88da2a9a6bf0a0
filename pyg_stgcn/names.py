"""Names that users choose from, known without importing torch.

The registries of classes are elsewhere; the tests compare them with these names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from pyg_stgcn.errors import InputError
from pyg_stgcn.text import suggestion

BACKBONES = ("aagcn", "ctrgcn", "dgstgcn", "stgcn", "stgcnpp")
STREAMS = ("joint", "bone", "joint-motion", "bone-motion")
#: Prefixes of the names of weights that PYSKL has published.
ZOO_PREFIXES = ("pyskl/", "pyskl:")
#: Beside ``"distance-k"`` for any k, see :func:`hops_of`.
PARTITIONS = ("stgcn_spatial", "spatial", "random", "uniform", "binary_adj")
#: Fractions of the frames that are dropped. Only "severe" is published, as about 75 %.
SEVERITIES = {"minor": 0.25, "moderate": 0.5, "severe": 0.75}
MODES = ("random", "block", "prefix", "suffix", "periodic")
#: Augmentations, with the default of their number.
AUGMENTATIONS = {
    "mirror": 0.5,
    "crop": 0.5,
    "speed": 0.2,
    "noise": 0.01,
    "joint-dropout": 0.1,
    "frame-loss": 0.25,
}


def check_name(kind: str, name: str, choices: Iterable[str], more: str = "") -> None:
    """Check that a name is one of several.

    Args:
        kind: Kind of the named thing, for the message.
        name: The name.
        choices: All valid names.
        more: End of the message, after the choices.

    Raises:
        InputError: It is not; the message suggests the most similar name.

    Example:
        >>> check_name("model", "stgc", BACKBONES)
        Traceback (most recent call last):
        pyg_stgcn.errors.InputError: model 'stgc': there is no such model (did you mean 'stgcn'?); \
choose one of aagcn, ctrgcn, dgstgcn, stgcn, stgcnpp
    """
    choices = list(choices)
    if name not in choices:
        raise InputError(
            f"{kind} {name!r}: there is no such {kind}{suggestion(name, choices)}; choose one of "
            f"{', '.join(choices)}{more}"
        )


def is_published(weights: object) -> bool:
    """Whether this is the name of published weights, such as ``"pyskl/hagrid"``, and no file."""
    named = isinstance(weights, str) and weights.startswith(ZOO_PREFIXES)
    return named and not Path(str(weights)).is_file()


def hops_of(partition: str) -> int | None:
    """The number of hops of a partition such as ``"distance-3"``; ``None`` for other partitions."""
    found = re.fullmatch(r"distance-([1-9]\d{0,3})", partition)
    return int(found[1]) if found else None


def check_partition(name: str) -> None:
    """Check the name of a partition of a skeleton graph.

    Raises:
        InputError: There is no such partition.
    """
    if hops_of(name) is None:
        check_name("partition", name, PARTITIONS, ", distance-k (k = 1, 2, ...)")


def parse_streams(stream: str) -> tuple[str, ...]:
    """Takes ``"joint+bone"`` apart; the channels of a clip grow by the number of streams.

    Raises:
        InputError: If one of the names is not that of a stream, or comes twice.
    """
    names = tuple(stream.split("+"))
    for name in names:
        check_name("stream", name, STREAMS, ", several joined by '+'")
        if names.count(name) > 1:
            raise InputError(f"stream {stream!r}: {name!r} comes twice; name it once")
    return names


def count_channels(stream: str, use_score: bool = True) -> int:
    """The number of channels of a stream, or of several joined by ``"+"``.

    Example:
        >>> count_channels("joint+bone"), count_channels("joint", use_score=False)
        (6, 2)
    """
    return (3 if use_score else 2) * len(parse_streams(stream))


def dropped_fraction(severity: str | float) -> float:
    """The fraction of the frames that a severity drops; a number stands for itself.

    Raises:
        InputError: If it is neither a severity nor a fraction in :math:`[0, 1)`.
    """
    try:
        fraction = float(SEVERITIES.get(str(severity), severity))
    except ValueError:
        fraction = -1.0
    if not 0 <= fraction < 1:
        raise InputError(
            f"severity {severity!r}{suggestion(str(severity), SEVERITIES)}: choose from "
            f"{', '.join(SEVERITIES)}, or give the fraction of the frames to drop, from 0 to below "
            "1"
        )
    return fraction


def list_skeletons() -> list[str]:
    """The names of the built-in skeletons."""
    folder = resources.files("pyg_stgcn") / "skeletons" / "layouts"
    names = [entry.name for entry in folder.iterdir()]
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


def check_skeleton_name(name: str) -> None:
    """Check the name of a built-in skeleton, or the path of a JSON file, which need not exist.

    Raises:
        InputError: It is neither.
    """
    if not (name.endswith(".json") or Path(name).name != name or Path(name).is_file()):
        check_name("skeleton", name, list_skeletons(), ", or give the path of a JSON file")


def parse_augmentations(words: Iterable[str]) -> dict[str, float]:
    """Read ``NAME`` or ``NAME=VALUE``, as in ``"mirror"`` and ``"noise=0.02"``.

    Example:
        >>> parse_augmentations(["mirror", "noise=0.02"])
        {'mirror': 0.5, 'noise': 0.02}

    Raises:
        InputError: There is no such augmentation, it is named twice, or its value is not a number.
    """
    values: dict[str, float] = {}
    for word in words:
        name, given, text = word.partition("=")
        check_augmentation(name)
        if name in values:
            raise InputError(f"{word!r}: {name} comes twice; name it once")
        try:
            values[name] = float(text) if given else AUGMENTATIONS[name]
        except ValueError:
            raise InputError(
                f"{word!r}: {text!r} is not a number; write {name}={AUGMENTATIONS[name]:g}"
            ) from None
    return values


def check_augmentation(name: str) -> None:
    """Check the name of an augmentation.

    Raises:
        InputError: There is no such augmentation.
    """
    values = ", ".join(f"{known}={value:g}" for known, value in AUGMENTATIONS.items())
    if name not in AUGMENTATIONS:
        raise InputError(
            f"there is no augmentation {name!r}{suggestion(name, AUGMENTATIONS)}; choose from "
            f"{values}, values are optional"
        )
