"""Reader of pickles: annotations in the form of PYSKL, and plain arrays."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pyg_stgcn.errors import InputError
from pyg_stgcn.file_kinds import describe_content, refuse_other_formats
from pyg_stgcn.poses.array_clips import array_recording
from pyg_stgcn.poses.named_arrays import open_each, open_entries, read_image_size
from pyg_stgcn.poses.pose_reader import PoseHints
from pyg_stgcn.poses.recording import Recording
from pyg_stgcn.skeletons.pyskl_meta import skeleton_of_meta
from pyg_stgcn.unpickle import load_pickle

_ENDINGS = (".pkl", ".pickle", ".p")


class PickleReader:
    """Reader of pickles with one or several clips.

    The annotation format of PYSKL has a recording for each annotation, called after its
    ``frame_dir``. A dict of arrays by name is read as an ``.npz`` archive, a list of arrays as
    clips with numbers. Labels and splits are not read. No code in the file is run.
    """

    format = "pickles of PYSKL"

    def recognises(self, path: Path, head: bytes) -> bool:
        # The first byte of every pickle since protocol 2; older ones are plain text.
        return path.suffix.lower() in _ENDINGS or head.startswith(b"\x80")

    def open(self, path: Path, hints: PoseHints) -> list[Recording]:
        content = load_pickle(path, refuse_other_formats)
        if isinstance(content, Mapping) and isinstance(content.get("annotations"), list):
            hints = _with_layout(path, content.get("meta"), hints)
            content = content["annotations"]
        if isinstance(content, list) and content and isinstance(content[0], Mapping):
            return open_each(
                path, enumerate(content), lambda i, one: _open_annotation(path, i, one, hints)
            )
        if isinstance(content, np.ndarray) and content.dtype != object:
            return [array_recording(path.stem, path, content, hints)]
        return _open_arrays(path, content, hints)


def _with_layout(path: Path, meta: Any, hints: PoseHints) -> PoseHints:
    """The hints with the layout that a pickle describes, unless the user names one."""
    if hints.skeleton is not None or not isinstance(meta, Mapping) or "edges" not in meta:
        return hints
    try:
        return replace(hints, skeleton=skeleton_of_meta(meta, path.stem))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _open_annotation(path: Path, number: int, annotation: Any, hints: PoseHints) -> Recording:
    where = f"{path}: annotation {number}"
    if not isinstance(annotation, Mapping):
        raise InputError(
            f"{where} is {describe_content(annotation)}, not a dict with 'keypoint'; write the "
            "clips as PYSKL does"
        )
    name = annotation.get("frame_dir", annotation.get("filename"))
    if isinstance(name, str):
        where = f"{path}: clip {name[:80]!r}"
    keypoint = annotation.get("keypoint")
    if not isinstance(keypoint, np.ndarray):
        raise InputError(
            f"{where} has no array 'keypoint', only {reprlib.repr(list(annotation))}; this is "
            "the index of a dataset whose joints are in other files, or no pose file"
        )
    size = read_image_size(where, annotation)
    # Four channels are x, y, z, score, whatever the image.
    planar = keypoint.shape[-1:] == (2,) or (size is not None and keypoint.shape[-1:] != (4,))
    return array_recording(
        name if isinstance(name, str) else f"{path.stem}_{number}",
        path,
        keypoint,
        replace(hints, image_size=size or hints.image_size),
        scores=annotation.get("keypoint_score"),
        axes=2 if planar else 3,
        order="MTVC",
        where=where,
    )


def _open_arrays(path: Path, content: Any, hints: PoseHints) -> list[Recording]:
    """Clips of another dict or list: the entry that is a list of arrays, or arrays by name."""
    entries = content if isinstance(content, Mapping) else {"": content}
    for value in entries.values():
        if isinstance(value, list | tuple) and value and all(map(_is_array, value)):
            return open_each(
                path,
                enumerate(value),
                lambda i, array: array_recording(
                    f"{path.stem}_{i:05d}", path, array, hints, where=f"{path}: clip {i}"
                ),
            )
    if isinstance(content, Mapping) and any(map(_is_array, content.values())):
        return open_entries(path, {str(key): value for key, value in content.items()}, hints)
    raise InputError(
        f"{path}: holds {describe_content(content)}, which is no clip; write 'annotations' as "
        "PYSKL does, or arrays of shape [persons, frames, joints, channels]"
    )


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim >= 3 and value.dtype.kind in "fiu"
