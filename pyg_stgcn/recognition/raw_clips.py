"""Clips as people have them: arrays, tensors, or items of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.pose_clip import PoseClip, collect_clip
from pyg_stgcn.recognition.pose_files import PoseOptions, fit_to_model, open_recordings
from pyg_stgcn.recognition.prepare import ClipError, Floats, Mask, check_clip


class CheckedClip(NamedTuple):
    """A checked clip.

    Args:
        joints: ``[M, T, V, C]``.
        present: Mask of the present joints ``[M, T, V]``.
        image_size: Height and width of the image, in 2-D.
        where: Name for messages.
    """

    joints: Floats
    present: Mask
    image_size: tuple[float, float] | None
    where: str


def as_list(clips: Any) -> tuple[Iterable[Any], bool]:
    """The clips one after the other, and whether a single one was given."""
    if hasattr(clips, "to_data_list"):
        return clips.to_data_list(), False
    if _is_item(clips) or getattr(clips, "ndim", 0) in (1, 2, 3, 4):
        return [clips], True
    if isinstance(clips, str | bytes | Mapping) or not isinstance(clips, Iterable):
        raise InputError(
            f"clips: {type(clips).__name__}; give an array of joints, an item of a dataset, the "
            "path of a pose file, or a list of these"
        )
    return clips, False


def read_clip(
    clip: Any, number: int, about: dict[str, Any], image_size: tuple[float, float] | None
) -> CheckedClip:
    """Check a clip.

    Args:
        clip: An array, a tensor, an item of a dataset, a :class:`~pyg_stgcn.poses.PoseClip`, or the
            path of one recording.
        number: Its number, for messages.
        about: The description of the model.
        image_size: Height and width of the image, if the clip does not say it.

    Raises:
        InputError: If the model cannot read the clip.
    """
    where, given = f"clip {number}", None
    if isinstance(clip, str | PathLike):
        clip = _read_recording(Path(clip), about, image_size)
    if isinstance(clip, PoseClip):
        where = f"{clip.name}, frames {clip.first_frame} to {clip.last_frame}"
        image_size, clip = clip.image_size, clip.to_array()
    elif _is_item(clip):
        where = f"{where} ({clip.name})" if "name" in clip else where
        image_size = _size_of(clip, image_size)
        clip, given = _split_item(clip, where)
    try:
        joints, present = check_clip(_to_numpy(clip), about, image_size=image_size)
    except ClipError as error:
        raise InputError(f"{where}: {error}") from None
    return CheckedClip(joints, present if given is None else given, image_size, where)


def _read_recording(
    path: Path, about: dict[str, Any], image_size: tuple[float, float] | None
) -> PoseClip:
    recordings = open_recordings(path, about, PoseOptions(image_size=image_size))
    if len(recordings) != 1:
        raise InputError(
            f"{path}: holds {len(recordings)} recordings; in a list, give files of one recording "
            "each"
        )
    return collect_clip(fit_to_model(recordings[0], about))


def _is_item(clip: Any) -> bool:
    return hasattr(clip, "x") and hasattr(clip, "edge_index")


def _to_numpy(clip: Any) -> Any:
    return clip.detach().cpu().float().numpy() if hasattr(clip, "detach") else clip


def _size_of(item: Any, image_size: tuple[float, float] | None) -> tuple[float, float] | None:
    if "image_size" not in item:
        return image_size
    height, width = item.image_size.view(-1).tolist()
    return height, width


def _split_item(item: Any, where: str) -> tuple[NDArray[Any], Mask | None]:
    """The joints of an item ``[M, T, V, C]``, and its mask of the present ones."""
    if "num_views" in item:
        raise InputError(
            f"{where}: has been prepared for a model already; open the dataset without transform"
        )
    persons = int(item.num_persons) if "num_persons" in item else 1
    nodes, frames = item.x.shape[:2]
    if nodes % max(persons, 1) or (nodes and not persons):
        raise InputError(
            f"{where}: {nodes} nodes cannot belong to {persons} persons; every person needs all "
            "joints"
        )
    present = item.get("present")
    fits = present is not None and present.shape == item.x.shape[:2]

    def split(values: Any) -> NDArray[Any]:
        array = values.detach().cpu().numpy()
        joints = nodes // max(persons, 1)
        return array.reshape(persons, joints, frames, *array.shape[2:]).swapaxes(1, 2)

    return split(item.x.float()), split(present) if fits else None
