"""Names of NTU RGB+D's clips, and the clips that are known to be unusable."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from pyg_stgcn.datasets.readers.metadata import read_metadata
from pyg_stgcn.errors import InputError

#: Performers whose clips are for training in ``xsub``; NTU-60 has those up to 40.
TRAINING_PERFORMERS = frozenset(
    (1, 2, 4, 5, 8, 9, *range(13, 20), 25, 27, 28, 31, 34, 35, 38, 45, 46, 47, 49, 50)
    + (*range(52, 60), 70, 74, 78, *range(80, 87), 89, *range(91, 96), 97, 98, 100, 103)
)
TRAINING_CAMERAS = frozenset((2, 3))

_PATTERN = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.ASCII)
_NUM_CAMERAS = 3
_NUM_ACTIONS = 120


class ClipName(NamedTuple):
    """The numbers in ``SsssCcccPpppRrrrAaaa``, each counted from 1."""

    setup: int
    camera: int
    performer: int
    replication: int
    action: int

    @property
    def label(self) -> int:
        return self.action - 1


def parse_name(name: str, where: str) -> ClipName:
    """Take the name of a clip apart.

    Args:
        name: Such as ``S001C002P003R002A013``.
        where: What to call the clip in an error.

    Raises:
        InputError: If it is no name of a clip of NTU RGB+D.
    """
    match = _PATTERN.fullmatch(name)
    if match is None:
        raise InputError(
            f"{where}: {name!r} is not in the format SsssCcccPpppRrrrAaaa (setup, camera, "
            "performer, replication, action), from which class and split are read; rename it or "
            "take it away"
        )
    parts = ClipName(*map(int, match.groups()))
    if not (1 <= parts.action <= _NUM_ACTIONS and 1 <= parts.camera <= _NUM_CAMERAS):
        raise InputError(
            f"{where}: {name!r} has camera {parts.camera} and action {parts.action}; NTU RGB+D has "
            f"cameras 1 to {_NUM_CAMERAS} and actions 1 to {_NUM_ACTIONS}; rename it or take it "
            "away"
        )
    return parts


@lru_cache(maxsize=1)
def missing_names() -> frozenset[str]:
    """Names of the 535 clips, 302 of them NTU-60's, whose skeletons are missing or incomplete.

    The authors of the dataset publish them as to be ignored in training and evaluation.
    """
    names: set[str] = set()
    for line in read_metadata("ntu_missing.txt"):
        take, *runs = line.split()
        for run in runs:
            first, _, last = run.partition("-")
            actions = range(int(first), int(last or first) + 1)
            names.update(f"{take}A{action:03}" for action in actions)
    return frozenset(names)


def class_names(count: int) -> tuple[str, ...]:
    """Names of the first :obj:`count` actions; NTU-60's are the first 60 of NTU-120's."""
    return tuple(read_metadata("ntu_classes.txt")[:count])


def official_splits(
    clips: Mapping[str, ClipName], benchmarks: Iterable[str]
) -> dict[str, list[str]]:
    """Divide clips by the rules of the benchmarks.

    ``xsub`` trains on 53 of the 106 performers (20 of NTU-60's 40), ``xview`` on the cameras 2 and
    3, ``xset`` on the setups with even numbers.

    Returns:
        The names by split: ``<benchmark>_train`` and ``<benchmark>_val``.
    """
    is_for_training = {
        "xsub": lambda clip: clip.performer in TRAINING_PERFORMERS,
        "xview": lambda clip: clip.camera in TRAINING_CAMERAS,
        "xset": lambda clip: clip.setup % 2 == 0,
    }
    splits: dict[str, list[str]] = {}
    for benchmark in benchmarks:
        train, val = f"{benchmark}_train", f"{benchmark}_val"
        splits[train], splits[val] = [], []
        for name, clip in clips.items():
            splits[train if is_for_training[benchmark](clip) else val].append(name)
    return splits
