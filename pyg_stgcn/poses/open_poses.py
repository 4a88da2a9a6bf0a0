"""Pose files of any known format, opened by their contents."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

from pyg_stgcn.errors import InputError
from pyg_stgcn.file_kinds import refuse_other_formats
from pyg_stgcn.files import check_is_file
from pyg_stgcn.poses.csv_files import CsvReader
from pyg_stgcn.poses.frame_files import frame_files, group_names
from pyg_stgcn.poses.landmark_json import LandmarkFileReader, LandmarkReader
from pyg_stgcn.poses.mmpose import MMPoseImageReader, MMPoseReader
from pyg_stgcn.poses.npy_files import NpyReader, NpzReader
from pyg_stgcn.poses.open_video import VideoReader
from pyg_stgcn.poses.openpose import OpenPoseReader
from pyg_stgcn.poses.person_arrays import NoPersonsError
from pyg_stgcn.poses.person_results import AlphaPoseReader, CocoResultsReader
from pyg_stgcn.poses.pose_pickles import PickleReader
from pyg_stgcn.poses.pose_reader import HEAD_BYTES, FrameFileReader, PoseHints, PoseReader
from pyg_stgcn.poses.recording import Recording
from pyg_stgcn.poses.ultralytics_json import UltralyticsJsonFileReader, UltralyticsJsonReader
from pyg_stgcn.poses.ultralytics_txt import UltralyticsTxtReader
from pyg_stgcn.ranges import FRAME_RATE
from pyg_stgcn.skeletons import Skeleton, get_skeleton
from pyg_stgcn.walk import walk

#: The first reader that recognises a file reads it; the last ones recognise the most.
READERS: tuple[PoseReader | FrameFileReader, ...] = (
    OpenPoseReader(),
    AlphaPoseReader(),
    CocoResultsReader(),
    MMPoseReader(),
    MMPoseImageReader(),
    NpyReader(),
    NpzReader(),
    VideoReader(),
    CsvReader(),
    UltralyticsTxtReader(),
    UltralyticsJsonReader(),
    UltralyticsJsonFileReader(),
    LandmarkReader(),
    LandmarkFileReader(),
    PickleReader(),
)

_LOG = logging.getLogger(__name__)


def open_poses(
    path: str | os.PathLike[str],
    *,
    skeleton: Skeleton | str | None = None,
    image_size: tuple[float, float] | None = None,
    fps: float | None = None,
) -> list[Recording]:
    """Open what a pose estimator wrote; the format is recognised by its content.

    Args:
        path: A file, or a folder of files of one frame each, such as that of OpenPose.
        skeleton: Layout of the joints (a skeleton, the name of a built-in one or a JSON file), for
            files without joint names whose number of joints does not decide it.
        image_size: Height and width of the images in pixels, for files that do not contain them.
        fps: Frames per second, for files that do not contain them.

    Returns:
        The recordings; their frames are read when they are needed.

    Raises:
        InputError: The path is no pose file, is damaged, or lacks what the arguments do not give;
            or an argument is impossible.

    Example:
        >>> (recording,) = open_poses("output_json")  # doctest: +SKIP
        >>> for frame in recording.frames():  # doctest: +SKIP
        ...     print(frame.number, frame.joints.shape)
    """
    path = Path(path)
    if skeleton is not None and not isinstance(skeleton, Skeleton):
        skeleton = get_skeleton(skeleton)
    _check_hints(image_size, fps)
    hints = PoseHints(skeleton, image_size, fps)
    if path.is_dir():
        return _open_folder(path, hints)
    check_is_file(path)
    head = _read_head(path)
    if head and _is_empty(head):
        raise NoPersonsError(f"{path}: is a list without persons; name a file with persons")
    reader = _reader_of(path, head)
    if isinstance(reader, FrameFileReader):
        return [reader.open_files(frame_files(path.parent, [path.name]), hints)]
    if reader is not None:
        return reader.open(path, hints)
    refuse_other_formats(path, "a pose file")
    raise InputError(f"{path}: is not a pose file of a known format. {_formats()}")


def list_recordings(folder: str | os.PathLike[str]) -> list[Path]:
    """The pose files in a folder and the folders in it, each to be opened by :func:`open_poses`.

    A folder of files of one frame each counts as one path, other pose files count one by one. Other
    files are left out; the log names some of them.

    Raises:
        InputError: There is no such folder, or no pose file in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; name a folder of pose files")
    found: list[Path] = []
    others: list[Path] = []
    for parent, names in walk(folder):
        recordings, rest = _divide(Path(parent), names)
        found += [Path(parent)] if recordings else []
        for path in rest:
            (found if _reader_of(path, _read_head(path)) is not None else others).append(path)
    shown = ", ".join(str(path.relative_to(folder)) for path in others[:3])
    if not found:
        what = f"contains no pose file, only {shown}" if others else "is empty"
        raise InputError(f"{folder}: {what}; name a folder of pose files. {_formats()}")
    if others:
        _LOG.warning(
            "%s: left out, not pose files: %s%s",
            folder,
            shown,
            f" and {len(others) - 3:,} more" if len(others) > 3 else "",
        )
    return sorted(found)


def _check_hints(image_size: tuple[float, float] | None, fps: float | None) -> None:
    sides = (1, 1) if image_size is None else image_size
    if len(sides) != 2 or not all(0 < side < math.inf for side in sides):
        raise InputError(f"image_size={image_size}: give height and width in pixels")
    if fps is not None and fps not in FRAME_RATE:
        raise InputError(f"fps={fps}: give a number in {FRAME_RATE}")


def _open_folder(folder: Path, hints: PoseHints) -> list[Recording]:
    names = [entry.name for entry in os.scandir(folder) if entry.is_file()]
    recordings, rest = _divide(folder, names)
    if recordings:
        return _open_frame_files(folder, recordings, hints)
    others = [path.name for path in rest] or sorted(entry.name for entry in folder.iterdir())
    if not others:
        raise InputError(f"{folder}: is empty; name a pose file or a folder of pose files")
    raise InputError(
        f"{folder}: contains no files of one frame each, only others such as {others[0]}; open "
        f"them one by one. {_formats()}"
    )


def _open_frame_files(
    folder: Path, recordings: list[tuple[FrameFileReader, list[str]]], hints: PoseHints
) -> list[Recording]:
    """Open the recordings of a folder; those without a person are left out if others have one."""
    if len(recordings) == 1:
        reader, names = recordings[0]
        files = replace(frame_files(folder, names), name=folder.resolve().name)
        return [reader.open_files(files, hints)]
    opened: list[Recording] = []
    empty: list[NoPersonsError] = []
    for reader, names in recordings:
        try:
            opened.append(reader.open_files(frame_files(folder, names), hints))
        except NoPersonsError as error:
            empty.append(error)
    if not opened:
        raise empty[0]
    for reason in empty:
        _LOG.warning("left out: %s", reason)
    return opened


def _divide(
    folder: Path, names: Iterable[str]
) -> tuple[list[tuple[FrameFileReader, list[str]]], list[Path]]:
    """The recordings among the files of a folder that have a file a frame, and all other files.

    Only some files of each recording are looked at.
    """
    recordings: list[tuple[FrameFileReader, list[str]]] = []
    rest: list[Path] = []
    for group in group_names(name for name in names if not name.startswith(".")):
        if (reader := _frame_file_reader(folder, group)) is None:
            rest += [folder / name for name in group]
        else:
            recordings.append((reader, group))
    return recordings, rest


def _frame_file_reader(folder: Path, names: list[str]) -> FrameFileReader | None:
    """The reader of the first files that are not empty; three are looked at."""
    heads = ((folder / name, _read_head(folder / name)) for name in names)
    samples = islice(((path, head) for path, head in heads if not _is_empty(head)), 3)
    readers = (_reader_of(path, head) for path, head in samples)
    return next((reader for reader in readers if isinstance(reader, FrameFileReader)), None)


def _is_empty(head: bytes) -> bool:
    """Whether a file contains nothing, or a list without persons."""
    return head.strip() in (b"", b"[]")


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except FileNotFoundError:
        raise InputError(
            f"{path}: there is no such file; name a pose file or a folder of pose files"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _reader_of(path: Path, head: bytes) -> PoseReader | FrameFileReader | None:
    return next((reader for reader in READERS if reader.recognises(path, head)), None)


def _formats() -> str:
    return f"Known formats: {', '.join(reader.format for reader in READERS)}"
