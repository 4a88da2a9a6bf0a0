"""Parts and persons of a recording in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pyg_stgcn.datasets.importing import recording_clips
from pyg_stgcn.datasets.importing.label_rows import LabelRow, Span
from pyg_stgcn.datasets.importing.recording_clips import LabelledClip, parts_of, read_parts
from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.skeletons import get_skeleton

FRAMES = np.arange(100, 150)
JOINTS = np.random.default_rng(0).uniform(10, 100, (3, 50, 17, 2)).astype(np.float32)
#: Frames in which each of the persons 4, 7 and 9 is seen.
SEEN = {4: range(100, 150), 7: range(120, 140), 9: range(100, 105)}


def recording(fps: float | None = 10) -> Recording:
    def frames() -> list[Frame]:
        found = []
        for number in FRAMES.tolist():
            rows = [row for row, track in enumerate(SEEN) if number in SEEN[track]]
            tracks = np.array([list(SEEN)[row] for row in rows])
            joints = JOINTS[rows, number - 100]
            found.append(Frame(number, joints, np.ones(joints.shape[:2], np.float32), tracks))
        return found

    return Recording(
        name="x",
        path=Path("x.json"),
        skeleton=get_skeleton("coco17"),
        frames=lambda: iter(frames()),
        num_channels=2,
        has_score=True,
        image_size=(200, 200),
        fps=fps,
    )


def row(label: str, span: Span | None = None, person: int | None = None, line: int = 2) -> LabelRow:
    return LabelRow(line, "x", label, None, span, person)


def clips(
    rows: list[LabelRow], max_persons: int | None = None, *, per_person: bool = False
) -> list[LabelledClip | InputError]:
    parts = parts_of(recording(), "x", rows)
    return list(read_parts(recording(), parts, max_persons=max_persons, per_person=per_person))


@pytest.mark.parametrize(
    ("span", "first", "last"),
    [
        (Span(11, 12.5, True), 110, 124),
        (Span(10.05, 10.11, True), 101, 101),
        (Span(110, 124, False), 110, 124),
        (Span(0, 10_000, False), 100, 149),
    ],
)
def test_a_part_has_the_frames_of_its_span(span: Span, first: int, last: int) -> None:
    (clip,) = clips([row("wave", span)], 1)
    assert isinstance(clip, LabelledClip)
    np.testing.assert_array_equal(clip.poses.joints[0], JOINTS[0, first - 100 : last - 99])
    assert clip.poses.first_frame == first and clip.label == "wave" and clip.recording == "x"


def test_parts_of_a_recording_have_names_of_their_own() -> None:
    spans = [Span(10, 12, True), Span(11, 14, True), Span(120, 129, False)]
    found = clips([row(str(i), span) for i, span in enumerate(spans)])
    assert [(c.name, c.label) for c in found if isinstance(c, LabelledClip)] == [
        ("x@100-119", "0"),
        ("x@110-139", "1"),
        ("x@120-129", "2"),
    ]


def test_everybody_is_in_one_clip_up_to_the_limit() -> None:
    (clip,) = clips([row("wave")])
    assert isinstance(clip, LabelledClip)
    assert clip.poses.tracks.tolist() == [4, 7] and clip.left_out == 1
    (clip,) = clips([row("wave")], 5)
    assert isinstance(clip, LabelledClip) and clip.left_out == 0


def test_every_person_is_a_clip_as_long_as_they_are_seen() -> None:
    found = [c for c in clips([row("wave")], per_person=True) if isinstance(c, LabelledClip)]
    assert [clip.name for clip in found] == ["x#4", "x#7", "x#9"]
    for clip, (place, (track, seen)) in zip(found, enumerate(SEEN.items()), strict=True):
        expected = JOINTS[place, [number - 100 for number in seen]]
        np.testing.assert_array_equal(clip.poses.joints[0], expected)
        assert clip.poses.tracks.tolist() == [track]
    assert len(clips([row("wave")], 1, per_person=True)) == 1


def test_persons_of_one_recording_do_different_things() -> None:
    rows = [row("walk"), row("wave", person=7, line=3), row("fall", person=5, line=4)]
    error, *found = clips(rows, per_person=True)
    assert "line 4: there is no person 5 in 'x'; it has 3 persons: 4, 7, 9" in str(error)
    labels = {clip.name: clip.label for clip in found if isinstance(clip, LabelledClip)}
    assert labels == {"x#4": "walk", "x#7": "wave", "x#9": "walk"}
    # A label is never dropped without a word.
    left_out = [str(c) for c in clips(rows[:2], 1, per_person=True) if isinstance(c, InputError)]
    assert any("is not among the 1 who are seen most" in error for error in left_out)
    found = clips([row("wave", person=7)], per_person=True)
    assert sum(isinstance(clip, LabelledClip) for clip in found) == 1
    assert sum("no line of the labels is about this person" in str(clip) for clip in found) == 2


def test_what_is_not_in_the_recording_is_named() -> None:
    (error,) = clips([row("wave", Span(50, 60, True))])
    assert "no frames for 'x@500-599'; it has frames 100 to 149 (10 to 14.9 s)" in str(error)
    with pytest.raises(InputError, match="lines 2 and 5 are about the same clip"):
        clips([row("wave"), row("walk", line=5)])
    with pytest.raises(InputError, match="shorter than a frame"):
        clips([row("wave", Span(10.01, 10.05, True))])
    with pytest.raises(InputError, match=r"frame rate of x.json is not known.*first_frame"):
        parts_of(recording(fps=None), "x", [row("wave", Span(1, 2, True))])


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_clips, "MAX_BYTES", 5000)
    with pytest.raises(InputError, match=r"x.json: is too long for one clip.*start and end"):
        clips([row("wave")])
    assert len(clips([row("wave", Span(110, 115, False))])) == 1
