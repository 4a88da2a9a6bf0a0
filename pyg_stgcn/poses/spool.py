"""Frames that are expensive to compute, kept in a temporary file for later passes."""

from __future__ import annotations

import struct
import tempfile
import weakref
from collections.abc import Callable, Iterator
from typing import IO

import numpy as np

from pyg_stgcn.poses.recording import Frame

#: Number of a frame and number of its persons.
_HEADER = struct.Struct("<qi")


class Spool:
    """Starts passes over frames like the function it is given, but calls that only once.

    The first complete pass writes the frames to a temporary file, which goes away with this object;
    later passes read them from there. A pass that is not finished is forgotten.

    Args:
        frames: Starts a pass over frames without tracks.
        num_joints: Joints of a person.

    Example:
        >>> frames = Spool(estimate_poses, 17)  # doctest: +SKIP
        >>> first, second = list(frames()), list(frames())  # doctest: +SKIP
    """

    def __init__(self, frames: Callable[[], Iterator[Frame]], num_joints: int) -> None:
        self._frames = frames
        self._num_joints = num_joints
        self._complete: IO[bytes] | None = None

    def __call__(self) -> Iterator[Frame]:
        return self._record() if self._complete is None else self._read(self._complete)

    def _record(self) -> Iterator[Frame]:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (it stays open for later passes)
        close = weakref.finalize(self, file.close)
        try:
            for frame in self._frames():
                file.write(_HEADER.pack(frame.number, len(frame.joints)))
                persons = np.concatenate([frame.joints, frame.scores[..., None]], axis=-1)
                file.write(persons.astype("<f4").tobytes())
                yield frame
            if self._complete is None:
                self._complete = file
        finally:
            if self._complete is not file:
                close()

    def _read(self, file: IO[bytes]) -> Iterator[Frame]:
        place = 0
        while True:
            file.seek(place)  # Several passes may be under way.
            header = file.read(_HEADER.size)
            if not header:
                return
            number, count = _HEADER.unpack(header)
            values = np.frombuffer(file.read(count * self._num_joints * 12), "<f4")
            place = file.tell()
            persons = values.reshape(count, self._num_joints, 3).astype(np.float32)
            yield Frame(number, persons[..., :2], persons[..., 2])
