"""Recordings in JSON, whatever the form of a person in it: the common part of their readers."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.coordinates import find_meaning
from pyg_stgcn.poses.frame_files import FrameFiles
from pyg_stgcn.poses.frame_names import check_numbers, common_step
from pyg_stgcn.poses.json_stream import JsonStream
from pyg_stgcn.poses.person_arrays import NoPersonsError, distinct_tracks
from pyg_stgcn.poses.pose_reader import PoseHints
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.ranges import FRAME_RATE, Range
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.text import count

logger = logging.getLogger(__name__)

#: Persons that tell the unit of the coordinates.
_SAMPLE = 512
FRAME_KEYS = (
    *("frame", "frame_id", "frame_idx", "frame_index", "frame_number", "frame_num", "frameNumber"),
    *("frameIndex", "frameId", "image_id"),
)
_LIST_KEYS = ("frames", "results", "predictions")
_RATE_KEYS = ("fps", "frame_rate", "frameRate", "video_fps")
_HEIGHT_KEYS = ("height", "image_height", "imageHeight", "frame_height", "video_height")
_WIDTH_KEYS = ("width", "image_width", "imageWidth", "frame_width", "video_width")
_PIXELS = Range(1, 10**6, low_open=True)
#: Bytes of the first line of a file with a value a line.
_MAX_LINE = 1 << 22
#: Entries of the whole recording.
_INFO_KEYS = ("meta", "metadata", "info", "video", "video_info", "videoInfo", "properties")
_FRAME_NAME = re.compile(r"(?:frame[_ -]?)?(\d{1,18})(?:\.\w+)?", re.IGNORECASE | re.ASCII)
#: Channels of a person in words.
_CHANNELS = {
    "xy": "x, y",
    "xy?": "x, y and a third number",
    "xys": "x, y, score",
    "xyz": "x, y, z",
    "xyzs": "x, y, z, score",
}


class RawPerson(NamedTuple):
    """A person as a file describes it.

    Args:
        values: Raw numbers of the joints, as :math:`(V, K)`.
        channels: ``"xy"``, ``"xyz"`` or, with a score, ``"xys"`` and ``"xyzs"``; ``"xy?"`` if the
            third is not named.
        skeleton: The layout, if the file names the joints.
        track: Identity of the person, if known.
    """

    values: NDArray[np.float64]
    channels: str
    skeleton: Skeleton | None = None
    track: int | None = None


#: Finds the persons in the value of a frame; raises an InputError that lacks the name of the file.
FindPeople = Callable[[Any, Skeleton | None], list[RawPerson]]


def open_json(path: Path, find_people: FindPeople, hints: PoseHints) -> Recording:
    """The recording in a JSON file: a list of frames, an object of them by number, or JSON lines.

    Raises:
        InputError: The file is damaged, or lacks what the hints do not give.
    """
    metadata: dict[str, Any] = {}

    def items() -> Iterator[tuple[int, Any]]:
        return _read_items(path, metadata)

    return _recording(path.stem, path, items, find_people, hints, metadata)


def open_json_files(files: FrameFiles, find_people: FindPeople, hints: PoseHints) -> Recording:
    """The recording in JSON files of one frame each.

    Raises:
        InputError: As :func:`open_json`.
    """
    metadata: dict[str, Any] = {} if files.fps is None else {"fps": files.fps}

    def items() -> Iterator[tuple[int, Any]]:
        for number, one in zip(files.numbers.tolist(), files.paths(), strict=True):
            yield number, _load(one)

    return _recording(files.name, files.path, items, find_people, hints, metadata)


def find_frame(text: bytes) -> Any:
    """The only frame in a small JSON file, for its recognition; None if it is not one value."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def is_collection(item: Mapping[str, Any]) -> bool:
    """Whether an object holds frames, rather than being one."""
    return any(key in _LIST_KEYS or _FRAME_NAME.fullmatch(key) for key in item)


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: damaged ({error}); write it again, or remove it") from None


def _read_items(path: Path, metadata: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    """Number and value of every frame; notes what the file says of all frames."""
    with path.open("rb") as file:
        has_lines = is_lines(file.read(_MAX_LINE))
        file.seek(0)
        stream = JsonStream(path, file)
        if has_lines:
            place = 0
            while stream.peek():
                item = stream.value()
                yield _number(item, place), item
                place += 1
        elif stream.peek() == "{":
            yield from _read_members(stream, metadata)
        else:
            for number, item in enumerate(_list_items(stream)):
                yield _number(item, number), item


def is_lines(head: bytes) -> bool:
    """Whether every line of a file that starts like this is a value."""
    first, _, rest = head.partition(b"\n")
    return bool(rest.strip()) and find_frame(first) is not None


def _list_items(stream: JsonStream) -> Iterator[Any]:
    for _ in stream.items():
        yield stream.value()


def _read_members(stream: JsonStream, metadata: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    rest: dict[str, Any] = {}
    has_frames = False
    for key in stream.members():
        numbered = _FRAME_NAME.fullmatch(key)
        if key in _LIST_KEYS and stream.peek() == "[":
            has_frames = True
            for number, item in enumerate(_list_items(stream)):
                yield _number(item, number), item
        elif key in _LIST_KEYS and stream.peek() == "{":
            has_frames = True
            yield from _read_members(stream, metadata)
        elif numbered:
            has_frames = True
            yield int(numbered[1]), stream.value()
        else:
            rest[key] = stream.value()
    metadata.update(_metadata(rest))
    if not has_frames:
        yield _number(rest, 0), rest


def _number(item: Any, default: int) -> int:
    if isinstance(item, Mapping):
        for key in FRAME_KEYS:
            value = item.get(key)
            if isinstance(value, str) and (numbered := _FRAME_NAME.fullmatch(value)):
                return int(numbered[1])
            if isinstance(value, float) and value.is_integer():
                return int(value)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
    return default


def _metadata(content: Mapping[str, Any]) -> dict[str, Any]:
    """Frame rate and image size in the entries of an object, or of its description."""
    found: dict[str, Any] = {}
    for part in (content, *(content.get(key) for key in _INFO_KEYS)):
        if not isinstance(part, Mapping):
            continue
        for name, keys in (("fps", _RATE_KEYS), ("height", _HEIGHT_KEYS), ("width", _WIDTH_KEYS)):
            value = next((part[key] for key in keys if key in part), None)
            if value is not None and value in (FRAME_RATE if name == "fps" else _PIXELS):
                found.setdefault(name, float(value))
    return found


def _image_size(
    path: Path, metadata: Mapping[str, Any], values: NDArray[np.float64]
) -> tuple[float, float] | None:
    """Height and width in the file, unless they are those of something else, such as a box."""
    if "height" not in metadata or "width" not in metadata:
        return None
    height, width = metadata["height"], metadata["width"]
    points = values[..., :2][(values[..., :2] != 0).any(axis=-1)]
    outside = (points > (width, height)).any(axis=-1)
    if 2 * np.count_nonzero(outside) <= len(outside):
        return height, width
    logger.warning(
        "%s: most joints lie outside an image of the size in the file, %g x %g pixels, which may "
        "be that of a box; it is not used: give image_size, height and width of the video",
        path,
        width,
        height,
    )
    return None


def _recording(
    name: str,
    path: Path,
    items: Callable[[], Iterator[tuple[int, Any]]],
    find_people: FindPeople,
    hints: PoseHints,
    metadata: dict[str, Any],
) -> Recording:
    def people() -> Iterator[tuple[int, list[RawPerson]]]:
        return _read_people(path, items(), find_people, hints.skeleton, metadata)

    numbers, sample, has_tracks = _survey(path, people())
    check_numbers(path, numbers[0], numbers[-1])
    values = np.stack([person.values for person in sample])
    if (size := _image_size(path, metadata, values)) is not None:
        hints = replace(hints, image_size=size)
    channels = sample[0].channels
    axes = None if channels == "xy?" else len(channels.removesuffix("s"))
    meaning, skeleton = find_meaning(
        values,
        sample[0].skeleton or hints.skeleton,
        hints.image_size,
        str(path),
        axes=axes,
        score=axes if channels.endswith("s") else None,
    )

    def frames() -> Iterator[Frame]:
        for number, found in people():
            where = f"{path}: frame {number}"
            joints, scores, seen = meaning.convert(
                _values(found, sample[0], where), skeleton, where
            )
            tracks = distinct_tracks([person.track for person in found])[seen]
            yield Frame(number, joints, scores, tracks if has_tracks else None)

    step = common_step(np.array(numbers))
    return meaning.recording(
        name,
        path,
        skeleton,
        frames,
        fps=metadata.get("fps", hints.fps),
        num_frames=(numbers[-1] - numbers[0]) // step + 1,
        step=step,
    )


def _read_people(
    path: Path,
    items: Iterator[tuple[int, Any]],
    find_people: FindPeople,
    given: Skeleton | None,
    metadata: dict[str, Any],
) -> Iterator[tuple[int, list[RawPerson]]]:
    """Number and persons of every frame; notes what the first frame says of all frames."""
    last = None
    try:
        for number, group in groupby(items, itemgetter(0)):
            if last is not None and number <= last:
                raise InputError(
                    f"{path}: frame {number} comes after frame {last}; sort the frames"
                )
            values = [item for _, item in group]
            if last is None and isinstance(values[0], Mapping):
                metadata.update(_metadata(values[0]))
            last = number
            try:
                found = [one for item in values for one in find_people(item, given)]
            except InputError as error:
                raise InputError(f"{path}: frame {number}: {error}") from None
            yield number, found
    except RecursionError:
        raise InputError(f"{path}: is nested too deeply; write the file again") from None


def _survey(
    path: Path, people: Iterable[tuple[int, list[RawPerson]]]
) -> tuple[list[int], list[RawPerson], bool]:
    """The numbers of all frames, persons from the whole recording, and whether any is tracked."""
    numbers: list[int] = []
    sample: list[RawPerson] = []
    every, has_tracks = 1, False
    for place, (number, found) in enumerate(people):
        numbers.append(number)
        has_tracks = has_tracks or any(person.track is not None for person in found)
        if place % every == 0:
            sample += found
        if len(sample) > _SAMPLE:
            sample, every = sample[::2], 2 * every
    if not sample:
        raise NoPersonsError(
            f"{path}: there is no person in {count(len(numbers), 'frame')}; name a recording with "
            "persons"
        )
    first = sample[0]
    alike = [one for one in sample if one.values.shape == first.values.shape]
    return numbers, alike, has_tracks


def _values(found: list[RawPerson], first: RawPerson, where: str) -> NDArray[np.float64]:
    """The raw numbers of the persons of a frame, as :math:`(M, V, K)`."""
    for person in found:
        if person.values.shape != first.values.shape or person.channels != first.channels:
            raise InputError(
                f"{where}: a person has {_described(person)}, while others have "
                f"{_described(first)}; put recordings of different kinds into different files"
            )
    return np.array([person.values for person in found]).reshape(-1, *first.values.shape)


def _described(person: RawPerson) -> str:
    return f"{len(person.values)} joints of {_CHANNELS[person.channels]}"
