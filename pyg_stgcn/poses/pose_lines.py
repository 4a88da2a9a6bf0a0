"""Poses as lines of JSON, one a frame, from a program that goes on."""

from __future__ import annotations

import itertools
import json
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.checked import brief, shown
from pyg_stgcn.errors import InputError, warn_once
from pyg_stgcn.poses.coordinates import guess_layout
from pyg_stgcn.poses.mmpose import decode_frame
from pyg_stgcn.poses.person_arrays import (
    NO_PERSONS,
    NoPersonsError,
    Persons,
    clean_joints,
    distinct_tracks,
    parse_array,
    parse_identity,
)
from pyg_stgcn.poses.pose_reader import PoseHints
from pyg_stgcn.poses.poses_file import apply_description, described_skeleton
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.text import count

logger = logging.getLogger(__name__)

#: Most bytes of a line: a thousand persons with hands and faces.
MAX_LINE = 1 << 24
#: Wrong lines that are told one by one.
_TOLD = 5
_MAX_NUMBER = 2**53
#: Frames after which it is known how their numbers grow.
_ENOUGH = 30
_EXAMPLE = '{"frame": 0, "persons": [{"track": 1, "joints": [[x, y, score], ...]}]}'
_TIMES = "{}: frame {:,}: the time goes back from {:g} to {:g}; times of events will be wrong"
#: No body in space is so many times higher or wider than it is deep.
_FLAT = 10
#: Lines of a file of write_poses that hold no frame.
_BETWEEN = (b"", b"[", b"]", b"]}", b'"instance_info": [')


def open_pose_lines(
    lines: Iterable[tuple[bytes, int]],
    *,
    num_channels: int,
    hints: PoseHints | None = None,
    name: str = "standard input",
) -> Recording:
    """Open lines of JSON as a recording, of which there is a single pass.

    A line is a frame in one of two forms. Only persons are needed::

        {"frame": 12, "time": 0.4, "persons": [{"track": 3, "joints": [[x, y, score], ...]}]}
        {"frame_id": 12, "instances": [{"keypoints": [[x, y], ...], "keypoint_scores": [...]}]}

    The second form is that of MMPose and of :func:`~pyg_stgcn.poses.write_poses`, whose files can
    be read line by line too. A first line ``{"meta_info": {...}}`` describes the recording as such
    a file does. Numbers of frames grow from line to line; lower ones begin again. Lines that are
    wrong are left out, with a warning.

    The function waits for the first line with a person, which tells the number of joints.

    Args:
        lines: The lines, and how many before each one were dropped.
        num_channels: Coordinates of a joint, 2 or 3: it tells whether a third number is a score.
        hints: Layout, image size and frame rate, where the first line does not tell them.
        name: Name of the source, for messages.

    Raises:
        InputError: No line is a frame, or the joints of the first frame have no known layout.
    """
    return _PoseLines(lines, num_channels, hints or PoseHints(), name).open()


class _PoseLines:
    def __init__(
        self, lines: Iterable[tuple[bytes, int]], num_channels: int, hints: PoseHints, name: str
    ) -> None:
        self._name, self._hints, self._num_channels = name, hints, num_channels
        self._meta: dict[str, Any] = {}
        self._shape: tuple[int, ...] | None = None
        self._first = ""
        self._wrong = self._num_frames = 0
        self._number = self._last = -1
        self._growth = math.inf
        self._time = -math.inf
        self._frames = self._read(lines)

    def open(self) -> Recording:
        first = next((frame for frame in self._frames if len(frame.joints)), None)
        if first is None:
            self._refuse()
        _, num_joints, num_channels = first.joints.shape
        if num_channels == 3:
            _warn_of_scores(first.joints[0], self._name)
        path = Path(self._name)
        recording = Recording(
            self._name,
            path,
            described_skeleton(path, self._meta, num_joints)
            or guess_layout(num_joints, num_channels, self._name, self._hints.skeleton),
            lambda: itertools.chain([first], self._frames),
            num_channels=num_channels,
            has_score=True,
            image_size=self._hints.image_size,
            fps=self._hints.fps,
        )
        return replace(apply_description(recording, self._meta), name=self._name)

    def _refuse(self) -> NoReturn:
        if self._num_frames:
            raise NoPersonsError(f"{self._name}: no line shows a person")
        what = (
            f"no line is a frame; the first wrong one: {self._first}" if self._wrong else "is empty"
        )
        remedy = "" if _EXAMPLE in what else f"; write a line for each frame, such as {_EXAMPLE}"
        raise InputError(f"{self._name}: {what}{remedy}")

    def _read(self, lines: Iterable[tuple[bytes, int]]) -> Iterator[Frame]:
        """The frames of the lines that are right."""
        line_number, lost = 0, 0
        for line, dropped in lines:
            line_number, lost = line_number + 1 + dropped, lost + dropped
            where = f"{self._name}: line {line_number:,}"
            try:
                content = _parse(line, where)
                if content is None or self._is_description(content):
                    continue
            except InputError as error:
                self._leave_out(error)
                continue
            try:
                frame = self._frame(content, lost, where)
            except InputError as error:
                if self._shape is None:
                    raise
                self._leave_out(error)
                continue
            lost = 0
            self._num_frames += 1
            self._note_progress(frame)
            yield frame
        if self._wrong > _TOLD:
            logger.warning("%s: %s left out", self._name, count(self._wrong, "wrong line"))

    def _note_progress(self, frame: Frame) -> None:
        """Warn if numbers are missing after every frame: nobody seems to be seen there; and if the
        time goes back.
        """
        if self._num_frames > 1 and not frame.dropped:
            self._growth = min(self._growth, frame.number - self._last)
        if frame.time is not None:
            if frame.time < self._time and frame.number > self._last:
                warn_once(logger, _TIMES.format(self._name, frame.number, self._time, frame.time))
            self._time = frame.time
        self._last = frame.number
        if self._num_frames == _ENOUGH and 1 < self._growth < math.inf:
            logger.warning(
                "%s: the numbers of frames grow by %d or more, and nobody counts as seen in "
                "between; leave the numbers out, or number the frames one by one",
                *(self._name, self._growth),
            )

    def _leave_out(self, error: InputError) -> None:
        self._wrong += 1
        self._first = self._first or str(error)
        if self._wrong <= _TOLD:
            logger.warning("%s; the line is left out", error)

    def _is_description(self, content: dict[str, Any]) -> bool:
        """Whether a line describes the recording; keep the first description."""
        if not isinstance(meta := content.get("meta_info"), dict):
            return False
        self._meta = self._meta or meta
        return True

    def _frame(self, content: dict[str, Any], lost: int, where: str) -> Frame:
        number = content.get("frame_id", content.get("frame"))
        if number is None:
            number = self._number + 1 + lost
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < _MAX_NUMBER:
            raise InputError(f"{where}: the number of the frame is {shown(number)}")
        time = content.get("time")
        if time is not None and not _is_finite(time):
            raise InputError(f"{where}: the time is {shown(time)}, not a number of seconds")
        persons = self._persons(content, where)
        shape = persons.joints.shape[1:]
        before = self._shape or shape
        if persons.ids and shape != before:
            raise InputError(
                f"{where}: has {shape[0]} joints of {shape[1]} coordinates, while persons before "
                f"have {before[0]} of {before[1]}"
            )
        joints, scores = clean_joints(persons.joints, persons.scores, where)
        tracks = distinct_tracks(persons.ids) if max(persons.ids, default=-1) >= 0 else None
        self._number = number
        if persons.ids:
            self._shape = shape
        elif self._shape is not None:
            joints = np.zeros((0, *self._shape), np.float32)
            scores = np.zeros((0, self._shape[0]), np.float32)
        return Frame(number, joints, scores, tracks, time, lost)

    def _persons(self, content: dict[str, Any], where: str) -> Persons:
        if "instances" in content or "keypoints" in content:
            persons = decode_frame(content, where)
            has_score = bool((persons.scores > 0).any())
        else:
            if "persons" not in content:
                raise InputError(f"{where}: has no 'persons'; write a frame such as {_EXAMPLE}")
            persons, has_score = self._decode(content["persons"], where)
        if has_score or not persons.ids:
            return persons
        return persons._replace(scores=(persons.joints != 0).any(axis=2).astype(np.float32))

    def _decode(self, persons: Any, where: str) -> tuple[Persons, bool]:
        """The persons in the first form, and whether there are scores."""
        if not isinstance(persons, list) or not all(isinstance(one, dict) for one in persons):
            raise InputError(
                f"{where}: the persons are {shown(persons)}; write a frame such as {_EXAMPLE}"
            )
        if not persons:
            return NO_PERSONS, False
        axes = self._num_channels
        joints = parse_array([one.get("joints") for one in persons])
        if joints.ndim != 3 or not joints.shape[1] or joints.shape[2] not in (axes, axes + 1):
            raise InputError(
                f"{where}: joints are {shown(persons[0].get('joints'))}, not a list of joints with "
                f"{'x, y' if axes == 2 else 'x, y, z'} and perhaps a score, as many for each person"
            )
        has_score = joints.shape[2] > axes
        scores = joints[..., axes] if has_score else np.zeros(joints.shape[:2], np.float32)
        ids = [parse_identity(one.get("track")) for one in persons]
        return Persons(joints[..., :axes], scores, ids), has_score


def _parse(line: bytes, where: str) -> dict[str, Any] | None:
    """The object in a line; None if it is a line of a file of poses without a frame."""
    if len(line) > MAX_LINE:
        raise InputError(f"{where}: is longer than {MAX_LINE:,} bytes")
    text = line.strip()
    if text.startswith(b'{"meta_info"') and text.endswith(b"},"):
        text = text[:-1] + b"}"  # The head of a file of write_poses.
    text = text.removesuffix(b",")
    if text in _BETWEEN:
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = "is no JSON" if line.endswith(b"\n") else "is cut off"
        raise InputError(f"{where}: {what} ({brief(error)})") from None
    if not isinstance(content, dict):
        raise InputError(f"{where}: is {shown(content)}; write a frame such as {_EXAMPLE}")
    return content


def _warn_of_scores(joints: NDArray[np.float32], name: str) -> None:
    """Warn if the third numbers of a person ``[V, 3]`` are scores of joints in an image."""
    shown = joints[joints.any(axis=1)]
    width, third = np.ptp(shown[:, :2], axis=0).max(), shown[:, 2]
    if third.min() >= 0 and third.max() <= 1 and width > _FLAT:
        logger.warning(
            "%s: joints are up to %.0f apart in x and y, but their third numbers lie between %.2f "
            "and %.2f, as scores do; the model reads x, y and z: give it poses in space, or train "
            "one on poses in the image",
            *(name, width, third.min(), third.max()),
        )


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their ends, of bytes that come in pieces; longer ones than allowed are cut off.

    Args:
        chunks: Pieces of any length.
    """
    rest: list[bytes] = []
    size = 0
    for chunk in chunks:
        first, *more = chunk.split(b"\n")
        for part in more:
            yield b"".join([*rest, first])[: MAX_LINE + 1] + b"\n"
            rest, size, first = [], 0, part
        if size <= MAX_LINE:
            rest.append(first)
            size += len(first)
    if any(rest):
        yield b"".join(rest)[: MAX_LINE + 1]
