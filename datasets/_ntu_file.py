"""Raw ``.skeleton`` files of NTU RGB+D.

A file is text, one record a line: the number of frames; for every frame the number of bodies; for
every body a line of 10 fields that starts with its id, the number of joints, and for every joint a
line of 12 fields, of which the first three are its position and the last its tracking state.
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError

NUM_JOINTS = 25
_BODY_FIELDS = 10
_JOINT_FIELDS = 12
_LINES_PER_BODY = 2 + NUM_JOINTS
_REMEDY = "extract it again from the archive, or take it away"


@dataclass(frozen=True)
class Body:
    """What one file says of one tracked body.

    Args:
        frames: Numbers of the frames in which it appears, counted from 0.
        joints: Positions in metres in the frame of the camera and, if asked for, as a fourth
            channel the tracking states (0: not tracked, 1: inferred, 2: tracked).

    Shapes:
        - **frames:** :math:`(T_b)`
        - **joints:** :math:`(T_b, V, C)` with :math:`C = 3`, or 4 with the tracking states
    """

    frames: NDArray[np.int64]
    joints: NDArray[np.float32]


@dataclass(frozen=True)
class Recording:
    """The contents of one file.

    Args:
        num_frames: Number of frames, also those without a body.
        bodies: The bodies, at least one, in the order in which they first appear.
    """

    num_frames: int
    bodies: list[Body]


def parse_recording(data: bytes, where: str, tracking: bool = False) -> Recording:
    """Parse a ``.skeleton`` file.

    Args:
        data: Contents of the file, with line ends LF or CRLF.
        where: What to call the file in an error.
        tracking: Whether to read the tracking states too.

    Raises:
        InputError: If the file is no complete ``.skeleton`` file, holds no body, or a position is
            no finite number. Names the line.
    """
    lines = _split(data, where)
    num_frames = _read_count(lines, 0, "frames", where)
    at = 1
    frame_of: list[int] = []
    id_of: list[str] = []
    starts: list[int] = []
    for frame in range(num_frames):
        count = _read_count(lines, at, "bodies", where)
        at += 1
        for _ in range(count):
            id_of.append(_read_body_header(lines, at, where))
            frame_of.append(frame)
            starts.append(at + 2)
            at += _LINES_PER_BODY
    if at != len(lines):
        _fail(where, at, f"goes on with {_show(lines[at])} after the last frame")
    if not starts:
        raise InputError(f"{where}: has no body in any of its {num_frames} frames; {_REMEDY}")
    joints = _read_joints(lines, starts, tracking, where)
    return Recording(num_frames, _group(id_of, np.array(frame_of, np.int64), joints))


def _split(data: bytes, where: str) -> list[str]:
    try:
        return data.decode("ascii").rstrip().splitlines()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start)
        _fail(where, line, f"has the byte {data[error.start]:#04x}, which is no text")


def _read_count(lines: list[str], at: int, what: str, where: str) -> int:
    if at >= len(lines):
        _fail(where, len(lines) - 1, f"ends where the number of {what} should follow")
    text = lines[at].strip()
    # The number of digits keeps a line of garbage from becoming a number of any size.
    if not (text.isdecimal() and len(text) < 10):
        _fail(where, at, f"has {_show(text)} where the number of {what} should be")
    return int(text)


def _read_body_header(lines: list[str], at: int, where: str) -> str:
    """Check that a body follows, and return its id."""
    if at + _LINES_PER_BODY > len(lines):
        _fail(where, len(lines) - 1, "ends in the middle of a body")
    fields = lines[at].split()
    if len(fields) != _BODY_FIELDS:
        _fail(where, at, f"has {len(fields)} fields; a body has {_BODY_FIELDS}")
    count = _read_count(lines, at + 1, "joints", where)
    if count != NUM_JOINTS:
        _fail(where, at + 1, f"says that a body has {count} joints; it must have {NUM_JOINTS}")
    return fields[0]


def _read_joints(
    lines: list[str], starts: list[int], tracking: bool, where: str
) -> NDArray[np.float32]:
    columns = (0, 1, 2, _JOINT_FIELDS - 1) if tracking else (0, 1, 2)
    rows = [line for start in starts for line in lines[start : start + NUM_JOINTS]]
    for row, line in enumerate(rows):
        # Counting blanks is five times faster than splitting, and nearly always enough.
        if line.count(" ") != _JOINT_FIELDS - 1 and len(line.split()) != _JOINT_FIELDS:
            at = starts[row // NUM_JOINTS] + row % NUM_JOINTS
            _fail(where, at, f"has {len(line.split())} fields; a joint has {_JOINT_FIELDS}")
    try:
        values = np.loadtxt(rows, usecols=columns, comments=None, ndmin=2)
    except ValueError:
        values = np.array([])
    if len(values) != len(rows) or not np.isfinite(values).all():
        _fail_at_number(rows, starts, columns, where)
    return values.astype(np.float32).reshape(len(starts), NUM_JOINTS, len(columns))


def _fail_at_number(
    rows: list[str], starts: list[int], columns: tuple[int, ...], where: str
) -> NoReturn:
    """Find the joint that the fast way could not read."""
    for row, line in enumerate(rows):
        fields = line.split()
        for column in columns:
            if not _is_finite(fields[column]):
                at = starts[row // NUM_JOINTS] + row % NUM_JOINTS
                what = f"field {column + 1} of a joint is {_show(fields[column])}"
                _fail(where, at, f"{what}, which is no finite number")
    raise AssertionError(f"{where}: every number can be read after all")


def _is_finite(text: str) -> bool:
    try:
        # Not float(), which also takes "1_0".
        return bool(np.isfinite(np.loadtxt([text], comments=None)))
    except ValueError:
        return False


def _group(
    id_of: list[str], frame_of: NDArray[np.int64], joints: NDArray[np.float32]
) -> list[Body]:
    numbers: dict[str, int] = {}
    body_of = np.array([numbers.setdefault(name, len(numbers)) for name in id_of], np.int64)
    order = np.argsort(body_of, kind="stable")
    ends = np.cumsum(np.bincount(body_of, minlength=len(numbers)))
    return [Body(frame_of[mine], joints[mine]) for mine in np.split(order, ends[:-1])]


def _show(value: Any) -> str:
    return reprlib.repr(value)


def _fail(where: str, at: int, what: str) -> NoReturn:
    raise InputError(f"{where}: line {max(at, 0) + 1} {what}; {_REMEDY}")
