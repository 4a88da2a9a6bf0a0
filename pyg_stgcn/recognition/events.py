"""Events of a stream: actions with a beginning and an end, from answers that come one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.ranges import UP_TO_ALL
from pyg_stgcn.text import suggestion
from pyg_stgcn.windows import Span

#: Frames for which a class has to stay, half a second of most cameras.
_HOLD = Span(15, in_seconds=False)


@dataclass(frozen=True)
class Event:
    """An action of a person, or of all persons together, that begins or has ended.

    Args:
        track: Number of the person; None if the event is one of all persons.
        label: The class.
        first_frame: Number of the first frame.
        last_frame: Number of the last frame; None as long as the event goes on.
        start: Time of the first frame in seconds, if known.
        end: Time at the end of the last frame in seconds; None if unknown, or as long as the event
            goes on.
        confidence: Mean probability of the class since the event began, in the answers in which it
            is not below the end threshold.
    """

    track: int | None
    label: str
    first_frame: int
    last_frame: int | None
    start: float | None
    end: float | None
    confidence: float

    @property
    def is_open(self) -> bool:
        """Whether the event goes on."""
        return self.last_frame is None

    def row(self) -> dict[str, Any]:
        """The event as JSON can hold it: ``event``, ``"start"`` or ``"end"``, and all fields."""
        found = {"event": "start" if self.is_open else "end", **asdict(self)}
        for name in ("start", "end", "confidence"):
            found[name] = None if found[name] is None else round(found[name], 4)
        return found


class Moment(NamedTuple):
    """A frame, and its time.

    Args:
        frame: Number of the frame.
        start: Time in seconds, if known.
        end: Time at the end of the frame, if known.
    """

    frame: int
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class EventRules:
    """When an event begins, and when it ends.

    It begins when the most probable class has had a probability of :obj:`threshold` or more for the
    time :obj:`hold`. It ends when its class has been below :obj:`end_threshold` for that time, or
    when an event of another class begins.

    Args:
        threshold: Probability from 0 to 1; below it the answer is unknown.
        end_threshold: Probability, at most the threshold (default: two thirds of it).
        hold: A number of frames, or seconds such as ``"0.5s"``.
        background: Classes that are no event, such as ``"nothing"``.

    Raises:
        InputError: A value is out of range.
    """

    threshold: float = 0.6
    end_threshold: float | None = None
    hold: Span | str | int = _HOLD
    background: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, value in (("threshold", self.threshold), ("end_threshold", self.low)):
            if value not in UP_TO_ALL:
                raise InputError(f"{name} {value!r}: give a probability from 0 to 1")
        if self.low > self.threshold:
            raise InputError(
                f"end_threshold {self.low:g} is above the threshold {self.threshold:g}, so that "
                "every event would end at once; give a lower one"
            )
        _ = self.span

    @property
    def low(self) -> float:
        """The probability below which an event ends."""
        return self.threshold * 2 / 3 if self.end_threshold is None else self.end_threshold

    @property
    def span(self) -> Span:
        """The time :obj:`hold`."""
        if isinstance(self.hold, Span):
            return self.hold
        try:
            return Span.parse(str(self.hold))
        except InputError:
            raise InputError(
                f"hold {self.hold!r}: is no time; write 0.5s in seconds, or 15 in frames"
            ) from None

    def is_background(self, classes: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each class is background.

        Raises:
            InputError: One is not among the classes of the model.
        """
        for name in self.background:
            if name not in classes:
                similar = suggestion(name, classes) or f"; it has {', '.join(classes[:10])}"
                raise InputError(f"background {name!r}: the model has no such class{similar}")
        return np.array([name in self.background for name in classes], bool)


class _Run:
    """Answers one after another in which a class is probable."""

    def __init__(self, number: int, since: Moment, first: Moment) -> None:
        self.number, self.since, self.first = number, since, first
        self.last = first
        self._total, self._count = 0.0, 0

    def add(self, probability: float, about: Moment) -> None:
        """Add an answer."""
        self.last = about
        self._total, self._count = self._total + probability, self._count + 1

    @property
    def confidence(self) -> float:
        """The mean probability."""
        return self._total / self._count


class EventFinder:
    """Finds the events of one person in answers that come one after another.

    Args:
        track: Number of the person; None for all together.
        classes: Names of the classes.
        rules: When events begin and end.
        hold: The time of the rules, in frames, or in seconds if they give it so.
    """

    def __init__(
        self, track: int | None, classes: Sequence[str], rules: EventRules, hold: float
    ) -> None:
        self._track, self._classes, self._rules, self._hold = track, classes, rules, hold
        self._background = rules.is_background(classes)
        self._rising: _Run | None = None
        self._open: _Run | None = None
        self._falling: Moment | None = None

    @property
    def open_event(self) -> Event | None:
        """The event that goes on."""
        return None if self._open is None else self._event(self._open)

    def update(self, now: Moment, about: Moment, probabilities: NDArray[np.float32]) -> list[Event]:
        """Take the next answer.

        Args:
            now: The newest frame, from which times are held.
            about: The frame in the middle of what the answer is about, at which events begin and
                end.
            probabilities: Of all classes.

        Returns:
            The events that end or begin.
        """
        events = [] if self._open is None else self._follow(self._open, now, about, probabilities)
        best = int(probabilities.argmax())
        is_open = self._open is not None and self._open.number == best
        if is_open or self._background[best] or probabilities[best] < self._rules.threshold:
            self._rising = None
            return events
        if self._rising is None or self._rising.number != best:
            self._rising = _Run(best, now, about)
        self._rising.add(float(probabilities[best]), about)
        if self._is_held(self._rising.since, now):
            events += self._end(before=self._rising.first)
            events += self._begin()
        return events

    def finish(self, last: Moment) -> list[Event]:
        """End with the last frame of the person.

        The last answer is about all frames up to the end. So a class is an event if there are
        enough of them, even if it has not been the answer for as long.

        Args:
            last: The last frame that shows the person.

        Returns:
            The events that begin or end.
        """
        events: list[Event] = []
        if self._rising is not None and self._is_held(self._rising.first, last):
            events += self._end(before=self._rising.first)
            events += self._begin()
        if self._open is not None and self._falling is None:
            self._open.last = last
        return events + self._end()

    def _follow(
        self, event: _Run, now: Moment, about: Moment, probabilities: NDArray[np.float32]
    ) -> list[Event]:
        probability = float(probabilities[event.number])
        if probability >= self._rules.low:
            event.add(probability, about)
            self._falling = None
            return []
        self._falling = self._falling or now
        return self._end() if self._is_held(self._falling, now) else []

    def _is_held(self, since: Moment, now: Moment) -> bool:
        if self._rules.span.in_seconds:
            assert since.start is not None and now.start is not None
            return now.start - since.start >= self._hold
        return now.frame - since.frame >= self._hold

    def _begin(self) -> list[Event]:
        self._open, self._rising, self._falling = self._rising, None, None
        assert self._open is not None
        return [self._event(self._open)]

    def _end(self, before: Moment | None = None) -> list[Event]:
        """End the open event, at the latest at a moment."""
        event, self._open, self._falling = self._open, None, None
        if event is None:
            return []
        last = event.last if before is None or event.last.frame <= before.frame else before
        ended: dict[str, Any] = {"last_frame": last.frame, "end": last.end}
        return [replace(self._event(event), **ended)]

    def _event(self, event: _Run) -> Event:
        label = self._classes[event.number]
        begin = event.first.frame, None, event.first.start, None
        return Event(self._track, label, *begin, event.confidence)
