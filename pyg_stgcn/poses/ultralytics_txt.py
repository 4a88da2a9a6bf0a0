"""Reader of Ultralytics' ``save_txt``: a text file a frame, one line a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.coordinates import LAYOUTS, Meaning, guess_layout
from pyg_stgcn.poses.frame_files import FrameFiles
from pyg_stgcn.poses.person_arrays import NoPersonsError, distinct_tracks
from pyg_stgcn.poses.pose_reader import PoseHints
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.skeletons import Skeleton

#: Class and box: centre, width and height.
_BOX = 5
#: Files that tell whether persons have confidences and identities.
_SAMPLE = 64
#: Of an identity.
_MAX_DIGITS = 18
#: Numbers of joints, in the order in which they are tried: most models find COCO's.
_COUNTS = (17, *(number for number in LAYOUTS[2] if number != 17))


class UltralyticsTxtReader:
    """Reader of a folder of label files, as ``save_txt=True`` writes them for a video.

    A line has the class, the box, then x, y and perhaps a score for every keypoint, as fractions
    of the image, and at the end perhaps the confidence of the person (``save_conf``) and the
    identity from tracking. Frames without persons have no file. A keypoint at (0, 0) is missing.

    Source: https://docs.ultralytics.com/modes/predict/, and ``Results.save_txt``.
    """

    format = "Ultralytics labels (txt, a file a frame)"

    def recognises(self, path: Path, head: bytes) -> bool:
        if path.suffix != ".txt":
            return False
        try:
            line = head.decode("ascii").strip().splitlines()[0]
            numbers = [float(part) for part in line.split()]
        except (ValueError, IndexError):
            return False
        box = numbers[1:_BOX]
        is_label = len(numbers) > 2 * _BOX and numbers[0].is_integer() and numbers[0] >= 0
        return is_label and all(0 <= one <= 1.01 for one in box)

    def open_files(self, files: FrameFiles, hints: PoseHints) -> Recording:
        where = str(files.path)
        if hints.image_size is None:
            raise InputError(
                f"{where}: Ultralytics wrote fractions of the image, and not its size; give "
                "image_size, the height and width of the video in pixels"
            )
        joints, channels = _find_shape(files, hints.skeleton)
        tracked_length = _find_tracked_length(files, _BOX + joints * channels)
        skeleton = guess_layout(joints, 2, where, hints.skeleton)
        score = 2 if channels == 3 else None
        scale = hints.image_size[::-1]
        meaning = Meaning(2, score, scale=scale, image_size=hints.image_size)

        def frames() -> Iterator[Frame]:
            for number, path in zip(files.numbers.tolist(), files.paths(), strict=True):
                frame = _read_frame(number, path, meaning, skeleton, channels, tracked_length)
                yield frame if tracked_length else frame._replace(tracks=None)

        return meaning.recording(
            files.name,
            files.path,
            skeleton,
            frames,
            fps=files.fps or hints.fps,
            num_frames=files.num_frames,
            step=files.step,
        )


def _find_shape(files: FrameFiles, given: Skeleton | None) -> tuple[int, int]:
    """Number of joints and their channels, from the length of the first line."""
    counts = _COUNTS if given is None else (given.num_joints,)
    for path in files.paths():
        for words in _read_lines(path):
            length = len(words) - _BOX
            for joints in counts:
                for channels in (3, 2):
                    if 0 <= length - joints * channels <= 2:
                        return joints, channels
            layout = "a known layout" if given is None else f"skeleton {given.name!r}"
            raise InputError(
                f"{path}: has {length} numbers after the class and the box, which do not fit the "
                f"joints of {layout}; name the layout as skeleton"
            )
    raise NoPersonsError(f"{files.folder}: none of the files of {files.name!r} has a person in it")


def _read_lines(path: Path) -> list[list[str]]:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not a label file; remove it, or write it again") from None
    return [words for line in lines if (words := line.split())]


def _read_frame(
    number: int,
    path: Path,
    meaning: Meaning,
    skeleton: Skeleton,
    channels: int,
    tracked_length: int,
) -> Frame:
    end = _BOX + skeleton.num_joints * channels
    lines = _read_lines(path)
    for words in lines:
        if not 0 <= len(words) - end <= 2:
            raise InputError(
                f"{path}: has a line of {len(words)} numbers, not {end} to {end + 2} as others; "
                "write it again, or remove it"
            )
    try:
        values = np.array([words[_BOX:end] for words in lines], np.float64)
    except ValueError:
        raise InputError(f"{path}: has a line with words that are not numbers") from None
    values = values.reshape(-1, skeleton.num_joints, channels)
    if channels == 3:  # Labels for training call a visible joint 2.
        values[..., 2] = np.minimum(values[..., 2], 1)
    joints, scores, seen = meaning.convert(values, skeleton, str(path))
    tracks = distinct_tracks([_read_track(words, tracked_length) for words in lines])
    return Frame(number, joints, scores, tracks[seen])


def _read_track(words: list[str], tracked_length: int) -> int | None:
    """Identity of a person: the last number of a line of that length, if it is a whole one."""
    last = words[-1]
    is_track = len(words) == tracked_length and last.isdigit() and len(last) <= _MAX_DIGITS
    return int(last) if is_track else None


def _find_tracked_length(files: FrameFiles, end: int) -> int:
    """Numbers in the lines of persons with identities, 0 if there are none.

    Files from the whole recording are looked at. An identity comes after the confidence, if there
    is one; a single number is a confidence if it is not a whole one in all lines.
    """
    paths = list(files.paths())
    some = paths[:: max(1, len(paths) // _SAMPLE)]
    rests = [words[end:] for path in some for words in _read_lines(path)]
    has_confidence = any(len(rest) == 2 or (rest and not rest[0].isdigit()) for rest in rests)
    length = 2 if has_confidence else 1
    is_tracked = any(rest and _read_track(rest, length) is not None for rest in rests)
    return end + length if is_tracked else 0
