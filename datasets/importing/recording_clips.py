"""Clips of a recording: all of it or parts of it, with its persons together or one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pyg_stgcn.datasets.importing.label_rows import LabelRow, Span
from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.pose_clip import MAX_BYTES, PoseClip, collect_clip
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.poses.tracking import track
from pyg_stgcn.text import count


@dataclass(frozen=True)
class LabelledClip:
    """A clip with the name of its class.

    Args:
        name: Name of the clip.
        recording: Name of its recording.
        label: Name of the class; None if it is not known.
        split: Name of the split, if it is known.
        left_out: Persons of the recording that are not in the clip.
        poses: The joints.
    """

    name: str
    recording: str
    label: str | None
    split: str | None
    left_out: int
    poses: PoseClip


@dataclass(frozen=True)
class Part:
    """A part of a recording that becomes a clip, or one clip for each person.

    Args:
        name: Name of the part.
        recording: Name of the recording.
        rows: Lines of the file of labels about it, by person; None is everybody.
        first: Number of its first frame.
        last: Number of its last frame.
    """

    name: str
    recording: str
    rows: Mapping[int | None, LabelRow]
    first: float = -math.inf
    last: float = math.inf
    buffer: list[Frame] = field(default_factory=list)


def parts_of(recording: Recording, name: str, rows: Sequence[LabelRow]) -> list[Part]:
    """The parts of a recording that lines of the file of labels are about.

    Raises:
        InputError: If two lines are about the same clip, or a span cannot be found in the
            recording.
    """
    spans: dict[Span | None, dict[int | None, LabelRow]] = {}
    for row in rows:
        other = spans.setdefault(row.span, {}).setdefault(row.person, row)
        if other is not row:
            raise InputError(f"lines {other.line} and {row.line} are about the same clip {name!r}")
    parts = []
    for span, by_person in spans.items():
        if span is None:
            parts.append(Part(name, name, by_person))
            continue
        first, last = _frames_of(span, recording)
        parts.append(Part(f"{name}@{first}-{last}", name, by_person, first, last))
    return parts


def _frames_of(span: Span, recording: Recording) -> tuple[int, int]:
    """Numbers of the first and the last frame of a span."""
    if not span.in_seconds:
        return int(span.start), int(span.end)
    if recording.fps is None:
        raise InputError(
            f"start and end are seconds, but the frame rate of {recording.path} is not known; give "
            "fps=30 or the like, or write frame numbers as first_frame and last_frame"
        )
    # A frame belongs to a span if it starts in it; products may be off by a rounding error.
    first, after = (math.ceil(end * recording.fps - 1e-6) for end in span[:2])
    if after <= first:
        raise InputError(f"{span}: is shorter than a frame; correct it")
    return first, after - 1


def read_parts(
    recording: Recording,
    parts: Sequence[Part],
    *,
    max_persons: int | None,
    per_person: bool,
) -> Iterator[LabelledClip | InputError]:
    """Read the clips of a recording in one pass over its frames.

    Args:
        recording: The recording.
        parts: Its parts.
        max_persons: Most persons of a clip; with :obj:`per_person`, most clips of a part.
        per_person: Whether every person is a clip of their own, as long as they are seen.

    Yields:
        Clips, and errors in place of those that cannot be made.

    Raises:
        InputError: If the recording cannot be read.
    """
    first, last = _fill(track(recording), parts)
    for part in parts:
        try:
            if not part.buffer:
                extent = f"it has frames {first} to {last}"
                if recording.fps is not None:
                    extent += f" ({first / recording.fps:.4g} to {last / recording.fps:.4g} s)"
                extent = extent if last >= 0 else "it has no frames"
                raise InputError(f"{recording.path}: no frames for {part.name!r}; {extent}")
            yield from _clips_of(recording, part, max_persons, per_person)
        except InputError as error:
            yield error
        finally:
            part.buffer.clear()


def _fill(tracked: Recording, parts: Sequence[Part]) -> tuple[int, int]:
    """Give every part its frames; return the first and the last number of the recording."""
    first, last, size = 0, -1, 0
    waiting = sorted(parts, key=lambda part: part.first, reverse=True)
    current: list[Part] = []
    for frame in tracked.frames():
        first = frame.number if last < first else first
        last = frame.number
        while waiting and waiting[-1].first <= last:
            current.append(waiting.pop())
        current = [part for part in current if part.last >= last]
        for part in current:
            part.buffer.append(frame)
            size += frame.joints.nbytes + frame.scores.nbytes
        if size > MAX_BYTES:
            raise InputError(
                f"{tracked.path}: is too long for one clip in memory (more than "
                f"{MAX_BYTES / 2**30:g} GiB up to frame {last:,}); label parts of it, with start "
                "and end"
            )
    return first, last


def _clips_of(
    recording: Recording, part: Part, max_persons: int | None, per_person: bool
) -> Iterator[LabelledClip | InputError]:
    persons = {person for frame in part.buffer for person in _tracks(frame)}
    if not persons:
        raise InputError(f"{recording.path}: nobody is seen in {part.name!r}")
    everybody = part.rows.get(None)
    if not per_person:
        assert everybody is not None
        poses = _collect(recording, part.buffer, max_persons)
        left_out = len(persons) - poses.num_persons
        yield _labelled(part, part.name, everybody, poses, left_out)
        return
    for person in sorted({person for person in part.rows if person is not None} - persons):
        shown = ", ".join(map(str, sorted(persons)[:10]))
        yield InputError(
            f"line {part.rows[person].line}: there is no person {person} in {part.name!r}; it has "
            f"{count(len(persons), 'person')}: {shown}"
        )
    clips = sorted(
        (_collect(recording, frames, 1) for frames in _by_person(part.buffer).values()),
        key=lambda clip: (-float(clip.scores.sum()), int(clip.tracks[0])),
    )
    for rank, poses in enumerate(clips):
        person = int(poses.tracks[0])
        if max_persons is not None and rank >= max_persons:
            if person in part.rows:
                yield InputError(
                    f"line {part.rows[person].line}: person {person} of {part.name!r} is not among "
                    f"the {max_persons} who are seen most; raise max_persons, or leave it out"
                )
            continue
        row = part.rows.get(person, everybody)
        if row is None:
            yield InputError(f"{part.name}#{person}: no line of the labels is about this person")
        else:
            yield _labelled(part, f"{part.name}#{person}", row, poses)


def _labelled(
    part: Part, name: str, row: LabelRow, poses: PoseClip, left_out: int = 0
) -> LabelledClip:
    return LabelledClip(name, part.recording, row.label, row.split, left_out, poses)


def _collect(recording: Recording, frames: list[Frame], max_persons: int | None) -> PoseClip:
    return collect_clip(replace(recording, frames=lambda: iter(frames)), max_persons=max_persons)


def _by_person(frames: Sequence[Frame]) -> dict[int, list[Frame]]:
    """The frames of each person, with nobody else in them."""
    found: dict[int, list[Frame]] = {}
    for frame in frames:
        for person in dict.fromkeys(_tracks(frame)):
            assert frame.tracks is not None
            own = np.flatnonzero(frame.tracks == person)
            alone = Frame(frame.number, frame.joints[own], frame.scores[own], frame.tracks[own])
            found.setdefault(person, []).append(alone)
    return found


def _tracks(frame: Frame) -> list[int]:
    assert frame.tracks is not None
    return frame.tracks.tolist()
