"""Recognition in a stream of frames."""

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.recording import Frame
from pyg_stgcn.recognition import EventRules, Stream
from pyg_stgcn.skeletons import get_skeleton

CLASSES = ["nothing", "wave", "clap"]
SIZE = (480, 640)


class StandInStream:
    """Features of a frame are the class that the height of the first joint tells."""

    def __init__(self, window, delay):
        self.window, self.delay = window, delay
        self.reset()

    def reset(self):
        self.seen, self.finished = [], False

    def push(self, frames):
        assert not self.finished and frames.ndim == 3
        self.seen += [round(float(frame[0, 1])) // 100 for frame in frames]
        return self._answer()

    def finish(self):
        self.finished = True
        return self._answer()

    def features(self):
        complete = self.seen if self.finished else self.seen[: len(self.seen) - self.delay]
        last = complete[-self.window :]
        return np.eye(len(CLASSES), dtype=np.float32)[last].mean(axis=0) if last else None

    _answer = features


class StandIn:
    """The interface of the engine, with answers that are easy to foresee."""

    classes, clip_frames = CLASSES, 20

    def __init__(self, delay=6):
        self.delay, self.streams, self.image_size = delay, [], None
        self.skeleton = get_skeleton("coco17").to_dict()
        self.about = {"preprocessing": {"has_score": True}}

    def stream(self, window=None, hop=None, image_size=None):
        self.image_size = image_size
        self.streams.append(StandInStream(window or self.clip_frames, self.delay))
        return self.streams[-1]

    def classify_features(self, features):
        return features


def person(action, place=0, joints=17):
    """Someone who does an action ``[V, 2]``: the height of the first joint tells it."""
    pose = 300 * place + 100 * np.random.default_rng(3).random((joints, 2))
    pose[0, 1] = 100 * action + 20
    return pose.astype(np.float32)


def frame(number, persons, **more):
    joints = np.array(persons, np.float32).reshape(-1, 17, 2)
    return Frame(number, joints, np.ones(joints.shape[:2], np.float32), **more)


def watch(frames, engine=None, **options):
    stream = Stream(engine or StandIn(), **{"image_size": SIZE, **options})
    return stream, list(stream.events(frames))


def spans(events):
    return [
        (event.track, event.label, event.first_frame, event.last_frame)
        for event in events
        if not event.is_open
    ]


def acts(*pieces):
    """The action of each frame: pieces of an action and a length."""
    return [action for action, length in pieces for _ in range(length)]


def test_events_lie_where_the_actions_are_whatever_the_delay_of_the_network():
    actions = acts((0, 60), (1, 80), (2, 60))
    for delay in (0, 6, 40):
        _, events = watch(
            (frame(n, [person(action)]) for n, action in enumerate(actions)),
            StandIn(delay),
            rules=EventRules(threshold=0.6, end_threshold=0.5, background=["nothing"]),
        )
        (track, label, first, last), (_, after, begin, end) = spans(events)
        assert (track, label, after, end) == (0, "wave", "clap", 199)
        assert abs(first - 60) < 4 and abs(last - 140) < 4 and abs(begin - 140) < 4


def test_every_person_has_events_of_their_own_and_streams_are_used_again():
    engine = StandIn()
    frames = [frame(n, [person(1)]) for n in range(0, 50)]
    frames += [frame(n, [person(2, 1)]) for n in range(100, 150)]
    frames += [frame(n, [person(1), person(2, 1)]) for n in range(150, 200)]
    stream, events = watch(frames, engine)
    assert spans(events) == [(0, "wave", 0, 49), (1, "clap", 100, 199), (2, "wave", 150, 199)]
    assert len(engine.streams) == 2
    assert stream.answers == []


def test_a_person_who_is_away_for_a_moment_is_the_same():
    """In 2-D the frames without the person belong to the clip, as in the training."""
    engine = StandIn()
    _, events = watch([frame(n, [person(1)]) for n in [*range(30), *range(50, 90)]], engine)
    assert spans(events) == [(0, "wave", 0, 89)]
    stream = Stream(engine, image_size=SIZE)
    for n in [*range(30), *range(50, 90)]:
        stream.push(frame(n, [person(1)] if n % 7 else []))
    (seen,) = [one.seen for one in engine.streams if one.seen]
    assert len(seen) == 89 and seen.count(0) == 20 + 9
    # Frames that were lost are no frames without the person.
    stream.finish()
    for n in range(0, 40, 2):
        stream.push(frame(n, [person(1)], dropped=int(n > 0)))
    assert engine.streams[-1].seen == [1] * 20


def test_dropped_lines_are_at_most_the_missing_frames():
    engine = StandIn()
    stream = Stream(engine, image_size=SIZE)
    # Before the first frame there is no gap; between two frames other lines may be dropped too.
    for number, dropped in ((5, 1), (6, 0), (8, 3), (9, 1), (11, 0)):
        stream.push(frame(number, [person(1)], dropped=dropped))
    assert engine.streams[0].seen == [1, 1, 1, 1, 0, 1]


def test_late_frames_are_left_out_and_a_lower_number_begins_again(caplog):
    numbers = [*range(100, 150), 149, 130, *range(150, 160), *range(20)]
    _, events = watch(frame(n, [person(1)]) for n in numbers)
    assert spans(events) == [(0, "wave", 100, 159), (0, "wave", 0, 19)]
    assert [text.split(":")[0].split(";")[0] for text in caplog.messages] == [
        "frame 149 comes twice",
        "frame 130 comes after frame 149",
        "frame 0 comes after frame 159",
    ]


def test_events_are_ended_before_an_error_of_the_source():
    def source():
        yield from (frame(n, [person(1)]) for n in range(50))
        raise InputError("the camera has gone")

    found = []
    with pytest.raises(InputError, match="the camera has gone"):
        for event in Stream(StandIn(), image_size=SIZE).events(source()):
            found.append(event)
    assert spans(found) == [(0, "wave", 0, 49)]
