"""Kinetics-400: 400 actions from the web, joints found by HRNet in 2-D."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.base import SkeletonDataset
from pyg_stgcn.datasets.readers.fields import read_image_size, read_label, read_name, read_splits
from pyg_stgcn.datasets.readers.metadata import read_metadata
from pyg_stgcn.datasets.readers.reading import BadClip, ClipSource
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.errors import InputError
from pyg_stgcn.file_kinds import describe_content, refuse_other_formats
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.unpickle import load_pickle
from pyg_stgcn.walk import walk

_INDEX = "k400_hrnet.pkl"
_MAX_PERSONS = 10


class Kinetics400HRNet(SkeletonDataset):
    r"""Kinetics-400, from `"Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset"
    <https://arxiv.org/abs/1705.07750>`_ (Carreira and Zisserman, CVPR 2017), as joints in pixels
    with scores that `PYSKL <https://arxiv.org/abs/2205.09443>`_ publishes.

    Reads a folder with the index ``k400_hrnet.pkl`` and the part files with the joints
    (``kpfiles``), anywhere below. Part files are found by the names of the clips in them, and read
    one after the other, so that the largest one has to fit into memory.

    The parts hold single skeletons, each with the number of its frame. Frames without one are left
    out, and the skeletons of a frame become its persons as they come; where a clip has frames with
    more than ten, the ten with the highest sums of scores, the highest first. Nothing tracks them:
    the first person of a frame need not be that of the next.

    Args:
        root: Folder of the dataset; index and part files are looked for in the folder
            ``<root>/raw/kinetics400-hrnet``. They are not downloaded.
        benchmark: ``"default"``.
        split: ``"train"``, ``"val"`` or ``"all"``.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        pre_filter: Decides, before :obj:`pre_transform`, which clips are stored.
        log: Whether to print that the store is being built.
        force_reload: Whether to read the source again.
        source: The folder, if not at the place above.
        strict: Whether a clip that cannot be used is an error instead of being left out.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.
        skip_bad: Whether to leave out any number of clips that cannot be used.

    Raises:
        InputError: If the source cannot be used.

    **STATS:**

    .. list-table::
        :header-rows: 1

        * - #persons
          - #joints
          - #channels
          - #classes
        * - 1 to 10
          - 17
          - 3 (x, y in pixels, score)
          - 400
    """

    name = "kinetics400-hrnet"
    page = "https://github.com/kennymckormick/pyskl/blob/main/tools/data/README.md"
    source_suffixes = (".pkl",)

    @property
    def raw_file_names(self) -> list[str]:
        return [self.name]

    def download(self) -> None:
        folder = Path(self.raw_paths[0])
        raise InputError(
            f"{folder}: no such folder; put {_INDEX} and the unpacked kpfiles there (see "
            f"{self.page}), or name their folder with --source"
        )

    def read(self) -> ClipSource:
        folder = self.source_path
        assert folder is not None
        if not folder.is_dir():
            raise InputError(f"{folder}: no folder; name the one that holds {_INDEX} and kpfiles")
        index = folder / _INDEX
        content = load_pickle(index, refuse_other_formats)
        try:
            entries, splits = _read_index(content)
        except ValueError as error:  # An InputError, or a number too long to be printed.
            raise InputError(f"{index}: {error}") from error
        files = (Path(parent, name) for parent, names in walk(folder) for name in names)
        parts = sorted(file for file in files if file.suffix == ".pkl" and file != index)
        return ClipSource(
            skeleton=get_skeleton("coco17"),
            classes=read_metadata("kinetics400_classes.txt"),
            splits=splits,
            clips=_read_parts(parts, entries, index),
            total=len(entries),
            has_score=True,
            dtype="float16",
        )


def _read_index(content: Any) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(annotations, list) or not annotations:
        raise InputError("is no index: it holds no list of annotations; fetch it again")
    entries: dict[str, dict[str, Any]] = {}
    for i, entry in enumerate(annotations):
        if not isinstance(entry, dict):
            raise InputError(f"annotation {i} is {describe_content(entry)}, not a dict")
        if entries.setdefault(read_name(i, entry), entry) is not entry:
            raise InputError(f"clip name {read_name(i, entry)!r} occurs twice; remove one of them")
    return entries, read_splits(content.get("split", {}))


def _read_parts(
    parts: list[Path], entries: dict[str, dict[str, Any]], index: Path
) -> Iterator[Clip | BadClip]:
    wanted = dict(entries)
    for part in parts:
        content = load_pickle(part, refuse_other_formats)
        if not isinstance(content, dict):
            raise InputError(f"{part}: holds {describe_content(content)}, not a dict of clips")
        for name in [name for name in content if name in wanted]:
            yield _read_clip(name, wanted.pop(name), content[name], part)
    for name in wanted:
        reason = f"{index}: no part file beside or below it holds clip {name!r}; add that file"
        yield BadClip(name, reason)


def _read_clip(name: str, entry: dict[str, Any], found: Any, part: Path) -> Clip | BadClip:
    try:
        joints = found.get("keypoint") if isinstance(found, dict) else None
        keypoint = _arrange(name, joints, entry.get("frame_inds"))
        size = read_image_size(name, entry.get("img_shape"))
        return Clip(name, read_label(name, entry), keypoint, size)
    except ValueError as error:  # An InputError, or a number too long to be printed.
        return BadClip(name, f"{part}: {error}")


def _arrange(name: str, joints: Any, frames: Any) -> NDArray[np.float16]:
    """Arrange single skeletons :math:`(S, 17, 3)` by person and frame :math:`(M, T, 17, 3)`.

    Args:
        name: Name of the clip.
        joints: The skeletons.
        frames: The number of the frame of each.
    """
    if not _is_array(joints, 3, "fiu") or joints.shape[1:] != (17, 3):
        raise InputError(
            f"clip {name!r} has keypoint of shape {np.shape(joints)}; it must be numbers of shape "
            "[skeletons, 17, 3]"
        )
    if not _is_array(frames, 1, "iu") or frames.shape != joints.shape[:1]:
        raise InputError(
            f"clip {name!r} has frame_inds of shape {np.shape(frames)} for {len(joints)} "
            "skeletons; it must have one frame number for each"
        )
    if np.any(frames[1:] < frames[:-1]):
        raise InputError(f"clip {name!r} has frame_inds that go back; sort its skeletons by them")
    _, first, frame, counts = np.unique(
        frames, return_index=True, return_inverse=True, return_counts=True
    )
    if counts.max(initial=0) > _MAX_PERSONS:
        score = joints[..., 2].astype(np.float32).sum(axis=1)
        joints = joints[np.lexsort((-score, frame))]
    person = np.arange(len(joints)) - first[frame]
    kept = person < _MAX_PERSONS
    shape = (min(int(counts.max(initial=0)), _MAX_PERSONS), len(counts), 17, 3)
    keypoint = np.zeros(shape, np.float16)
    with np.errstate(over="ignore"):
        keypoint[person[kept], frame[kept]] = joints[kept]
    return keypoint


def _is_array(value: Any, dimensions: int, kinds: str) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == dimensions and value.dtype.kind in kinds
