"""The streams of the persons in sight, and what their answers are about."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.engine import Engine, EngineStream
from pyg_stgcn.errors import InputError, warn_once
from pyg_stgcn.poses.pose_tracker import MAX_GAP
from pyg_stgcn.poses.recording import Frame
from pyg_stgcn.poses.tracking import tracks_of
from pyg_stgcn.recognition.events import EventFinder, Moment
from pyg_stgcn.text import count

logger = logging.getLogger(__name__)

_TOO_MANY = (
    "more than {} are there, with those who have just left; the others get no answer: give a "
    "higher max_persons"
)
#: Frames of a person after which it is known that the poses are those that the model reads.
_ENOUGH = 30


class TrackStream:
    """One person in the engine.

    A frame without the person is passed on when the person is back: who leaves has no such frames
    at the end, as in a clip.

    Args:
        stream: A stream of the engine, at its beginning.
        finder: Finds the events in the answers.
        window: Frames whose features are averaged.
        keeps_gaps: Whether frames without the person belong to the sequence, as in 2-D clips. In
            3-D they are left out, as in the training.
    """

    def __init__(
        self, stream: EngineStream, finder: EventFinder, window: int, keeps_gaps: bool
    ) -> None:
        self.stream, self.finder = stream, finder
        self._window, self._keeps_gaps = window, keeps_gaps
        self.count = 0
        #: Whether the model could not read a frame, so that there are no more answers.
        self.is_refused = False
        self._delay = stream.delay
        self._moments: deque[Moment] = deque(maxlen=window + self._delay + 1)
        #: The last answer of the engine; None before the first one.
        self.probabilities: NDArray[np.float32] | None = None
        #: The first and the last frame that show the person, and the place of the last one.
        self.first: Moment
        self.last: Moment
        self.index: int

    def push(self, joints: NDArray[np.float32], now: Moment, index: int) -> bool:
        """Push a frame that shows the person.

        Args:
            joints: Coordinates and scores ``[V, C]``.
            now: The frame.
            index: Its place in the sequence; places between that of the last frame and this one are
                frames without the person.

        Returns:
            Whether there is a new answer.
        """
        frames = joints[None]
        if not self.count:
            self.first = now
        elif (gap := index - self.index - 1) and self._keeps_gaps:
            frames = np.concatenate([np.zeros((gap, *joints.shape), np.float32), frames])
            self._moments.extend([self.last] * gap)
        self.last, self.index = now, index
        self._moments.append(now)
        self.count += len(frames)
        return not self.is_refused and self._take(self.stream.push(frames))

    def finish(self) -> bool:
        """End the sequence; return whether there is a new answer."""
        self._delay = 0
        return not self.is_refused and self._take(self.stream.finish())

    @property
    def about(self) -> Moment:
        """The frame in the middle of those whose features make the last answer."""
        complete = max(0, self.count - self._delay)
        back = self._delay + min(self._window, complete) // 2
        return self._moments[max(0, len(self._moments) - 1 - back)]

    def _take(self, probabilities: NDArray[np.float32] | None) -> bool:
        if probabilities is not None:
            self.probabilities = probabilities
        return probabilities is not None


class TrackStreams:
    """The streams of all persons in sight; those of persons who have gone are used again.

    Args:
        engine: The model.
        finder: Makes the finder of events of a track.
        window: Frames whose features are averaged.
        image_size: Height and width of the images, in 2-D.
        max_persons: Most persons at once.
    """

    def __init__(
        self,
        engine: Engine,
        finder: Callable[[int], EventFinder],
        window: int,
        image_size: tuple[float, float] | None,
        max_persons: int,
    ) -> None:
        self._engine, self._finder, self._window = engine, finder, window
        self._image_size, self._max_persons = image_size, max_persons
        self._is_proven = False
        self._keeps_gaps = bool(engine.about["preprocessing"]["has_score"])
        #: By number of the track.
        self.tracks: dict[int, TrackStream] = {}
        # One now, so that a wrong argument is an error at once.
        self._free = [self._open()]
        #: Frames from the newest one back to the newest one whose features are complete.
        self.delay = self._free[0].delay

    def push(self, frame: Frame, now: Moment, index: int) -> list[TrackStream]:
        """Push a tracked frame; return the persons with a new answer.

        Args:
            frame: Joints of the model, with tracks.
            now: The frame.
            index: Its place in the sequence.
        """
        joints = frame.joints
        if self._keeps_gaps:
            joints = np.concatenate([joints, frame.scores[..., None]], axis=-1)
        changed = []
        for number, person in zip(tracks_of(frame).tolist(), joints, strict=True):
            track = self.tracks.get(number) or self._begin(number)
            if track is not None and self._attempt(track, partial(track.push, person, now, index)):
                changed.append(track)
            self._is_proven |= track is not None and track.count >= _ENOUGH
        return changed

    def finish(self, track: TrackStream) -> bool:
        """End the sequence of a person; return whether there is a new answer."""
        return self._attempt(track, track.finish)

    def _attempt(self, track: TrackStream, step: Callable[[], bool]) -> bool:
        """Take a step. A person who cannot be read ends the stream only if it may be in all: once
        others have been read, it is a wrong detection.
        """
        try:
            return step()
        except InputError as error:
            if not self._is_proven:
                raise
            track.is_refused = True
            warn_once(logger, f"a person is left out: {error}")
            return False

    def gone(self, index: int) -> list[int]:
        """Numbers of those who have been away for too long at a place of the sequence."""
        return [n for n, track in self.tracks.items() if index - track.index > MAX_GAP + 1]

    def remove(self, number: int) -> None:
        """Forget a person, and reuse the stream."""
        stream = self.tracks.pop(number).stream
        stream.reset()
        self._free.append(stream)

    def features(self) -> NDArray[np.float32] | None:
        """The mean of the features of all persons in sight; None before the first ones."""
        tracks = self.tracks.values()
        found = [track.stream.features() for track in tracks if not track.is_refused]
        several = [features for features in found if features is not None]
        return np.mean(several, axis=0) if several else None

    def _begin(self, number: int) -> TrackStream | None:
        if len(self.tracks) == self._max_persons:
            warn_once(logger, _TOO_MANY.format(count(self._max_persons, "person")))
            return None
        stream = self._free.pop() if self._free else self._open()
        track = TrackStream(stream, self._finder(number), self._window, self._keeps_gaps)
        self.tracks[number] = track
        return track

    def _open(self) -> EngineStream:
        return self._engine.stream(self._window, image_size=self._image_size)
