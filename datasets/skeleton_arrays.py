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

from pyg_stgcn.datasets._fields import parse_size
from pyg_stgcn.datasets.base import SkeletonDataset, Split
from pyg_stgcn.datasets.reading import BadClip, ClipSource, check_clip
from pyg_stgcn.datasets.store import Clip
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeleton import Skeleton, get_skeleton


class SkeletonArrays(SkeletonDataset):
    r"""Clips from arrays in memory.

    The arrays are written to the store once and need not be kept: items are read from there. Other
    arrays, labels or splits make a new store in place of the old one.

    Args:
        root: Folder of the store.
        arrays: The clips, one array each: coordinates in 3-D, or with :obj:`image_sizes`
            :math:`(x, y, \textrm{score})`, the position in pixels. A joint that is missing is zero.
        labels: Class numbers of the clips, counted from 0.
        skeleton: A skeleton, the name of a built-in one, or the path of a JSON file.
        splits: The clips of every split, by number or by name: ``{"train": [0, 1], "val": [2]}``.
            ``X_train`` and ``X_val`` make the benchmark ``X``.
        names: Names of the clips. By default ``"clip0"``, ``"clip1"``, ...
        classes: Class names in label order. By default their numbers.
        image_sizes: Height and width of the picture of every clip, in pixels, for 2-D data.
        benchmark: Which pair of splits to use. By default the first.
        split: ``"train"``, ``"val"`` or ``"all"``. By default ``"train"``, or without
            :obj:`splits`, ``"all"``.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        force_reload: Whether to write the store again.
        strict: Whether a clip that cannot be used is an error instead of being left out.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.

    Shapes:
        - **arrays:** each :math:`(M, T, V, 3)`: persons, frames, joints, channels
        - **labels:** :math:`(N)`
        - **image_sizes:** :math:`(N, 2)`

    Raises:
        InputError: If an array or anything else cannot be used; names the number of the array.
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
        force_reload: bool = False,
        strict: bool = False,
        drop_leaks: bool = False,
    ) -> None:
        if names is None:
            names = [f"clip{i}" for i in range(len(arrays))]
        names = [_text(name, f"names[{i}]") for i, name in enumerate(names)]
        for what, values in (("labels", labels), ("names", names), ("image_sizes", image_sizes)):
            if values is not None and len(values) != len(arrays):
                raise InputError(f"{len(arrays)} arrays, but {len(values)} {what}; give one each")
        self._clips = [
            Clip(
                name,
                _whole(labels[i], f"labels[{i}]"),
                _check_array(array, f"arrays[{i}]"),
                None if image_sizes is None else _size(image_sizes[i], f"image_sizes[{i}]"),
            )
            for i, (name, array) in enumerate(zip(names, arrays, strict=True))
        ]
        count = max((clip.label for clip in self._clips), default=-1) + 1
        self._source = ClipSource(
            skeleton=skeleton if isinstance(skeleton, Skeleton) else get_skeleton(skeleton),
            classes=[
                _text(name, f"classes[{i}]")
                for i, name in enumerate(map(str, range(count)) if classes is None else classes)
            ],
            splits={
                _text(split, "the name of a split"): _resolve(split, ids, names)
                for split, ids in (splits or {}).items()
            },
            clips=(),
            total=len(self._clips),
            has_score=image_sizes is not None,
            dtype=_dtype(self._clips),
        )
        self._digest = _digest(self._source, self._clips)
        super().__init__(
            root,
            benchmark,
            split or ("train" if splits else "all"),
            transform,
            pre_transform,
            force_reload,
            strict=strict,
            drop_leaks=drop_leaks,
        )
        del self._clips

    def store_options(self) -> dict[str, Any]:
        return {"sha256": self._digest}

    def read(self) -> ClipSource:
        return replace(self._source, clips=self._checked())

    def _checked(self) -> Iterator[Clip | BadClip]:
        for i, clip in enumerate(self._clips):
            try:
                yield check_clip(clip, self._source)
            except InputError as error:
                yield BadClip(clip.name, f"arrays[{i}]: {error}")


def _text(name: Any, what: str) -> str:
    if not isinstance(name, str):
        raise InputError(f"{what} is {name!r}, no text; write it as text")
    return str(name)


def _whole(value: Any, what: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise InputError(f"{what} is {value!r}, no whole number; number the classes") from None


def _check_array(array: ArrayLike, what: str) -> NDArray[Any]:
    keypoint = np.asarray(array)
    if keypoint.ndim != 4 or keypoint.shape[3] != 3 or keypoint.dtype.kind not in "fiu":
        raise InputError(
            f"{what} has shape {keypoint.shape} and type {keypoint.dtype}; it must be numbers of "
            "shape [persons, frames, joints, 3]: x, y, z, or x, y, score with image_sizes"
        )
    return keypoint


def _size(size: Any, what: str) -> tuple[float, float]:
    parsed = parse_size(size)
    if parsed is None:
        raise InputError(f"{what} is {size!r}; it must be height and width in pixels")
    return parsed


def _resolve(split: str, clips: Sequence[int | str], names: Sequence[str]) -> list[str]:
    found = []
    for clip in clips:
        if isinstance(clip, str):
            found.append(clip)
            continue
        number = _whole(clip, f"a clip of split {split!r}")
        if not 0 <= number < len(names):
            raise InputError(
                f"split {split!r} has clip number {number}, but there are {len(names)} arrays, "
                "numbered from 0; correct the split"
            )
        found.append(names[number])
    return found


def _dtype(clips: Sequence[Clip]) -> str:
    half = all(clip.keypoint.dtype == np.float16 for clip in clips)
    return "float16" if half else "float32"


def _digest(source: ClipSource, clips: Sequence[Clip]) -> str:
    facts = [source.skeleton.to_dict(), source.classes, source.splits, source.has_score]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for clip in clips:
        keypoint = clip.keypoint
        header = [clip.name, clip.label, clip.image_size, keypoint.shape, keypoint.dtype.str]
        digest.update(json.dumps(header).encode())
        digest.update(keypoint.tobytes())
    return digest.hexdigest()
