"""Recognition in a stream: a frame goes in, events come out."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.engine import Engine
from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.layout_conversion import map_joints
from pyg_stgcn.poses.pose_tracker import MAX_GAP
from pyg_stgcn.poses.recording import Frame
from pyg_stgcn.poses.tracking import PersonNumbers, check_frame
from pyg_stgcn.ranges import FRAMES, PERSONS, check_range
from pyg_stgcn.recognition.events import Event, EventFinder, EventRules, Moment
from pyg_stgcn.recognition.track_stream import TrackStream, TrackStreams
from pyg_stgcn.skeletons import Skeleton, get_skeleton
from pyg_stgcn.text import count

logger = logging.getLogger(__name__)

#: A frame whose number is lower than that of the last one by up to so much comes too late; with a
#: lower number, another sequence begins.
_LATE = MAX_GAP
#: Late frames that are told one by one.
_TOLD = 5


@dataclass(frozen=True, eq=False)
class StreamAnswer:
    """The present answer to one person, or to all together.

    Args:
        track: Number of the person; None for all together.
        label: The most probable class; None before the first answer.
        probability: Its probability; 0 before the first answer.
        probabilities: Of all classes; None before the first answer.
        event: The event that goes on; None if the answer is unknown, or no event.
    """

    track: int | None
    label: str | None
    probability: float
    probabilities: NDArray[np.float32] | None
    event: Event | None


class Stream:
    """Recognises actions in frames that come one after another.

    Persons are tracked. Each is a stream of the engine, which computes only what a new frame
    changes, and needs no PyTorch. Answers are about the mean of the last frames; a hysteresis makes
    events of them.

    Args:
        engine: The model, see :func:`pyg_stgcn.engine.load`.
        rules: When events begin and end.
        together: Whether there is one answer to all persons, the mean of their features, as in
            the training of models of interactions; each is still seen relative to their own first
            frame in 3-D. Else every person has events of their own.
        window: Frames that an answer is about (default: those of a clip of the training).
        every: Take every n-th frame only: for a camera that is faster than the training, or a
            training on clips of which frames were left out, because they were longer than its
            window.
        max_persons: Most persons at once, which bounds the memory. Further persons get no answer.
        skeleton: Layout of the joints of the frames (default: that of the model).
        image_size: Height and width of the images in pixels, in 2-D.
        fps: Frames per second, for times in seconds.
        step: Difference between the numbers of consecutive frames.

    Raises:
        InputError: An argument is out of range, the joints cannot be converted to those of the
            model, or the library of the engine is missing.

    Example:
        >>> stream = Stream.load("model.stgcn", image_size=(480, 640), fps=30)
        >>> for frame in frames:  # pyg_stgcn.poses.Frame
        ...     for event in stream.push(frame):
        ...         print(event.track, event.label, event.start, event.end, event.confidence)
        >>> stream.finish()
        [Event(track=0, label='wave', ...)]
    """

    def __init__(
        self,
        engine: Engine,
        *,
        rules: EventRules | None = None,
        together: bool = False,
        window: int | None = None,
        every: int = 1,
        max_persons: int = 16,
        skeleton: Skeleton | str | os.PathLike[str] | None = None,
        image_size: tuple[float, float] | None = None,
        fps: float | None = None,
        step: int = 1,
    ) -> None:
        for name, value, allowed in (
            *(("window", window, FRAMES), ("every", every, FRAMES), ("step", step, FRAMES)),
            ("max_persons", max_persons, PERSONS),
        ):
            if value is not None:
                check_range(name, value, allowed)
        self.engine, self.rules, self.together = engine, rules or EventRules(), together
        self._every, self._step, self._fps = every, step, fps
        self._source, self._map = _find_joints(engine, skeleton)
        self._channels = 2 if engine.about["preprocessing"]["has_score"] else 3
        span = self.rules.span
        self._hold = span.amount if span.in_seconds else span.amount * step
        self._finder = self._find_events(None)
        self._persons = TrackStreams(
            engine, self._find_events, window or engine.clip_frames, image_size, max_persons
        )
        self._first: int | None
        self._last: int | None
        self._index: int
        self._dropped: int
        self._probabilities: NDArray[np.float32] | None
        self._begin()

    @classmethod
    def load(cls, path: str | os.PathLike[str], **options: Any) -> Stream:
        """Open a model: ``model.stgcn`` of ``pyg-stgcn export --format engine`` or its folder, or a
        file of ``pyg-stgcn export``.

        Args:
            path: The file or folder.
            **options: Arguments of :class:`Stream`.

        Raises:
            InputError: There is no such model, or it cannot be read.
        """
        from pyg_stgcn.recognition.engine_models import load_engine

        return cls(load_engine(path), **options)

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return self.engine.classes

    @property
    def delay(self) -> int:
        """Frames from the newest one back to the newest one that an answer can be about: the
        network looks as far ahead.
        """
        return self._persons.delay * self._every * self._step

    @property
    def answers(self) -> list[StreamAnswer]:
        """The present answer to each person in sight, or to all together."""
        tracks = self._persons.tracks
        if self.together:
            return [self._answer(None, self._probabilities, self._finder)] if tracks else []
        return [
            self._answer(number, track.probabilities, track.finder)
            for number, track in tracks.items()
        ]

    def push(self, frame: Frame) -> list[Event]:
        """Take the next frame.

        Args:
            frame: Its persons; numbers grow from frame to frame. Where numbers are missing, nobody
                was seen, except for those of dropped frames. Times of the frame come before those
                of the frame rate.

        Returns:
            The events that begin or end. An event comes twice: when it is certain that it has
            begun, and when it has ended.

        Raises:
            InputError: The number does not grow, the persons are not those of the layout, or the
                model cannot read one of them. Once it has read somebody for 30 frames, a person
                whom it cannot read is left out instead, with a warning.
        """
        self._check(frame)
        now = self._moment(frame)
        if self._first is None or self._last is None:
            self._first = frame.number  # Frames dropped before it are no gap.
        else:
            # No more than there are numbers: dropped lines without a frame have none.
            missing = (frame.number - self._last) // self._step - 1
            self._dropped += min(frame.dropped, max(0, missing))
        self._last = frame.number
        frame = self._numbers(frame)
        place = (frame.number - self._first) // self._step - self._dropped
        index = place // self._every
        if index == self._index:
            return []
        self._index = index
        events = self._end(self._persons.gone(index))
        changed = self._persons.push(self._map(frame), now, index)
        return events + (self._look(changed, now) if changed else [])

    def finish(self) -> list[Event]:
        """End the sequence, so that another one can begin; return the events that begin or end."""
        events = self._end(list(self._persons.tracks))
        self._begin()
        return events

    def events(self, frames: Iterable[Frame]) -> Iterator[Event]:
        """The events of frames from a source that may make mistakes, as they come up.

        A frame with the number of an earlier one is left out, with a warning. If its number is
        lower by more than 30 frames, another sequence begins. At the end, and before an error of
        the source, all events are ended.

        Args:
            frames: As of :meth:`push`, such as those of a
                :class:`~pyg_stgcn.poses.recording.Recording`.
        """
        late = 0
        try:
            for frame in frames:
                if self._last is not None and frame.number <= self._last:
                    again = f"frame {frame.number:,} comes after frame {self._last:,}"
                    if frame.number == self._last:
                        again = f"frame {frame.number:,} comes twice"
                    if self._last - frame.number <= _LATE * self._step:
                        late += 1
                        if late <= _TOLD:
                            logger.warning("%s; it is left out", again)
                        continue
                    logger.warning("%s: another sequence begins, with persons of its own", again)
                    yield from self.finish()
                yield from self.push(frame)
        except InputError:
            yield from self.finish()
            raise
        if late > _TOLD:
            logger.warning("%s left out that came too late or twice", count(late, "frame"))
        yield from self.finish()

    def _begin(self) -> None:
        self._numbers = PersonNumbers(self._step)
        self._first = self._last = self._probabilities = None
        self._index, self._dropped = -1, 0

    def _find_events(self, track: int | None) -> EventFinder:
        return EventFinder(track, self.engine.classes, self.rules, self._hold)

    def _check(self, frame: Frame) -> None:
        where = f"frame {frame.number:,}"
        if self._last is not None and frame.number <= self._last:
            raise InputError(
                f"{where} comes after frame {self._last:,}; give frames in the order of their "
                "numbers, or call finish() before another sequence"
            )
        check_frame(frame, self._source.num_joints, self._channels, where)
        if self.rules.span.in_seconds and frame.time is None and self._fps is None:
            raise InputError(
                f"hold {self.rules.span.amount:g}s: the frames have no times; give them, such as "
                "fps=25, or give hold in frames"
            )

    def _moment(self, frame: Frame) -> Moment:
        start, length = frame.time, 0.0
        if self._fps is not None:
            start = frame.number / self._fps if start is None else start
            length = self._step / self._fps
        return Moment(frame.number, start, None if start is None else start + length)

    def _end(self, numbers: Sequence[int]) -> list[Event]:
        """End the sequences of persons who have gone."""
        events: list[Event] = []
        tracks = [self._persons.tracks[number] for number in numbers]
        changed = [track for track in tracks if self._persons.finish(track)]
        is_last = len(tracks) == len(self._persons.tracks)
        if tracks and (is_last or not self.together):
            last = max((track.last for track in tracks), key=lambda moment: moment.frame)
            events += self._look(changed, last) if changed else []
            if self.together:
                events += self._finder.finish(last)
                self._finder, self._probabilities = self._find_events(None), None
            else:
                for track in tracks:
                    events += track.finder.finish(track.last)
        for number in numbers:
            self._persons.remove(number)
        return events

    def _look(self, changed: Sequence[TrackStream], now: Moment) -> list[Event]:
        """The events in new answers."""
        events: list[Event] = []
        if not self.together:
            for track in changed:
                assert track.probabilities is not None
                events += track.finder.update(track.last, track.about, track.probabilities)
            return events
        tracks = self._persons.tracks.values()
        features = self._persons.features()
        if features is None:
            return []
        self._probabilities = self.engine.classify_features(features)
        longest = min(tracks, key=lambda track: track.first.frame)
        return self._finder.update(now, longest.about, self._probabilities)

    def _answer(
        self, track: int | None, probabilities: NDArray[np.float32] | None, finder: EventFinder
    ) -> StreamAnswer:
        if probabilities is None:
            return StreamAnswer(track, None, 0.0, None, None)
        best = int(probabilities.argmax())
        label, probability = self.engine.classes[best], float(probabilities[best])
        return StreamAnswer(track, label, probability, probabilities, finder.open_event)


def _find_joints(
    engine: Engine, given: Skeleton | str | os.PathLike[str] | None
) -> tuple[Skeleton, Callable[[Frame], Frame]]:
    """The layout of the frames, and the function that gives them the joints of the model."""
    target = Skeleton.from_dict(engine.skeleton)
    source = target if given is None else given
    source = source if isinstance(source, Skeleton) else get_skeleton(source)
    if source.joints == target.joints:
        return source, lambda frame: frame
    return source, map_joints(source, target, "skeleton").apply
