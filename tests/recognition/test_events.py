"""Events from answers that come one after another."""

import json
from itertools import pairwise

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.recognition.events import Event, EventFinder, EventRules, Moment

CLASSES = ["nothing", "wave", "clap"]


def find(answers, *, first=0, fps=None, finish=True, **rules):
    """The events of answers ``[T, 3]``, one a frame, about the frame itself."""
    rules = EventRules(**{"hold": 3, **rules})
    finder = EventFinder(7, CLASSES, rules, rules.span.amount)
    moments = [
        Moment(n, n / fps, (n + 1) / fps) if fps else Moment(n)
        for n in range(first, first + len(answers))
    ]
    found = []
    for moment, answer in zip(moments, answers, strict=True):
        found += finder.update(moment, moment, np.array(answer, np.float32))
    return found + (finder.finish(moments[-1]) if finish else [])


def answers(text):
    """``w`` wave, ``c`` clap, ``n`` nothing with 0.8; ``-`` nothing is probable."""
    rows = {"n": [0.8, 0.1, 0.1], "w": [0.1, 0.8, 0.1], "c": [0.1, 0.1, 0.8], "-": [0.4, 0.3, 0.3]}
    return [rows[char] for char in text]


def spans(events):
    return [(event.label, event.first_frame, event.last_frame) for event in events]


def test_an_event_is_told_when_it_has_begun_and_when_it_has_ended():
    begun, ended = find(answers("---wwwwww-------"))
    assert spans([begun, ended]) == [("wave", 3, None), ("wave", 3, 8)]
    assert begun.is_open and not ended.is_open
    assert begun.track == ended.track == 7
    assert ended.confidence == pytest.approx(0.8)


def test_an_event_needs_the_time_to_begin_and_to_end():
    assert find(answers("--www-----")) == []
    assert spans(find(answers("--wwww---ww--"))) == [("wave", 2, None), ("wave", 2, 10)]
    assert spans(find(answers("--wwww----ww--"), finish=False))[-1] == ("wave", 2, 5)


def test_another_class_ends_an_event_when_it_has_begun_itself():
    found = find(answers("wwwwwcwwcccccw"))
    assert spans(found) == [
        *(("wave", 0, None), ("wave", 0, 7)),
        *(("clap", 8, None), ("clap", 8, 12)),
    ]


def test_events_of_one_person_never_overlap():
    random = np.random.default_rng(0)
    for start, end in ((0.6, 0.4), (0.4, 0.1), (0.5, 0.5)):
        noise = np.split(random.normal(size=(2000, 3)), 200)
        rows = np.exp([part.sum(axis=0) for part in noise]).repeat(10, axis=0)
        events = find(rows / rows.sum(axis=1, keepdims=True), threshold=start, end_threshold=end)
        ended = [event for event in events if not event.is_open]
        assert len(ended) * 2 == len(events) > 20
        for event, following in pairwise(ended):
            assert event.first_frame <= event.last_frame <= following.first_frame
        # Each is told twice, in turn.
        assert [event.is_open for event in events] == [True, False] * len(ended)


def test_between_both_thresholds_an_event_goes_on_but_none_begins():
    low = [[0.3, 0.5, 0.2]] * 20
    assert find(low) == []
    assert spans(find(answers("wwww") + low)) == [("wave", 0, None), ("wave", 0, 23)]
    assert find(answers("wwww") + low)[1].confidence == pytest.approx((4 * 0.8 + 20 * 0.5) / 24)


def test_some_classes_are_no_event():
    assert spans(find(answers("nnnnnn"))) == [("nothing", 0, None), ("nothing", 0, 5)]
    assert find(answers("nnnnnn"), background=["nothing"]) == []
    found = find(answers("wwwwnnnnn"), background=["nothing"])
    assert spans(found) == [("wave", 0, None), ("wave", 0, 3)]


def test_a_short_sequence_with_one_answer_is_an_event():
    rules = EventRules(hold=15)
    for length, expected in ((40, 2), (10, 0)):
        finder = EventFinder(None, CLASSES, rules, 15)
        last = Moment(length)
        found = finder.update(last, Moment(length // 2), np.array([0.1, 0.8, 0.1], np.float32))
        found += finder.finish(last)
        assert len(found) == expected
    # Two different answers are none.
    assert find(answers("-ww")) == []


def test_times_are_seconds_to_the_end_of_the_last_frame():
    _, event = find(answers("---wwwwww-------"), first=30, fps=10, hold="0.3s")
    assert (event.start, event.end) == (3.3, 3.9)
    row = json.loads(json.dumps(event.row()))
    assert row == {
        **{"event": "end", "track": 7, "label": "wave", "first_frame": 33, "last_frame": 38},
        **{"start": 3.3, "end": 3.9, "confidence": 0.8},
    }
    assert find(answers("---wwwww"), fps=10, hold="0.5s") == []


def test_the_row_of_an_event_that_goes_on_has_no_end():
    row = Event(None, "wave", 3, None, 0.1, None, 0.75).row()
    assert (row["event"], row["last_frame"], row["end"]) == ("start", None, None)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"threshold": 1.2}, "threshold 1.2: give a probability from 0 to 1"),
        ({"end_threshold": float("nan")}, "end_threshold nan"),
        ({"end_threshold": 0.7}, "end_threshold 0.7 is above the threshold 0.6"),
        ({"hold": "soon"}, "hold 'soon': is no time"),
        (
            {"background": ["wav"]},
            r"background 'wav': the model has no such class \(did you mean 'wave'",
        ),
    ],
)
def test_rules_that_cannot_be_are_refused(rules, message):
    with pytest.raises(InputError, match=message):
        find(answers("w"), **rules)
