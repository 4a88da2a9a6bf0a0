"""Selection of the persons among the tracked bodies of an NTU recording.

The sensor takes furniture for people and loses people who turn around, so that a recording of one
or two persons may hold many bodies. The rules and constants are those of the published results
on NTU RGB+D and part of the protocol.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.readers.ntu_file import Recording
from pyg_stgcn.errors import InputError

_MAX_NOISE_FRAMES = 11
_MAX_WIDTH_BY_HEIGHT = 0.8
_MAX_STRAY_FRACTION = 0.69754
_NEGLIGIBLE = 1e-3
_SPINE = 1
_MAX_BODY_FRAMES = 1_000_000


@dataclass
class _Track:
    """A body on the time line of the frames that hold any body."""

    start: int
    joints: NDArray[np.float32]
    motion: float

    @property
    def stop(self) -> int:
        # Frames that the body missed are not left free: what follows moves up.
        return self.start + len(self.joints)


def select_persons(recording: Recording) -> NDArray[np.float32]:
    r"""The one or two persons of a recording.

    Bodies are taken in the order of how much they move. Those seen in 11 frames or less go, and
    those that are more than 0.8 times as wide as high in 69.754 % of their frames or more. Bodies
    that are seen one after the other become one person. Where the rules leave no body, the one
    seen longest is kept.

    Shapes:
        - **output:** :math:`(M, T, V, 3)`, in metres; of two persons the second may be all zero
    """
    tracks = sorted(_tracks(recording), key=_motion, reverse=True)
    if len(tracks) > 1:
        longest = max(tracks, key=lambda track: len(track.joints))
        tracks = [track for track in tracks if len(track.joints) > _MAX_NOISE_FRAMES]
        if len(tracks) > 1:
            tracks = sorted(filter(_is_upright, tracks), key=_motion, reverse=True)
        tracks = tracks or [longest]
    if len(tracks) == 1:
        return tracks[0].joints[None]
    return _put_mover_first(_trim(_place(tracks)))


def all_bodies(recording: Recording, where: str) -> NDArray[np.float32]:
    r"""All bodies of a recording in the frames in which they were seen; zero in the others.

    Args:
        recording: The contents of a file.
        where: What to call the file in an error.

    Raises:
        InputError: If there are more than any sensor could have seen.

    Shapes:
        - **output:** :math:`(M, T, V, C)` with the channels of the bodies
    """
    persons, frames = len(recording.bodies), recording.num_frames
    if persons * frames > _MAX_BODY_FRAMES:
        raise InputError(
            f"{where}: has {persons:,} bodies in {frames:,} frames, far too many for a clip; take "
            "it away"
        )
    shape = recording.bodies[0].joints.shape[1:]
    out = np.zeros((persons, frames, *shape), np.float32)
    for row, body in zip(out, recording.bodies, strict=True):
        row[body.frames] = body.joints
    return out


def _tracks(recording: Recording) -> list[_Track]:
    bodies = recording.bodies
    occupied = np.unique(np.concatenate([body.frames for body in bodies]))
    starts = np.searchsorted(occupied, [body.frames[0] for body in bodies])
    return [
        _Track(int(start), body.joints, _variance(body.joints))
        for start, body in zip(starts, bodies, strict=True)
    ]


def _motion(track: _Track) -> float:
    return track.motion


def _variance(joints: NDArray[np.float32]) -> float:
    return float(joints.reshape(-1, 3).var(axis=0).sum())


def _is_upright(track: _Track) -> bool:
    """Whether a body is upright; frames of stray joints no longer count as motion."""
    extent = np.ptp(track.joints, axis=1)
    plausible = extent[:, 0] <= _MAX_WIDTH_BY_HEIGHT * extent[:, 1]
    if plausible.all():
        return True
    if 1 - plausible.mean() >= _MAX_STRAY_FRACTION:
        return False
    track.motion = min(track.motion, _variance(track.joints[plausible]))
    return True


def _place(tracks: list[_Track]) -> NDArray[np.float32]:
    """Lay bodies into two slots, those that do not overlap one after the other."""
    length = max(track.stop for track in tracks)
    out = np.zeros((2, length, *tracks[0].joints.shape[1:]), np.float32)
    # The empty second slot starts at 0 and not nowhere: part of the protocol.
    taken = [(tracks[0].start, tracks[0].stop), (0, 0)]
    out[0, tracks[0].start : tracks[0].stop] = tracks[0].joints
    for track in tracks[1:]:
        for slot, (start, stop) in enumerate(taken):
            if max(start, track.start) >= min(stop, track.stop):
                out[slot, track.start : track.stop] = track.joints
                taken[slot] = min(start, track.start), max(stop, track.stop)
                break
    return out


def _trim(keypoint: NDArray[np.float32]) -> NDArray[np.float32]:
    filled = np.flatnonzero(np.abs(keypoint).sum(axis=(0, 2, 3)) >= _NEGLIGIBLE)
    return keypoint[:, filled[0] : filled[-1] + 1] if len(filled) else keypoint


def _put_mover_first(keypoint: NDArray[np.float32]) -> NDArray[np.float32]:
    """Swap the persons if the first is not there from the beginning and the second is."""
    first, second = np.abs(keypoint[:, 0, _SPINE]).sum(axis=-1)
    return keypoint[::-1] if first < _NEGLIGIBLE < second else keypoint
