"""Anybody's data in the annotation format of PYSKL."""

from __future__ import annotations

import hashlib
import logging
import os
import reprlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from pyg_stgcn.cache import cache_folder
from pyg_stgcn.datasets.base import SkeletonDataset, Split
from pyg_stgcn.datasets.readers.axes import ORDER, axes_hint
from pyg_stgcn.datasets.readers.channels import RawClip, Terms, interpret
from pyg_stgcn.datasets.readers.fields import (
    check_classes,
    read_label,
    read_name,
    read_splits,
    text,
)
from pyg_stgcn.datasets.readers.reading import BadClip, ClipSource
from pyg_stgcn.errors import InputError
from pyg_stgcn.file_kinds import describe_content, refuse_other_formats
from pyg_stgcn.skeletons import Skeleton, get_skeleton
from pyg_stgcn.skeletons.pyskl_meta import skeleton_of_meta
from pyg_stgcn.unpickle import load_pickle

logger = logging.getLogger(__name__)

_TERMS = Terms(shape="keypoint of shape", score="keypoint_score", size="img_shape")
_REMEDY = "name the skeleton of the data with --skeleton NAME or FILE.json"


class SkeletonPickle(SkeletonDataset):
    r"""Clips from a pickle in the annotation format of `"PYSKL: Towards Good Practices for Skeleton
    Action Recognition" <https://arxiv.org/abs/2205.09443>`_ (Duan et al., ACM MM 2022).

    The pickle holds ``{"split": {name: [clip names]}, "annotations": [annotation, ...]}``, or only
    the list, which then has no training and validation clips, only ``split="all"``. An annotation
    is a dict of

    - ``frame_dir`` or ``filename``: name of the clip;
    - ``label``: class number; -1 or missing if it is not known, which clips for training and
      validation cannot have;
    - ``total_frames`` (optional): :math:`T`;
    - ``keypoint`` :math:`(M, T, V, C)`: 3-D coordinates, or with ``img_shape``, 2-D ones in pixels;
    - ``keypoint_score`` :math:`(M, T, V)` (optional): scores of the joints, which may also be the
      last channel of ``keypoint``. In 2-D the score becomes the third channel; without it, the
      score of a joint is 1, or 0 where both coordinates are zero. Joints in 3-D are missing where
      it is 0, and it is not kept;
    - ``img_shape``, for 2-D: height and width of the image.

    An optional third entry, ``meta``, may give ``classes`` (names in label order) and the skeleton:
    ``edges`` as (child, parent), ``joints`` and ``center``. Beside these, ``skeleton`` may give all
    of it, as the dictionary of :meth:`~pyg_stgcn.skeletons.Skeleton.to_dict`.

    The pickle is read without running what is in it: see
    :func:`~pyg_stgcn.unpickle.load_pickle`.

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
        split: ``"train"``, ``"val"`` or ``"test"`` of the benchmark, ``"all"`` clips, or the name
            of a split of the file.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        pre_filter: Decides, before :obj:`pre_transform`, which clips are stored.
        log: Whether to print that the store is being built.
        force_reload: Whether to read the pickle again.
        strict: Whether a clip that cannot be used is an error instead of being left out.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.
        skip_bad: Whether to leave out bad clips even where they are more than half of all.
        default_skeleton: Taken where :obj:`skeleton` is not given, and the file neither has one nor
            lets it be guessed.
        per_person: Whether every person of a clip is an item of their own.

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
        pre_filter: Callable[[Data], bool] | None = None,
        log: bool = True,
        force_reload: bool = False,
        strict: bool = False,
        drop_leaks: bool = False,
        skip_bad: bool = False,
        default_skeleton: Skeleton | None = None,
        per_person: bool = False,
    ) -> None:
        self.path = Path(path).absolute()
        self.name = self.path.stem
        if skeleton is not None and not isinstance(skeleton, Skeleton):
            skeleton = get_skeleton(skeleton)
        self._given_skeleton = skeleton
        self._default_skeleton = default_skeleton
        root = _default_root(self.path) if root is None else root
        super().__init__(
            root,
            benchmark,
            split,
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

    @property
    def raw_dir(self) -> str:
        return str(self.path.parent)

    @property
    def raw_file_names(self) -> list[str]:
        return [self.path.name]

    def store_options(self) -> dict[str, Any]:
        skeleton = self._given_skeleton
        return {"skeleton": None if skeleton is None else skeleton.to_dict()}

    def fits_store(self, key: str, meta: Mapping[str, Any]) -> bool:
        if key != "options":
            return False
        # To name the skeleton that is taken anyway changes nothing.
        wanted = self.store_options()["skeleton"] or meta.get("default_skeleton")
        return bool(wanted == meta["skeleton"])

    def download(self) -> None:
        moved = ", and name the new one with --dataset (or --val) if the data of a run have moved"
        hint = "" if self.path.exists() else moved
        raise InputError(f"{self.path}: {self._no_such(self.path)}{hint}")

    def read(self) -> ClipSource:
        return read_annotations(self.path, self._given_skeleton, self.name, self._default_skeleton)


def read_annotations(
    path: Path, skeleton: Skeleton | None, name: str, default: Skeleton | None = None
) -> ClipSource:
    """Read a pickle in the annotation format, see :class:`SkeletonPickle`.

    Args:
        path: The pickle.
        skeleton: The skeleton of the clips; ``None`` finds it as :class:`SkeletonPickle` does.
        name: Name of the dataset, and of a skeleton that only the pickle knows.
        default: The skeleton if none is found.

    Raises:
        InputError: If the file or something in it cannot be used.
    """
    content = load_pickle(path, refuse_other_formats)
    try:
        return read_content(content, skeleton, name, default)
    except ValueError as error:  # An InputError, or a number too long to be printed.
        raise InputError(f"{path}: {error}") from error


def _default_root(path: Path) -> Path:
    beside = path.parent / ".pyg_stgcn" / path.name
    existing = next(folder for folder in (beside, *beside.parents) if folder.exists())
    # The superuser may write where the owner has said not to.
    if os.access(existing, os.W_OK) and existing.stat().st_mode & 0o222:
        return beside
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return cache_folder(f"{path.stem}-{digest}")


def read_content(
    content: Any, skeleton: Skeleton | None, name: str, default: Skeleton | None = None
) -> ClipSource:
    """Read the content of a pickle; arguments and errors as of :func:`read_annotations`."""
    if isinstance(content, list):
        content = {"annotations": content}
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise InputError(
            f"holds {describe_content(content)}, not a dict of 'split' and 'annotations'; write "
            "the clips in that format, see the documentation of SkeletonPickle, or give their "
            "coordinates to SkeletonArrays"
        )
    annotations = content["annotations"]
    if not annotations:
        raise InputError("has no annotations; check that it is the right file")
    meta = content.get("meta", {})
    if not isinstance(meta, dict):
        raise InputError(f"meta is a {type(meta).__name__}, not a dict; remove or correct it")
    found = [_read_annotation(i, annotation) for i, annotation in enumerate(annotations)]
    joints = None if skeleton is None else skeleton.num_joints
    is_2d, usable, clips = interpret(found, _TERMS, name, joints)
    own: Skeleton | None = None
    if usable:
        with suppress(InputError):
            own = _find_skeleton(meta, usable, is_2d, name, None)
    if skeleton is None and own is not None and "edges" not in meta:
        logger.info("%s: %d joints, taken to be %s", name, own.num_joints, own.name)
    half = all(clip.keypoint.dtype == np.float16 for clip in usable)
    return ClipSource(
        skeleton=skeleton or own or _find_skeleton(meta, usable, is_2d, name, default),
        classes=_read_classes(meta, sorted({clip.label for clip in usable})),
        splits=read_splits(content.get("split", {})),
        clips=clips,
        total=len(found),
        has_score=is_2d,
        dtype="float16" if half else "float32",
        own=True,
        default_skeleton=own,
    )


def _read_annotation(i: int, fields: Any) -> RawClip | BadClip:
    try:
        if not isinstance(fields, dict):
            raise InputError(
                f"annotation {i} is {describe_content(fields)}, not a dict of 'frame_dir', 'label' "
                "and 'keypoint'; write the clips in that format, see the documentation of "
                "SkeletonPickle"
            )
        name = read_name(i, fields)
    except InputError as error:
        return BadClip(f"annotation {i}", str(error))
    try:
        return RawClip(
            name,
            read_label(name, fields),
            _read_keypoint(name, fields),
            where=f"clip {name!r}",
            score=fields.get("keypoint_score"),
            image_size=fields.get("img_shape"),
            frames=fields.get("total_frames"),
        )
    except ValueError as error:  # An InputError, or a number too long to be printed.
        return BadClip(name, str(error))


def _read_keypoint(name: str, annotation: dict[str, Any]) -> NDArray[Any]:
    keypoint = annotation.get("keypoint")
    if keypoint is None and "frame_inds" in annotation:
        raise InputError(
            f"clip {name!r} has no keypoint: this is the index of kinetics400-hrnet, whose "
            "coordinates are in other files; read the folder with the index, called "
            "k400_hrnet.pkl, and the unpacked kpfiles as dataset kinetics400-hrnet, with --source "
            "FOLDER"
        )
    if keypoint is None:
        raise InputError(
            f"clip {name!r} has no keypoint, only {reprlib.repr(list(annotation))}; add it as an "
            f"array of shape {ORDER}"
        )
    if not isinstance(keypoint, np.ndarray):
        raise InputError(
            f"clip {name!r} has a {type(keypoint).__name__} as keypoint; make it a NumPy array"
        )
    return keypoint


def _find_skeleton(
    meta: dict[str, Any], clips: Sequence[RawClip], is_2d: bool, name: str, default: Skeleton | None
) -> Skeleton:
    shapes = Counter(clip.keypoint.shape for clip in clips)
    joints = Counter(shape[2] for shape in shapes.elements()).most_common(1)[0][0]
    if "edges" in meta:
        return skeleton_of_meta(meta, name, joints)
    guess = {(17, True): "coco17", (25, False): "ntu25"}.get((joints, is_2d))
    if guess is None and default is not None and default.num_joints == joints:
        return default
    if guess is None:
        shape = shapes.most_common(1)[0][0]
        raise InputError(
            f"no skeleton is given, and which one has {joints} joints in "
            f"{'2-D (with' if is_2d else '3-D (without'} img_shape; keypoint {shape}) "
            f"cannot be guessed; {_REMEDY}"
            f"{axes_hint(shape)}"
        )
    return get_skeleton(guess)


def _read_classes(meta: dict[str, Any], labels: Sequence[int]) -> list[str]:
    names = meta.get("classes", range(labels[-1] + 1))
    names = names.tolist() if isinstance(names, np.ndarray) else names
    if not isinstance(names, list | tuple | range):
        raise InputError(f"meta has a {type(names).__name__} as classes, not a list of names")
    return check_classes([text(name, "a class name in meta") for name in names], labels, "meta")
