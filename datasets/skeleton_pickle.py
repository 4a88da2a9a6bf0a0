"""Anybody's data in the annotation form of PYSKL."""

from __future__ import annotations

import hashlib
import logging
import os
import reprlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch_geometric
from numpy.typing import NDArray
from torch_geometric.data import Data

from pyg_stgcn.datasets._fields import (
    read_image_size,
    read_label,
    read_name,
    read_splits,
    text,
)
from pyg_stgcn.datasets.base import SkeletonDataset, Split
from pyg_stgcn.datasets.reading import BadClip, ClipSource
from pyg_stgcn.datasets.store import Clip
from pyg_stgcn.datasets.unpickle import load_pickle
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeleton import Skeleton, get_skeleton, list_skeletons

logger = logging.getLogger(__name__)

_REMEDY = "name the skeleton of the data with --skeleton NAME or FILE.json"


class SkeletonPickle(SkeletonDataset):
    r"""Clips from a pickle in the annotation form of `"PYSKL: Towards Good Practices for Skeleton
    Action Recognition" <https://arxiv.org/abs/2205.09443>`_ (Duan et al., ACM MM 2022).

    The pickle holds ``{"split": {name: [clip names]}, "annotations": [annotation, ...]}``, or only
    the list, which then has no training and validation clips, only ``split="all"``. An annotation
    is a dict of

    - ``frame_dir`` or ``filename``: name of the clip;
    - ``label``: class number;
    - ``total_frames`` (optional): :math:`T`;
    - ``keypoint`` :math:`(M, T, V, C)`: 3-D coordinates, or 2-D ones in pixels;
    - ``keypoint_score`` :math:`(M, T, V)`, for 2-D: becomes the third channel; without it, the
      score of a joint is 1, or 0 where both coordinates are zero;
    - ``img_shape``, for 2-D: height and width of the picture.

    An optional third entry, ``meta``, may give ``classes`` (names in label order) and the skeleton:
    ``edges`` as (child, parent), ``joints`` and ``center``.

    The pickle is read without running what is in it: see
    :func:`~pyg_stgcn.datasets.unpickle.load_pickle`.

    Args:
        path: The pickle.
        root: Folder of the store. By default ``.pyg_stgcn/<file name>`` beside the pickle, or in
            the home folder of PyG where that cannot be written.
        skeleton: A skeleton, the name of a built-in one, or the path of a JSON file. By default
            that of the file's ``meta``; without one, ``coco17`` for 17 joints in 2-D and ``ntu25``
            for 25 joints in 3-D.
        benchmark: Which pair of splits to use: ``X`` for ``X_train`` and ``X_val`` (or ``X_test``),
            ``1`` for ``train1`` and ``test1``, ``default`` for ``train`` and ``val``. By default
            the first of :attr:`benchmarks`.
        split: ``"train"``, ``"val"`` or ``"all"``.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        force_reload: Whether to read the pickle again.
        strict: Whether a clip that cannot be used is an error instead of being left out.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.

    Raises:
        InputError: If the file or something in it cannot be used.

    **STATS** of published files (clips, classes, joints, channels):

    .. list-table::
        :header-rows: 1

        * - File
          - #clips
          - #classes
          - #joints
          - #channels
        * - ``ntu60_3danno.pkl``
          - 56,578
          - 60
          - 25
          - 3
        * - ``ntu120_3danno.pkl``
          - 113,945
          - 120
          - 25
          - 3
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        root: str | os.PathLike[str] | None = None,
        skeleton: Skeleton | str | os.PathLike[str] | None = None,
        benchmark: str | None = None,
        split: Split = "train",
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        force_reload: bool = False,
        strict: bool = False,
        drop_leaks: bool = False,
    ) -> None:
        self.path = Path(path).absolute()
        self.name = self.path.stem
        if skeleton is not None and not isinstance(skeleton, Skeleton):
            skeleton = get_skeleton(skeleton)
        self._given_skeleton = skeleton
        root = _default_root(self.path) if root is None else root
        super().__init__(
            root,
            benchmark,
            split,
            transform,
            pre_transform,
            force_reload,
            strict=strict,
            drop_leaks=drop_leaks,
        )

    @property
    def raw_dir(self) -> str:
        return str(self.path.parent)

    @property
    def raw_file_names(self) -> list[str]:
        return [self.path.name]

    def store_options(self) -> dict[str, Any]:
        skeleton = self._given_skeleton
        return {"skeleton": None if skeleton is None else skeleton.to_dict()}

    def download(self) -> None:
        raise InputError(f"{self.path}: no such file; check the path")

    def read(self) -> ClipSource:
        return read_annotations(self.path, self._given_skeleton, self.name)


def read_annotations(path: Path, skeleton: Skeleton | None, name: str) -> ClipSource:
    """Read a pickle in the annotation form, see :class:`SkeletonPickle`.

    Args:
        path: The pickle.
        skeleton: The skeleton of the clips; ``None`` finds it as :class:`SkeletonPickle` does.
        name: Name of the dataset, and of a skeleton that only the pickle knows.

    Raises:
        InputError: If the file or something in it cannot be used.
    """
    content = load_pickle(path)
    try:
        return _read_content(content, skeleton, name)
    except ValueError as error:  # An InputError, or a number too long to be printed.
        raise InputError(f"{path}: {error}") from error


def _default_root(path: Path) -> Path:
    beside = path.parent / ".pyg_stgcn" / path.name
    existing = next(folder for folder in (beside, *beside.parents) if folder.exists())
    # The superuser may write where the owner has said not to.
    if os.access(existing, os.W_OK) and existing.stat().st_mode & 0o222:
        return beside
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return Path(torch_geometric.get_home_dir()) / "pyg_stgcn" / f"{path.stem}-{digest}"


def _read_content(content: Any, skeleton: Skeleton | None, name: str) -> ClipSource:
    if isinstance(content, list):
        content = {"annotations": content}
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise InputError(
            f"holds a {type(content).__name__}, not a dict of 'split' and 'annotations'; see the "
            "documentation of SkeletonPickle"
        )
    annotations = content["annotations"]
    if not annotations:
        raise InputError("has no annotations; check that it is the right file")
    found = [_read_annotation(i, annotation) for i, annotation in enumerate(annotations)]
    good = [annotation for annotation in found if isinstance(annotation, _Annotation)]
    if not good:
        raise InputError(next(bad.reason for bad in found if isinstance(bad, BadClip)))
    is_2d, sized = _is_2d(good)
    meta = content.get("meta", {})
    if not isinstance(meta, dict):
        raise InputError(f"meta is a {type(meta).__name__}, not a dict; remove or correct it")
    half = all(annotation.keypoint.dtype == np.float16 for annotation in good)
    return ClipSource(
        skeleton=skeleton or _find_skeleton(meta, good[0].keypoint.shape[2], is_2d, name),
        classes=_read_classes(meta, max(annotation.label for annotation in good) + 1),
        splits=read_splits(content.get("split", {})),
        clips=(_make_clip(annotation, sized) for annotation in found),
        total=len(found),
        has_score=is_2d,
        dtype="float16" if half else "float32",
    )


class _Annotation(NamedTuple):
    name: str
    label: int
    keypoint: NDArray[Any]
    fields: dict[str, Any]


def _read_annotation(i: int, fields: Any) -> _Annotation | BadClip:
    if not isinstance(fields, dict):
        raise InputError(f"annotation {i} is a {type(fields).__name__}, not a dict")
    name = read_name(i, fields)
    try:
        return _Annotation(name, read_label(name, fields), _read_keypoint(name, fields), fields)
    except InputError as error:
        return BadClip(name, str(error))


def _read_keypoint(name: str, annotation: dict[str, Any]) -> NDArray[Any]:
    keypoint = annotation.get("keypoint")
    if keypoint is None and "frame_inds" in annotation:
        raise InputError(
            f"clip {name!r} has no keypoint: this is an index file, as of compressed Kinetics-400, "
            "whose coordinates are in other files; convert it to a pickle that holds them"
        )
    if keypoint is None:
        raise InputError(
            f"clip {name!r} has no keypoint, only {reprlib.repr(list(annotation))}; add it as an "
            "array of shape [persons, frames, joints, channels]"
        )
    if not isinstance(keypoint, np.ndarray):
        raise InputError(
            f"clip {name!r} has a {type(keypoint).__name__} as keypoint; make it a NumPy array"
        )
    if keypoint.ndim != 4:
        raise InputError(
            f"clip {name!r} has keypoint of shape {keypoint.shape}; it must have the shape "
            "[persons, frames, joints, channels]"
        )
    frames = annotation.get("total_frames", keypoint.shape[1])
    if not isinstance(frames, int | np.integer) or frames != keypoint.shape[1]:
        raise InputError(
            f"clip {name!r} says that it has {reprlib.repr(frames)} frames, but its keypoint has "
            f"{keypoint.shape[1]}; correct total_frames"
        )
    return keypoint


def _is_2d(annotations: Sequence[_Annotation]) -> tuple[bool, bool]:
    """Whether the data are 2-D, and whether the size of their pictures is known."""
    is_2d = annotations[0].keypoint.shape[3] == 2
    sized = all("img_shape" in annotation.fields for annotation in annotations)
    for name, _, keypoint, fields in annotations:
        channels = keypoint.shape[3]
        if channels not in (2, 3) or (channels == 2) != is_2d:
            raise InputError(
                f"clip {name!r} has {channels} channels; all clips must have 2, or all 3"
            )
        if "keypoint_score" in fields and not is_2d:
            raise InputError(
                f"clip {name!r} has 3-D keypoint and keypoint_score, which only 2-D data can have; "
                "remove one of x, y, z or the score"
            )
        if is_2d and not sized and "img_shape" in fields:
            raise InputError(f"clip {name!r} has img_shape, others have none; add it to all clips")
    return is_2d, is_2d and sized


def _find_skeleton(meta: dict[str, Any], joints: int, is_2d: bool, name: str) -> Skeleton:
    if "edges" in meta:
        return _skeleton_of_meta(meta, joints, name)
    guess = {(17, True): "coco17", (25, False): "ntu25"}.get((joints, is_2d))
    if guess is None:
        raise InputError(
            f"no skeleton is given, and which one has {joints} joints in "
            f"{'2-D' if is_2d else '3-D'} cannot be guessed; {_REMEDY}"
        )
    logger.info("%s: %d joints, taken to be %s", name, joints, guess)
    return get_skeleton(guess)


def _skeleton_of_meta(meta: dict[str, Any], joints: int, name: str) -> Skeleton:
    try:
        names = meta.get("joints", [f"joint_{j}" for j in range(joints)])
        skeleton = Skeleton(
            name=name,
            joints=tuple(text(joint, "a joint name") for joint in names),
            bones=tuple((int(child), int(parent)) for child, parent in meta["edges"]),
            center=int(meta.get("center", 0)),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"meta describes no skeleton ({error}); {_REMEDY}") from error

    def shape(skeleton: Skeleton) -> tuple[Any, ...]:
        return skeleton.joints, frozenset(skeleton.bones), skeleton.center

    # A built-in skeleton of the same shape knows more: pairs, spine, shoulders.
    known = (get_skeleton(builtin) for builtin in list_skeletons())
    return next((other for other in known if shape(other) == shape(skeleton)), skeleton)


def _read_classes(meta: dict[str, Any], needed: int) -> list[str]:
    names = meta.get("classes", range(needed))
    names = names.tolist() if isinstance(names, np.ndarray) else names
    if not isinstance(names, list | tuple | range):
        raise InputError(f"meta has a {type(names).__name__} as classes, not a list of names")
    classes = [text(name, "a class name in meta") for name in names]
    if len(classes) < needed:
        raise InputError(
            f"meta names {len(classes)} classes, but there is a label {needed - 1}; name them all"
        )
    return classes


def _make_clip(annotation: _Annotation | BadClip, sized: bool) -> Clip | BadClip:
    if isinstance(annotation, BadClip):
        return annotation
    name, label, keypoint, fields = annotation
    try:
        if keypoint.shape[3] == 2:
            keypoint = np.concatenate([keypoint, _read_score(name, keypoint, fields)], axis=-1)
        size = read_image_size(name, fields["img_shape"]) if sized else None
    except InputError as error:
        return BadClip(name, str(error))
    return Clip(name, label, keypoint, size)


def _read_score(name: str, keypoint: NDArray[Any], annotation: dict[str, Any]) -> NDArray[Any]:
    score = annotation.get("keypoint_score")
    if score is None:
        return keypoint.any(axis=-1, keepdims=True).astype(keypoint.dtype)
    if not isinstance(score, np.ndarray) or score.shape != keypoint.shape[:3]:
        raise InputError(
            f"clip {name!r} has keypoint_score of shape {getattr(score, 'shape', None)} for "
            f"keypoint of shape {keypoint.shape}; it must have one number for every joint"
        )
    return score[..., None]
