"""Clips in arrays, as recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.array_axes import order_axes
from pyg_stgcn.poses.coordinates import Meaning, as_numbers, find_meaning, has_joints
from pyg_stgcn.poses.pose_reader import PoseHints
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.skeletons import Skeleton

#: Frames that are converted together, and frames that tell what the channels are.
_BLOCK, _SAMPLE = 256, 256


@dataclass(frozen=True)
class ArrayClip:
    """The coordinates of a clip, and its scores where they are an array of their own.

    Shapes:
        - **keypoints:** :math:`(M, T, V, C)`
        - **scores:** :math:`(M, T, V)`
    """

    keypoints: NDArray[Any]
    scores: NDArray[Any] | None = None

    def frames(self, which: slice) -> NDArray[np.float64]:
        """Raw numbers of some frames, as :math:`(T, M, V, K)` with the scores as last channel."""
        values = self.keypoints[:, which]
        if self.scores is not None:
            values = np.concatenate([values, self.scores[:, which, :, None]], axis=-1)
        return values.swapaxes(0, 1).astype(np.float64)


def array_recording(
    name: str,
    path: Path,
    array: NDArray[Any],
    hints: PoseHints,
    *,
    scores: Any = None,
    axes: int | None = None,
    order: str | None = None,
    where: str | None = None,
) -> Recording:
    """The recording in an array; its axes and channels are told from shape and values.

    Persons keep their places, which are their tracks.

    Args:
        name: Name of the recording.
        path: The file.
        array: Joints; ``[M, T, V, C]``, ``[T, V, C]`` or another order of the axes.
        hints: What the user says, and what the file says of image size and frame rate.
        scores: Scores of the joints, an array or nested lists, in the same order as the array,
            without the channels.
        axes: Number of coordinates, 2 or 3, if known; a further channel is the score.
        order: Order of the axes, such as ``"MTVC"``, if the format says it.
        where: Name of the clip in errors; by default that of the file.

    Raises:
        InputError: The axes, the layout or the channels cannot be told.
    """
    where = where or str(path)
    keypoints, order = order_axes(array, hints.skeleton, where, order)
    if scores is not None:
        scores = _order_scores(scores, array, order, where)
        axes = array.shape[order.index("C")]
    clip = ArrayClip(keypoints, scores)
    sample = _sample(clip)
    meaning, skeleton = find_meaning(
        sample.reshape(-1, *sample.shape[2:]),
        hints.skeleton,
        hints.image_size,
        where,
        axes=axes,
        score=axes if axes is not None and axes < sample.shape[3] else None,
        half_centred=order == "CTVM",
    )

    def frames() -> Iterator[Frame]:
        for start in range(0, keypoints.shape[1], _BLOCK):
            block = clip.frames(slice(start, start + _BLOCK))
            yield from _convert(block, start, meaning, skeleton, where)

    return meaning.recording(
        name, path, skeleton, frames, fps=hints.fps, num_frames=keypoints.shape[1]
    )


def _sample(clip: ArrayClip) -> NDArray[np.float64]:
    """Frames from the whole clip; where no joint is in these, the first ones with a joint."""
    num_frames = clip.keypoints.shape[1]
    sample = clip.frames(slice(None, None, max(1, num_frames // _SAMPLE)))
    start = 0
    while not has_joints(sample) and start < num_frames:
        sample = clip.frames(slice(start, start + _SAMPLE))
        start += _SAMPLE
    return sample


def _order_scores(scores: Any, array: NDArray[Any], order: str, where: str) -> NDArray[Any]:
    scores = scores if isinstance(scores, np.ndarray) else as_numbers(scores)
    channel = order.index("C")
    expected = array.shape[:channel] + array.shape[channel + 1 :]
    if scores.shape == (*expected, 1):
        scores = scores[..., 0]
    if scores.shape != expected or scores.dtype.kind not in "fiub":
        raise InputError(
            f"{where}: has scores of shape {scores.shape} and type {scores.dtype} for joints of "
            f"shape {array.shape}; save one score for every joint"
        )
    if array.shape[channel] not in (2, 3):
        raise InputError(
            f"{where}: has {array.shape[channel]} channels and scores beside them; save x, y or "
            "x, y, z with the scores in an array of their own"
        )
    rest = order.replace("C", "")
    view = scores.transpose([rest.index(axis) for axis in "MTV" if axis in rest])
    return view if "M" in rest else view[None]


def _convert(
    values: NDArray[np.float64], start: int, meaning: Meaning, skeleton: Skeleton, where: str
) -> Iterator[Frame]:
    """The frames of a block, converted together, or one by one where one of them is wrong."""
    num_frames, persons = values.shape[:2]
    try:
        joints, scores, seen = meaning.convert(
            values.reshape(-1, *values.shape[2:]), skeleton, where
        )
    except InputError:
        if num_frames == 1:
            raise
        for number, one in enumerate(values, start):
            yield from _convert(one[None], number, meaning, skeleton, f"{where}: frame {number}")
        return
    ends = np.cumsum(seen.reshape(num_frames, persons).sum(axis=1))
    tracks = np.nonzero(seen)[0] % persons
    first = 0
    for number, end in enumerate(ends.tolist(), start):
        yield Frame(number, joints[first:end], scores[first:end], tracks[first:end])
        first = end
