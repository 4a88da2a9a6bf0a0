"""Clips of datasets as a model reads them, those of an evaluation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyg_stgcn.datasets import NAMES
from pyg_stgcn.errors import InputError
from pyg_stgcn.recognition.answers import Piece
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.windows import Windows

if TYPE_CHECKING:
    from pyg_stgcn.datasets import SkeletonDataset

_PICKLES = (".pkl", ".pickle")
_ROOT = "data"


def dataset_and_clip(word: str) -> tuple[str, str | None] | None:
    """Divide ``"DATASET:CLIP"`` into its parts; None if a word names no dataset.

    A dataset is one that has a name, or a pickle.

    Example:
        >>> dataset_and_clip("utd-mhad:a1_s1_t1"), dataset_and_clip("mine.pkl")
        (('utd-mhad', 'a1_s1_t1'), ('mine.pkl', None))
    """
    if _is_dataset(word):
        return word, None
    parts = word.split(":")
    for number in range(1, len(parts)):
        dataset, clip = ":".join(parts[:number]), ":".join(parts[number:])
        if _is_dataset(dataset):
            return dataset, clip
    return None


def _is_dataset(word: str) -> bool:
    return word in NAMES or Path(word).suffix.lower() in _PICKLES


def open_clips(
    name: str,
    skeleton: Skeleton,
    *,
    given: Skeleton | str | None = None,
    root: str | None = None,
    source: str | None = None,
) -> SkeletonDataset:
    """All clips of a dataset that has a name, or of a pickle.

    Args:
        name: The name, or the path of the pickle.
        skeleton: That of the model, for pickles that do not say theirs.
        given: The skeleton of a pickle, if the user names it.
        root: Folder of the datasets (default: ``data``; the pickle's own folder).
        source: A local copy of the dataset's archive or raw files.

    Raises:
        InputError: The data are missing or cannot be read.
    """
    # Datasets are tensors; pose files are read without PyTorch.
    from pyg_stgcn.datasets import DATASETS, SkeletonPickle

    if name in NAMES:
        return DATASETS[name](root or _ROOT, split="all", source=source)
    return SkeletonPickle(
        name, root=root, skeleton=given, split="all", skip_bad=True, default_skeleton=skeleton
    )


def fits(dataset: SkeletonDataset, skeleton: Skeleton) -> bool:
    """Whether the skeleton of a dataset is that of a model; its name may differ."""
    return replace(dataset.skeleton, name=skeleton.name) == skeleton


def check_kind(dataset: SkeletonDataset, about: dict[str, Any], name: str) -> None:
    """Refuse clips that a model cannot read.

    Raises:
        InputError: They have other joints, or are 2-D where the model reads 3-D, or the reverse.
    """
    skeleton = Skeleton.from_dict(about["skeleton"])
    if not fits(dataset, skeleton):
        raise InputError(
            f"{name}: its skeleton is not that of the model: "
            f"{dataset.skeleton.difference(skeleton)}; name data on the same skeleton"
        )
    if dataset.has_score != bool(about["preprocessing"]["has_score"]):
        kinds = ["2-D", "3-D"] if dataset.has_score else ["3-D", "2-D"]
        raise InputError(
            f"{name}: has {kinds[0]} joints, the model reads {kinds[1]}; name data of the same kind"
        )


def item_pieces(
    dataset: SkeletonDataset,
    number: int,
    path: str | os.PathLike[str],
    windows: Windows | None = None,
    fps: float | None = None,
) -> Iterator[Piece]:
    """A clip of a dataset, or its windows.

    Args:
        dataset: The dataset, opened without a transform.
        number: Number of the clip.
        path: Name or file of the dataset, for messages.
        windows: Windows to cut the clip into.
        fps: Frames per second.
    """
    item = dataset[number]
    frames, tracks = item.x.size(1), range(int(item.num_persons))
    length = stride = frames
    if windows is not None:
        length, stride = windows.frames(fps, 1, f"{path}:{item.name}")
    for start in window_starts(frames, length, stride):
        end = min(start + length, frames)
        part = item.clone()
        part.x = item.x[:, start:end]
        if "present" in item:
            part.present = item.present[:, start:end]
        times = (None, None) if fps is None else (start / fps, end / fps)
        yield Piece(part, item.name, Path(path), tracks, start, end - 1, *times)


def window_starts(frames: int, length: int, stride: int) -> range:
    """The first frames of the windows of a clip; the last window may be shorter."""
    return range(0, max(frames - length, 0) + stride, stride)
