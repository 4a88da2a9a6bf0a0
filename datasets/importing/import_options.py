"""The options of an import."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyg_stgcn import __version__
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import file_sha256
from pyg_stgcn.ranges import PART
from pyg_stgcn.skeletons import Skeleton

#: Changes whenever the same files make other clips.
_FORMAT = 1


@dataclass(frozen=True)
class ImportOptions:
    """The options of :func:`~pyg_stgcn.datasets.importing.import_poses.import_poses`.

    Args:
        labels: CSV file with the labels, see :mod:`~pyg_stgcn.datasets.importing.label_rows`.
            Default: the name of the folder around a recording is its class.
        skeleton: Layout of files that do not name their joints.
        to: Layout that all recordings are converted to.
        image_size: Height and width of the images in pixels, where the files do not say.
        fps: Frames per second, where the files do not say.
        max_persons: Most persons of a clip (default: 2); with :obj:`per_person`, most persons of a
            recording (default: all).
        per_person: Whether every tracked person is a clip of their own, named ``NAME#TRACK``.
        split: Fraction of every class for validation.
        split_by: Regular expression that finds in a recording's name the group, such as the
            subject, whose recordings stay together. Of one with a group in brackets, that counts.
        seed: Seed of the split.
        strict: Whether a recording that cannot be used is an error.
        skip_bad: Whether to skip any number of them. Otherwise at most half may be.

    Raises:
        InputError: If options contradict each other.
    """

    labels: Path | None = None
    skeleton: Skeleton | None = None
    to: Skeleton | None = None
    image_size: tuple[float, float] | None = None
    fps: float | None = None
    max_persons: int | None = None
    per_person: bool = False
    split: float | None = None
    split_by: str | None = None
    seed: int = 0
    strict: bool = False
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if self.strict and self.skip_bad:
            raise InputError(
                "strict stops at a bad recording, skip_bad skips all of them; give one of the two"
            )
        if self.split is not None and self.split not in PART:
            raise InputError(f"split: {self.split:g} is out of range; choose from {PART}")
        if self.split_by is not None:
            try:
                re.compile(self.split_by)
            except re.error as error:
                raise InputError(
                    f"split_by: {self.split_by!r} is no regular expression ({error}); write, for "
                    r"example, 's\d+' for s01, s02, ..."
                ) from None

    def digest(self) -> str:
        """A checksum of all that decides how the clips of a file are read."""
        parts: dict[str, Any] = {
            "format": [_FORMAT, __version__],
            "labels": None if self.labels is None else file_sha256(self.labels),
            "layouts": [
                None if layout is None else layout.to_dict() for layout in (self.skeleton, self.to)
            ],
            "hints": [self.image_size, self.fps],
            "persons": [self.max_persons, self.per_person],
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
