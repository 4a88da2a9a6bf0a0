"""The contract of a reader, and the checks that every clip has to pass."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.readers.axes import axes_hint
from pyg_stgcn.datasets.readers.fields import UNLABELLED
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.datasets.store.present_joints import find_present
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton

_SPLIT_NAME = re.compile(r"(?:(?P<name>.+)[_-])?(?P<part>train|val|validation|test)(?P<number>\d*)")


@dataclass(frozen=True)
class BadClip:
    """Stands in for a clip that a reader cannot read.

    Args:
        name: Name of the clip.
        reason: What is wrong with it, where, and what to do.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class ClipSource:
    """The result of a reader: metadata of a dataset, and its clips one after the other.

    Args:
        skeleton: The skeleton of all clips.
        classes: Class names in label order.
        splits: Names of the clips of every split. A split is called ``<benchmark>_train`` or
            ``<benchmark>_val``, see :func:`find_benchmarks`.
        clips: The clips, read while they are asked for and never all in memory. One that cannot be
            read is given as a :class:`BadClip`, so that those after it can be.
        total: Number of clips, the bad ones among them, if known before reading.
        has_score: Whether the last channel of 2-D data is the score of the joint.
        dtype: Type in which coordinates are kept, ``"float16"`` or ``"float32"``.
        own: Whether these are a user's own data rather than a published dataset. Bad clips are then
            left out as long as there are as many good ones, and likely mistakes are warned of.
        default_skeleton: The skeleton that the reader takes if none is given, where it knows one.
    """

    skeleton: Skeleton
    classes: Sequence[str]
    splits: Mapping[str, Sequence[str]]
    clips: Iterable[Clip | BadClip]
    total: int | None = None
    has_score: bool = False
    dtype: str = "float32"
    own: bool = False
    default_skeleton: Skeleton | None = None

    @cached_property
    def need_labels(self) -> frozenset[str]:
        """Names of the clips in splits for training or validation, which must have a label.

        Those of test splits need none: their labels are often kept secret.
        """
        parts = {split: _SPLIT_NAME.fullmatch(split) for split in self.splits}
        wanted = [split for split, match in parts.items() if match and match["part"] != "test"]
        return frozenset(name for split in wanted for name in self.splits[split])


def find_benchmarks(splits: Iterable[str]) -> dict[str, dict[str, str]]:
    """Find which splits belong together.

    ``X_train`` and ``X_val`` (or ``X_validation``, ``X_test``) make the benchmark ``X``, ``train1``
    and ``test1`` the benchmark ``1``, and bare ``train`` and ``val`` the benchmark ``default``.
    Where there are several, ``val`` goes before ``validation`` and ``test`` for validation; a
    ``test`` beside one of the others is the part ``"test"``. Splits without training clips, such as
    a ``test1`` beside ``train`` and ``val``, make no benchmark where others have some.

    Returns:
        For every benchmark its split names by part: ``"train"``, ``"val"`` and ``"test"``.
    """
    benchmarks: dict[str, dict[str, str]] = {}
    order = ("train", "val", "validation", "test")
    matches = [match for split in splits if (match := _SPLIT_NAME.fullmatch(split))]
    for match in sorted(matches, key=lambda match: order.index(match["part"])):
        name = "_".join(part for part in (match["name"], match["number"]) if part) or "default"
        parts = benchmarks.setdefault(name, {})
        if match["part"] == "train":
            parts["train"] = match.string
        elif "val" not in parts:
            parts["val"] = match.string
        elif match["part"] == "test":
            parts["test"] = match.string
    trained = {name: parts for name, parts in benchmarks.items() if "train" in parts}
    return trained or benchmarks


def check_clip(clip: Clip, source: ClipSource) -> Clip:
    """Check a clip, drop the persons that are never there, and decide which joints are present.

    Raises:
        InputError: If the clip has the wrong shape or number of joints, no frame or no person,
            coordinates that are not finite, a label that is no class, or none where it needs one.
    """
    keypoint = np.asarray(clip.keypoint)
    where = f"clip {clip.name!r}"
    if keypoint.ndim != 4 or keypoint.dtype.kind not in "fiu":
        raise InputError(
            f"{where} has keypoint of shape {keypoint.shape} and type {keypoint.dtype}; it must "
            "be numbers of shape [persons, frames, joints, channels]"
        )
    joints = source.skeleton.num_joints
    if keypoint.shape[2] != joints:
        remedy = (
            "name the skeleton of the data with --skeleton NAME or FILE.json (skeleton)"
            if source.own
            else "open a pickle by its path, with the skeleton of its data (--skeleton FILE.json)"
        )
        raise InputError(
            f"{where} has {keypoint.shape[2]} joints, the skeleton {source.skeleton.name!r} has "
            f"{joints}; {remedy}{axes_hint(keypoint.shape, joints)}"
        )
    with np.errstate(over="ignore"):
        keypoint = keypoint.astype(source.dtype, copy=False)
    _check_finite(keypoint, where)
    try:
        present = find_present(
            keypoint, source.skeleton, has_score=source.has_score, given=clip.present
        )
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    there = present.any(axis=(1, 2))
    if not there.any():
        uncertain = " or marked as missing" if clip.present is not None else ""
        raise InputError(
            f"{where} is empty: {keypoint.shape[0]} persons, {keypoint.shape[1]} frames, no joint "
            f"that is not zero{uncertain}; remove it from the data"
        )
    if clip.label == UNLABELLED:
        if clip.name in source.need_labels:
            raise InputError(
                f"{where} has no label, but is in a split for training or validation; give it its "
                "class number, or take it out of the split"
            )
    elif not 0 <= clip.label < len(source.classes):
        raise InputError(
            f"{where} has label {clip.label}, but there are {len(source.classes)} classes, "
            f"numbered from 0 to {len(source.classes) - 1}; correct the label or the classes"
        )
    return replace(clip, keypoint=keypoint[there], present=present[there])


def _check_finite(keypoint: NDArray[Any], where: str) -> None:
    wrong = ~np.isfinite(keypoint).all(axis=-1)
    if wrong.any():
        person, frame, joint = (int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"{where} has {int(wrong.sum())} joints that are NaN or infinite, the first at frame "
            f"{frame}, joint {joint}, person {person}; set missing joints to zero or interpolate "
            "them"
        )
