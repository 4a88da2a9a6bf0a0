"""JSON files of many frames: the place of each entry in the file is found once."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.checked import shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.frame_names import (
    FrameName,
    check_numbers,
    common_step,
    number_times,
    parse_frame_name,
    recording_name,
)
from pyg_stgcn.poses.json_stream import read_values
from pyg_stgcn.poses.person_arrays import NoPersonsError, Persons, clean_joints
from pyg_stgcn.poses.pose_reader import PoseHints
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.skeletons import Skeleton

_LOG = logging.getLogger(__name__)

#: The names that programs give to all their files.
_USUAL_NAMES = ("alphapose-results", "predictions", "results", "poses")


class Entry(NamedTuple):
    """One person or one frame in a file.

    Args:
        image: Number or name of the frame.
        value: The JSON value.
        offset: Its first byte in the file.
        size: Its number of bytes.
    """

    image: str | int
    value: Any
    offset: int
    size: int


#: Takes the value of an entry apart; the text names the place of the entry in errors.
Decode = Callable[[Any, str], Persons]


@dataclass
class Places:
    """The entries of one recording: their frames, and their places in the file.

    Args:
        prefix: Text before the number in the names of the images.
        is_time: Whether numbers are times in microseconds.
        num_joints: Joints of a person; 0 without persons.
        num_channels: Coordinates of a joint.
        has_score: Whether any score is above zero.
        numbers: Number of the frame, an entry each.
        offsets: First byte, an entry each.
        sizes: Number of bytes, an entry each.
        person_numbers: Number of the frame, a person each.
        ids: Identity, a person each.
    """

    prefix: str
    is_time: bool
    num_joints: int = 0
    num_channels: int = 2
    has_score: bool = False
    numbers: array[int] = field(default_factory=lambda: array("q"))
    offsets: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    person_numbers: array[int] = field(default_factory=lambda: array("q"))
    ids: array[int] = field(default_factory=lambda: array("q"))

    def add(self, number: int, entry: Entry, persons: Persons, where: str) -> None:
        """Add an entry.

        Raises:
            InputError: Its persons have other joints than those before, or are not finite.
        """
        self.numbers.append(number)
        self.offsets.append(entry.offset)
        self.sizes.append(entry.size)
        if len(persons.ids) == 0:
            return
        shape = persons.joints.shape[1:]
        if self.num_joints == 0:
            self.num_joints, self.num_channels = shape
        if shape != (self.num_joints, self.num_channels):
            raise InputError(
                f"{where}: has {shape[0]} joints of {shape[1]} coordinates, while persons before "
                f"have {self.num_joints} of {self.num_channels}; put recordings of different "
                "layouts into different files"
            )
        clean_joints(persons.joints, persons.scores, where)
        self.has_score = self.has_score or bool((persons.scores > 0).any())
        self.person_numbers.extend([number] * len(persons.ids))
        self.ids.extend(persons.ids)

    def has_tracks(self, path: Path) -> bool:
        """Whether persons have identities, and none has that of another person of the frame.

        If identities differ, but two persons of a frame have the same, the log says so.
        """
        pairs = np.stack([np.array(self.person_numbers), np.array(self.ids)], axis=1)
        pairs = pairs[pairs[:, 1] >= 0]
        if len(pairs) == 0:
            return False
        different, counts = np.unique(pairs, axis=0, return_counts=True)
        if len(different) == len(pairs):
            return True
        if len(np.unique(pairs[:, 1])) > 1:
            number, identity = different[counts.argmax()].tolist()
            _LOG.warning(
                "%s: frame %d has several persons with the identity %d; the identities of the "
                "file are not used",
                path,
                number,
                identity,
            )
        return False


def find_places(path: Path, entries: Iterable[Entry], decode: Decode) -> list[Places]:
    """Find the recordings of a file and the places of their entries, and check all values.

    Memory for 40 bytes an entry or a person is needed, whatever its size in the file.

    Args:
        path: The file, for errors.
        entries: All entries.
        decode: Takes an entry apart.

    Raises:
        InputError: An entry is damaged, or there is no person.
    """
    found: dict[tuple[str, str, bool], Places] = {}
    for entry in entries:
        where = f"{path}: frame {shown(entry.image)}"
        name = _frame_name(entry.image, where)
        places = found.setdefault(name.recording, Places(name.prefix, name.is_time))
        places.add(name.number, entry, decode(entry.value, where), where)
    recordings = [places for places in found.values() if places.num_joints]
    if not recordings:
        raise NoPersonsError(f"{path}: there is no person in it; name a file with persons")
    for places in recordings:
        if not places.is_time:
            check_numbers(path, min(places.numbers), max(places.numbers))
    return recordings


def _frame_name(image: str | int, where: str) -> FrameName:
    name = parse_frame_name(image) if isinstance(image, str) else FrameName("", "", image)
    if not name.is_time:
        check_numbers(where, name.number, name.number)
    return name


def indexed_recording(
    path: Path,
    places: Places,
    decode: Decode,
    skeleton: Skeleton,
    hints: PoseHints,
    *,
    kept: Sequence[int] | None = None,
    is_only: bool = True,
) -> Recording:
    """The recording of entries whose places are known.

    Args:
        path: The file.
        places: The entries of the recording.
        decode: Takes an entry apart.
        skeleton: The layout.
        hints: Image size and frame rate.
        kept: Joints of the file that are those of the layout; by default the first ones, as hands
            and face come after a body.
        is_only: Whether the file contains no other recording.
    """
    numbers, inverse = np.unique(np.array(places.numbers), return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    ends = np.cumsum(np.bincount(inverse))
    offsets, sizes = np.array(places.offsets)[order], np.array(places.sizes)[order]
    fps = hints.fps
    if places.is_time:
        numbers, fps = number_times(numbers)
    tracked = places.has_tracks(path)
    joints = np.array(range(skeleton.num_joints) if kept is None else kept)
    step = common_step(numbers)

    def frames() -> Iterator[Frame]:
        values = read_values(path, zip(map(int, offsets), map(int, sizes), strict=True))
        start = 0
        for number, end in zip(map(int, numbers), map(int, ends), strict=True):
            entries = [decode(next(values), f"{path}: frame {number}") for _ in range(start, end)]
            yield _frame(number, entries, places, joints, tracked)
            start = end

    return Recording(
        _name(path) if is_only else recording_name(places.prefix) or _name(path),
        path,
        skeleton,
        frames,
        num_channels=places.num_channels,
        has_score=places.has_score,
        image_size=hints.image_size if places.num_channels == 2 else None,
        fps=fps,
        num_frames=int(numbers[-1] - numbers[0]) // step + 1,
        step=step,
    )


def _frame(
    number: int, entries: list[Persons], places: Places, kept: NDArray[np.int64], tracked: bool
) -> Frame:
    with_persons = [persons for persons in entries if persons.ids]
    if not with_persons:
        empty = np.zeros((0, len(kept), places.num_channels), np.float32)
        ids = np.zeros(0, np.int64) if tracked else None
        return Frame(number, empty, np.zeros((0, len(kept)), np.float32), ids)
    joints = np.concatenate([persons.joints[:, kept] for persons in with_persons])
    scores = np.concatenate([persons.scores[:, kept] for persons in with_persons])
    if not places.has_score:
        scores = (joints != 0).any(axis=2).astype(np.float32)
    joints, scores = clean_joints(joints, scores, f"frame {number}")
    ids = np.array([one for persons in with_persons for one in persons.ids], np.int64)
    return Frame(number, joints, scores, ids if tracked else None)


def _name(path: Path) -> str:
    stem = path.stem
    return path.resolve().parent.name if stem in _USUAL_NAMES else stem
