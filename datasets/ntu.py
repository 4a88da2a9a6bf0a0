"""Base class of the variants of NTU-60 and NTU-120."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.annotations import AnnotationDataset
from pyg_stgcn.datasets.readers.ntu_names import (
    ClipName,
    class_names,
    missing_names,
    official_splits,
    parse_name,
)
from pyg_stgcn.datasets.readers.reading import BadClip, ClipSource
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton

logger = logging.getLogger(__name__)


class NTUDataset(AnnotationDataset):
    """Base class of :class:`NTU60`, :class:`NTU120` and their 2-D variants.

    A subclass says how many actions and clips there are, and which benchmarks. Class, split and use
    of a clip follow from its name, whatever the source.
    """

    num_actions: ClassVar[int]
    num_clips: ClassVar[int]
    official_benchmarks: ClassVar[tuple[str, ...]]
    page = "https://rose1.ntu.edu.sg/dataset/actionRecognition/"
    #: What the agreement has to be signed for.
    lent = "NTU RGB+D is lent after signing an agreement: ask for it at"

    def class_names(self) -> Sequence[str]:
        return class_names(self.num_actions)

    def fetch(self, target: Path) -> None:
        ask = f"{self.lent} {self.page}"
        try:
            logger.warning(
                "%s. The agreement covers PYSKL's public conversion of it too, which is now "
                "downloaded from %s to %s",
                ask,
                self.url,
                target,
            )
            super().fetch(target)
        except InputError as error:
            raise InputError(f"{error}. {ask}") from error

    def read(self) -> ClipSource:
        source = super().read()
        if source.total != self.num_clips:
            logger.warning(
                "%s: %d clips, %s has %d",
                self.source_path,
                source.total,
                self.name,
                self.num_clips,
            )
        return source

    def read_pickle(self, path: Path) -> ClipSource:
        found = super().read_pickle(path)
        annotated = list(found.clips)
        clips = self.choose(path, {clip.name: _check_annotation(path, clip) for clip in annotated})
        chosen = (clip for clip in annotated if clip.name in clips)
        source = self.make_source(clips, chosen)
        return replace(source, has_score=found.has_score, dtype=found.dtype)

    @property
    def subjects(self) -> NDArray[np.int64]:
        """Numbers of the performers of the selected clips, counted from 1."""
        return self._numbers("performer")

    @property
    def cameras(self) -> NDArray[np.int64]:
        """Numbers of the cameras of the selected clips, counted from 1."""
        return self._numbers("camera")

    @property
    def setups(self) -> NDArray[np.int64]:
        """Numbers of the set-ups (height and distance of the cameras), counted from 1."""
        return self._numbers("setup")

    def _numbers(self, part: str) -> NDArray[np.int64]:
        return np.array([getattr(parse_name(name, name), part) for name in self.names], np.int64)

    def choose(self, path: Path, clips: dict[str, ClipName]) -> dict[str, ClipName]:
        """The clips that belong to this dataset and are not known to be of no use."""
        missing = missing_names()
        chosen = {
            name: clip
            for name, clip in clips.items()
            if clip.action <= self.num_actions and name not in missing
        }
        if not chosen:
            raise InputError(
                f"{path}: none of the {len(clips)} clips has an action up to {self.num_actions} "
                "and a skeleton that is not known to be missing; check that it is the right source"
            )
        logger.info("%s: %d of %d clips left out", path, len(clips) - len(chosen), len(clips))
        return chosen

    def make_source(
        self, clips: dict[str, ClipName], found: Iterator[Clip | BadClip]
    ) -> ClipSource:
        """Metadata of chosen clips, read from their names."""
        return ClipSource(
            skeleton=get_skeleton(self.skeleton_name),
            classes=self.class_names(),
            splits=official_splits(clips, self.official_benchmarks),
            clips=found,
            total=len(clips),
        )


def _check_annotation(path: Path, clip: Clip | BadClip) -> ClipName:
    name = parse_name(clip.name, f"{path}: an annotation")
    if not isinstance(clip, BadClip) and clip.label != name.label:
        raise InputError(
            f"{path}: clip {clip.name!r} has label {clip.label}, its name says {name.label}; "
            "correct the pickle, or open it by its path as a SkeletonPickle"
        )
    return name
