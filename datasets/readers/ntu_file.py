"""Raw ``.skeleton`` files of NTU RGB+D.

A file is text, one record a line: the number of frames; for every frame the number of bodies; for
every body a line of 10 fields that starts with its id, the number of joints, and for every joint a
line of 12 fields, of which the first three are its position and the last its tracking state.
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.readers.decimals import parse_decimals
from pyg_stgcn.errors import InputError

NUM_JOINTS = 25
_BODY_FIELDS = 10
_JOINT_FIELDS = 12
_LINES_PER_BODY = 2 + NUM_JOINTS
_REMEDY = "extract it again from the archive, or take it away"


@dataclass(frozen=True)
class Body:
    """The entries of one file about one tracked body.

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
    lines = data.rstrip().splitlines()
    num_frames = _read_count(lines, 0, "frames", where)
    at = 1
    frame_of: list[int] = []
    id_of: list[bytes] = []
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


def _read_count(lines: list[bytes], at: int, what: str, where: str) -> int:
    if at >= len(lines):
        _fail(where, len(lines) - 1, f"ends where the number of {what} should follow")
    text = lines[at].strip()
    # The number of digits keeps a line of garbage from becoming a number of any size.
    if not (text.isdigit() and len(text) < 10):
        _fail(where, at, f"has {_show(text)} where the number of {what} should be")
    return int(text)


def _read_body_header(lines: list[bytes], at: int, where: str) -> bytes:
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
    lines: list[bytes], starts: list[int], tracking: bool, where: str
) -> NDArray[np.float32]:
    def fail(row: int, what: str) -> NoReturn:
        _fail(where, starts[row // NUM_JOINTS] + row % NUM_JOINTS, what)

    rows = [line for start in starts for line in lines[start : start + NUM_JOINTS]]
    fields = _find_fields(rows)
    if fields is None:
        for row, line in enumerate(rows):
            count = len(line.split())
            if count != _JOINT_FIELDS:
                fail(row, f"has {count} fields; a joint has {_JOINT_FIELDS}")
        fields = _find_fields([b" ".join(line.split()) for line in rows])
        assert fields is not None
    columns = [0, 1, 2, _JOINT_FIELDS - 1] if tracking else [0, 1, 2]
    text, first, end = fields[0], fields[1][:, columns].ravel(), fields[2][:, columns].ravel()
    with np.errstate(over="ignore"):
        values = parse_decimals(text, first, end).astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        row, column = divmod(int(wrong[0]), len(columns))
        number = _show(text[first[wrong[0]] : end[wrong[0]]])
        fail(row, f"field {columns[column] + 1} is {number}, which is no finite number")
    return values.reshape(len(starts), NUM_JOINTS, len(columns))


def _find_fields(rows: list[bytes]) -> tuple[bytes, NDArray[np.int64], NDArray[np.int64]] | None:
    """Join the lines of joints and find where their fields start and end.

    Returns:
        The text, and the starts and ends in it by line and field; ``None`` if lines have other than
        12 fields, or more than one blank between them.
    """
    text = b"\n".join([*rows, b""])
    chars = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero((chars == ord(" ")) | (chars == ord("\n")))
    starts = np.concatenate([[0], ends[:-1] + 1])
    if len(ends) != _JOINT_FIELDS * len(rows) or (starts == ends).any():
        return None
    if (chars[ends[_JOINT_FIELDS - 1 :: _JOINT_FIELDS]] != ord("\n")).any():
        return None
    return text, starts.reshape(-1, _JOINT_FIELDS), ends.reshape(-1, _JOINT_FIELDS)


def _group(
    id_of: list[bytes], frame_of: NDArray[np.int64], joints: NDArray[np.float32]
) -> list[Body]:
    numbers: dict[bytes, int] = {}
    body_of = np.array([numbers.setdefault(name, len(numbers)) for name in id_of], np.int64)
    order = np.argsort(body_of, kind="stable")
    ends = np.cumsum(np.bincount(body_of, minlength=len(numbers)))
    return [Body(frame_of[mine], joints[mine]) for mine in np.split(order, ends[:-1])]


def _show(value: bytes) -> str:
    return reprlib.repr(value.decode("ascii", "backslashreplace"))


def _fail(where: str, at: int, what: str) -> NoReturn:
    raise InputError(f"{where}: line {max(at, 0) + 1} {what}; {_REMEDY}")
