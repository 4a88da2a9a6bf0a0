"""Arrays in memory as a dataset."""

from __future__ import annotations

import hashlib
import json
import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch_geometric.data import Data

from pyg_stgcn.datasets.base import SkeletonDataset, Split
from pyg_stgcn.datasets.readers.channels import RawClip, Terms, interpret
from pyg_stgcn.datasets.readers.fields import (
    MAX_CLASSES,
    check_classes,
    parse_size,
    refuse_several_labels,
)
from pyg_stgcn.datasets.readers.reading import BadClip, ClipSource, check_clip
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton, get_skeleton

_TERMS = Terms(shape="shape", score="scores", size="image_sizes")


class SkeletonArrays(SkeletonDataset):
    r"""Clips from arrays in memory.

    The arrays are written to the store once and need not be kept: items are read from there. Other
    arrays, labels or splits make a new store in place of the old one.

    Args:
        root: Folder of the store.
        arrays: The clips, one array each: :math:`(x, y, z)`, or with :obj:`image_sizes`
            :math:`(x, y)` in pixels; the score may follow as a further channel. A joint that is
            missing is zero.
        labels: Class numbers of the clips, counted from 0; -1 for one outside training and
            validation whose class is not known.
        skeleton: A skeleton, the name of a built-in one, or the path of a JSON file.
        splits: The clips of every split, by number or by name: ``{"train": [0, 1], "val": [2]}``.
            ``X_train`` and ``X_val`` make the benchmark ``X``.
        names: Names of the clips. By default ``"clip0"``, ``"clip1"``, ...
        classes: Class names in label order. By default their numbers.
        image_sizes: Height and width of the image of every clip, in pixels, for 2-D data.
        scores: Scores of the joints of every clip, if they are not in :obj:`arrays`; ``None`` for
            a clip without any. Those of 3-D joints only mark the ones that are missing, with a
            score of 0.
        benchmark: Which pair of splits to use. By default the first.
        split: ``"train"``, ``"val"`` or ``"test"`` of the benchmark, ``"all"``, or the name of one
            of :obj:`splits`. By default ``"train"``, or without :obj:`splits`, ``"all"``.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        pre_filter: Decides, before :obj:`pre_transform`, which clips are stored.
        log: Whether to print that the store is being built.
        force_reload: Whether to write the store again.
        strict: Whether a clip that cannot be used is an error instead of being left out.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.
        skip_bad: Whether to leave out bad clips even where they are more than half of all.
        per_person: Whether every person of a clip is an item of their own.

    Shapes:
        - **arrays:** each :math:`(M, T, V, C)`: persons, frames, joints, channels, with
          :math:`C = 2` or 3 in 2-D and 3 or 4 in 3-D
        - **labels:** :math:`(N)`
        - **image_sizes:** :math:`(N, 2)`
        - **scores:** each :math:`(M, T, V)`

    Raises:
        InputError: If an argument cannot be used, or more than half of the arrays; names the number
            of the first.
    """

    name = "arrays"

    def __init__(
        self,
        root: str | os.PathLike[str],
        arrays: Sequence[ArrayLike],
        labels: Sequence[int] | NDArray[np.integer[Any]],
        skeleton: Skeleton | str | os.PathLike[str],
        splits: Mapping[str, Sequence[int | str]] | None = None,
        names: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        image_sizes: Sequence[tuple[float, float]] | NDArray[Any] | None = None,
        benchmark: str | None = None,
        split: Split | None = None,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        log: bool = True,
        force_reload: bool = False,
        strict: bool = False,
        drop_leaks: bool = False,
        skip_bad: bool = False,
        scores: Sequence[ArrayLike | None] | None = None,
        per_person: bool = False,
    ) -> None:
        if names is None:
            names = [f"clip{i}" for i in range(len(arrays))]
        names = [_text(name, f"names[{i}]") for i, name in enumerate(names)]
        given = {"labels": labels, "names": names, "image_sizes": image_sizes, "scores": scores}
        for what, values in given.items():
            if values is not None and len(values) != len(arrays):
                raise InputError(f"{len(arrays)} arrays, but {len(values)} {what}; give one each")
        self._clips = _raw_clips(arrays, labels, names, image_sizes, scores)
        self._source = ClipSource(
            skeleton=skeleton if isinstance(skeleton, Skeleton) else get_skeleton(skeleton),
            classes=_classes(classes, sorted({clip.label for clip in self._clips})),
            splits={
                _text(split, "the name of a split"): _resolve(split, ids, names)
                for split, ids in (splits or {}).items()
            },
            clips=(),
            total=len(self._clips),
            dtype=_dtype(self._clips),
            own=True,
        )
        self._digest = _digest(self._source, self._clips)
        super().__init__(
            root,
            benchmark,
            split or ("train" if splits else "all"),
            transform,
            pre_transform,
            pre_filter,
            log,
            force_reload,
            strict=strict,
            drop_leaks=drop_leaks,
            skip_bad=skip_bad,
            per_person=per_person,
        )
        del self._clips

    def store_options(self) -> dict[str, Any]:
        return {"sha256": self._digest}

    def read(self) -> ClipSource:
        if not self._clips:
            raise InputError("there is no clip in it; give at least one array")
        joints = self._source.skeleton.num_joints
        found = interpret(self._clips, _TERMS, self.name, joints)
        source = replace(self._source, has_score=found.is_2d)
        return replace(source, clips=_checked(found.clips, source))


def _raw_clips(
    arrays: Sequence[ArrayLike],
    labels: Sequence[int] | NDArray[np.integer[Any]],
    names: Sequence[str],
    image_sizes: Sequence[tuple[float, float]] | NDArray[Any] | None,
    scores: Sequence[ArrayLike | None] | None,
) -> list[RawClip]:
    return [
        RawClip(
            name,
            _label(labels[i], f"labels[{i}]"),
            _array(array, f"arrays[{i}]"),
            where=f"arrays[{i}]",
            score=None if scores is None else _score(scores[i], f"scores[{i}]"),
            image_size=None if image_sizes is None else image_sizes[i],
        )
        for i, (name, array) in enumerate(zip(names, arrays, strict=True))
    ]


def _checked(clips: Iterator[Clip | BadClip], source: ClipSource) -> Iterator[Clip | BadClip]:
    for i, clip in enumerate(clips):
        if isinstance(clip, BadClip):
            yield clip
            continue
        try:
            yield check_clip(clip, source)
        except InputError as error:
            yield BadClip(clip.name, f"arrays[{i}]: {error}")


def _classes(names: Sequence[str] | None, labels: Sequence[int]) -> list[str]:
    if names is None:
        names = [str(i) for i in range(max(labels, default=-1) + 1)]
    texts = [_text(name, f"classes[{i}]") for i, name in enumerate(names)]
    return check_classes(texts, labels, "classes")


def _text(name: Any, what: str) -> str:
    if not isinstance(name, str):
        raise InputError(f"{what} is {name!r}, no text; write it as text")
    return str(name)


def _label(value: Any, what: str) -> int:
    refuse_several_labels(value, f"{what} is")
    label = _whole(value, what, "number the classes, from 0 on")
    if label >= MAX_CLASSES:
        raise InputError(
            f"{what} is {label}; class numbers are counted from 0, below {MAX_CLASSES}"
        )
    return label


def _array(value: ArrayLike, what: str) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InputError(f"{what} is no array ({error}); make it one") from error


def _score(value: ArrayLike | None, what: str) -> NDArray[Any] | None:
    return None if value is None else _array(value, what)


def _whole(value: Any, what: str, remedy: str) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise InputError(f"{what} is {value!r}, no whole number; {remedy}") from None


def _resolve(split: str, clips: Sequence[int | str], names: Sequence[str]) -> list[str]:
    found = []
    for clip in clips:
        if isinstance(clip, str):
            found.append(clip)
            continue
        number = _whole(clip, f"a clip of split {split!r}", "give numbers or names of clips")
        if not 0 <= number < len(names):
            raise InputError(
                f"split {split!r} has clip number {number}, but there are {len(names)} arrays, "
                "numbered from 0; correct the split"
            )
        found.append(names[number])
    return found


def _dtype(clips: Sequence[RawClip]) -> str:
    half = all(clip.keypoint.dtype == np.float16 for clip in clips)
    return "float16" if half else "float32"


def _digest(source: ClipSource, clips: Sequence[RawClip]) -> str:
    parts = [source.skeleton.to_dict(), source.classes, source.splits]
    digest = hashlib.sha256(json.dumps(parts).encode())
    for clip in clips:
        size = None if clip.image_size is None else repr(parse_size(clip.image_size))
        digest.update(json.dumps([clip.name, clip.label, size]).encode())
        for array in (clip.keypoint, clip.score):
            if array is not None:
                digest.update(json.dumps([array.shape, array.dtype.str]).encode())
                digest.update(array.tobytes())
    return digest.hexdigest()
