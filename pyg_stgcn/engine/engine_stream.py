"""A stream of frames in the engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from pyg_stgcn.engine.arrays import (
    Floats,
    Sizes,
    as_floats,
    as_poses,
    check_image_size,
    check_whole,
)
from pyg_stgcn.engine.handle import Handle
from pyg_stgcn.engine.library import library
from pyg_stgcn.errors import InputError
from pyg_stgcn.ranges import FRAMES


class EngineStream:
    """The frames of one person, one after another; see :meth:`Engine.stream`.

    It keeps its model open. Streams of one model may run in several threads at the same time.

    Example:
        >>> stream = engine.stream(window=64)
        >>> for joints in camera:  # [joints, channels]
        ...     probabilities = stream.push(joints)
    """

    def __init__(
        self,
        model: Handle,
        sizes: Sizes,
        window: int | None,
        hop: int | None,
        image_size: tuple[float, float] | None,
    ) -> None:
        self._library, self._sizes = library(), sizes
        numbers = [
            0 if number is None else check_whole(number, name, FRAMES)
            for name, number in (("window", window), ("hop", hop))
        ]
        size = check_image_size(image_size, sizes.is_planar)
        with model.opened() as address:
            stream = self._library.open_handle("stream_open", address, *numbers, *size)
        self._handle = Handle(
            stream, self._library.stream_close, self._library.stream_error, "the stream", model
        )
        #: Frames from the newest one that has been pushed back to the newest one whose features are
        #: complete.
        self.delay = self._handle.call(self._library.stream_delay)

    def push(self, frames: ArrayLike) -> Floats | None:
        """Push one raw frame, or several.

        Args:
            frames: Joints :math:`(V, C)` or :math:`(T, V, C)`, as in
                :meth:`~pyg_stgcn.engine.Engine.classify`. In a frame without the person all joints
                are zero.

        Returns:
            numpy.ndarray or None: The probabilities after the last frame, if there is an answer.

        Raises:
            InputError: If the model cannot read the frames.
        """
        joints = as_poses(frames, "frames", "frames", self._sizes)
        joints = joints[None] if joints.ndim == 2 else joints
        if joints.ndim != 3:
            raise InputError(
                f"frames: shape {joints.shape}; give [frames, joints, channels] or [joints, "
                "channels]"
            )
        count, _, channels = joints.shape
        return self._answer(self._library.stream_push, joints.ctypes.data, count, channels)

    def push_prepared(self, x: ArrayLike) -> Floats | None:
        """Push frames as the backbones read them, :math:`(V, C)` or :math:`(T, V, C)`; see
        :meth:`push`.
        """
        given = as_floats(x, "x")
        given = given[None] if given.ndim == 2 else given
        joints, channels = self._sizes.num_joints, self._sizes.num_channels
        if given.ndim != 3 or given.shape[1:] != (joints, channels):
            raise InputError(
                f"x: shape {given.shape} is not [frames, {joints} joints, {channels} channels]"
            )
        return self._answer(self._library.stream_push_prepared, given.ctypes.data, len(given))

    def finish(self) -> Floats | None:
        """End the sequence: what a clip has after its last frame follows; see :meth:`push`."""
        return self._answer(self._library.stream_finish)

    def reset(self) -> None:
        """Begin again, for another person."""
        self._handle.call(self._library.stream_reset)

    def features(self) -> Floats | None:
        """The mean of the features in the window, shape :math:`(F)`; None if there is none yet.

        The mean of those of several persons, given to
        :meth:`~pyg_stgcn.engine.Engine.classify_features`, is one answer about all.
        """
        found = np.zeros(self._sizes.num_features, np.float32)
        there = self._handle.call(self._library.stream_features, found.ctypes.data)
        return found if there else None

    def close(self) -> None:
        """Close the stream."""
        self._handle.close()

    def __enter__(self) -> EngineStream:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _answer(self, function: Callable[..., int], *arguments: int) -> Floats | None:
        """Call a function that may give probabilities."""
        found = np.zeros(self._sizes.num_classes, np.float32)
        return found if self._handle.call(function, *arguments, found.ctypes.data) else None
