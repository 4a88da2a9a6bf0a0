"""Streams of the engine against their definition, computed by the dense model in float64."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pyg_stgcn.engine import Engine, EngineStream
from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Assembly, Backbone, create_model
from pyg_stgcn.models.temporal_reach import temporal_reach
from pyg_stgcn.recognition import engine_bytes
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.sparsity import sparsify
from tests.reference.small_models import varied

pytestmark = pytest.mark.usefixtures("built")

CLASSES, TEMPERATURE, CLIP = ["sit", "stand", "wave"], 1.3, 24
#: Frames that follow the pushed ones, so that the end of the whole sequence is far away.
AFTERWARDS = 60

Floats = NDArray[np.float32]


def chain(num_joints: int) -> Skeleton:
    """A body whose spine and shoulders are known, with a long arm."""
    bones = tuple((v, max(0, v - 1)) for v in range(1, num_joints))
    names = tuple(map(str, range(num_joints)))
    return Skeleton(name="chain", joints=names, bones=bones, center=num_joints // 2)


def make(name: str, skeleton: Any, structure: str | None = None, **options: Any) -> Backbone:
    sizes = {"base_channels": 8, "num_stages": 3, "inflate_stages": [2], "down_stages": [2]}
    model = create_model(name, len(CLASSES), skeleton, **{**sizes, **options})
    assert isinstance(model, Backbone)
    if structure is not None:
        sparsify(model, 0.5, structure=structure, exclude="head.*", edge_sparsity=0.2)
    with torch.no_grad():
        model.head.linear.weight.mul_(40)  # The answers differ from frame to frame.
    return varied(model)


def engine_of(model: nn.Module, stream: str = "joint", **steps: Any) -> Engine:
    preprocessing = {"stream": stream, "clip_frames": CLIP, "has_score": False, **steps}
    return Engine.from_bytes(engine_bytes(model, CLASSES, preprocessing, TEMPERATURE))


def frames_of(num_frames: int, model: Backbone | Assembly) -> Floats:
    shape = (num_frames, model.skeleton.num_joints, model.in_channels)
    return torch.randn(shape).numpy()


def maps_of(model: Backbone, x: Floats) -> Tensor:
    """Feature maps of the whole sequence, pooled over the joints ``[T', C]``."""
    with torch.inference_mode():
        return model.forward_features(torch.from_numpy(x).double().transpose(0, 1))[0].mean(1)


class Definition:
    """The answers to all frames of a sequence."""

    def __init__(self, model: nn.Module, x: Floats, window: int) -> None:
        model = model.double()
        experts = list(model.experts) if isinstance(model, Assembly) else [model]
        later = torch.randn(AFTERWARDS, *x.shape[1:]).numpy()
        self.model, self.window = model, window
        self.parts = [
            (maps_of(expert, np.concatenate([x, later])), temporal_reach(expert))
            for expert in experts
        ]

    def __getitem__(self, frame: int) -> Floats | None:
        features = []
        for maps, reach in self.parts:
            count = (frame - reach.after) // reach.stride + 1
            if count < 1:
                return None
            most = -(-self.window // reach.stride)
            features.append(maps[max(0, count - most) : count].mean(0))
        return self.answer(features)

    def answer(self, features: list[Tensor]) -> Floats:
        with torch.inference_mode():
            if isinstance(self.model, Assembly):
                pooled = self.model.mean_features(torch.stack(features)[:, None])[0]
            else:
                pooled = features[0]
            return (self.model.head(pooled) / TEMPERATURE).softmax(-1).numpy()


def check(found: Floats | None, expected: Floats | None) -> None:
    if expected is None:
        assert found is None
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def push_all(stream: EngineStream, x: Floats) -> list[Floats | None]:
    return [stream.push_prepared(frame) for frame in x]


def last(answers: list[Floats | None]) -> Iterator[Floats | None]:
    """The newest answer after every frame."""
    newest = None
    for answer in answers:
        newest = newest if answer is None else answer
        yield newest


CASES: list[tuple[str, str, int, dict[str, Any]]] = [
    ("stgcn", "unstructured", 25, {}),
    ("stgcn", "block8", 17, {"base_channels": 16, "down_stages": []}),
    ("stgcn", "2:4", 42, {"num_stages": 4, "down_stages": [2, 4]}),
    ("stgcn", "channel", 15, {"down_stages": [1, 2]}),
    ("stgcnpp", "unstructured", 31, {"down_stages": [2, 3]}),
    ("stgcnpp", "channel", 16, {"base_channels": 16}),
    ("stgcnpp", "block8", 33, {"down_stages": []}),
    ("stgcnpp", "2:4", 18, {"num_stages": 2}),
]


@pytest.mark.parametrize(("name", "structure", "num_joints", "options"), CASES)
def test_every_answer_is_that_of_the_definition(
    name: str, structure: str, num_joints: int, options: dict[str, Any]
) -> None:
    rng = np.random.default_rng(num_joints)
    torch.manual_seed(num_joints)
    model = make(name, chain(num_joints), structure, **options)
    x, window = frames_of(70, model), int(rng.integers(1, 40))
    with engine_of(model) as engine:
        assert engine.is_continual
        stream = engine.stream(window=window)
        one_by_one = push_all(stream, x)
        definition = Definition(model, x, window)
        reach = definition.parts[0][1]
        assert stream.delay == reach.after
        new = [t for t, answer in enumerate(one_by_one) if answer is not None]
        assert new == list(range(reach.after, len(x), reach.stride))
        for t, answer in enumerate(last(one_by_one)):
            check(answer, definition[t])
        # Begun again, in bursts of random sizes.
        stream.reset()
        assert stream.features() is None
        first = 0
        while first < len(x):
            size = int(rng.integers(0, 30))
            answer = stream.push_prepared(x[first : first + size])
            expected = [found for found in one_by_one[first : first + size] if found is not None]
            check(answer, expected[-1] if expected else None)
            first += size


def test_experts_with_different_strides() -> None:
    experts = [
        make("stgcn", chain(17), down_stages=[2, 3]),
        make("stgcnpp", chain(17), inflate_stages=[2], num_stages=2, down_stages=[]),
    ]
    model = Assembly(experts, learned_weights=True).eval()
    with torch.no_grad():
        model.expert_factors.copy_(torch.tensor([0.7, 1.4]))
    x = frames_of(60, model)
    with engine_of(model) as engine:
        stream = engine.stream(window=21)
        answers = push_all(stream, x)
        finished = stream.finish()
    definition = Definition(model, x, 21)
    for t, answer in enumerate(last(answers)):
        check(answer, definition[t])
    maps = [maps_of(expert, x) for expert in model.double().experts]
    check(finished, definition.answer([maps[0][-6:].mean(0), maps[1][-21:].mean(0)]))


@pytest.mark.parametrize("num_frames", [1, 2, 7, CLIP - 1, CLIP])
@pytest.mark.parametrize("name", ["stgcn", "stgcnpp"])
def test_the_end_gives_the_answer_of_the_clip(name: str, num_frames: int) -> None:
    model = make(name, chain(20), down_stages=[2, 3])
    x = frames_of(num_frames, model)
    with engine_of(model) as engine:
        stream = engine.stream()
        stream.push_prepared(x)
        found = stream.finish()
        logits = engine.logits(x.transpose(1, 0, 2).copy())[0].astype(float)
        features = engine.features(x.transpose(1, 0, 2).copy())[0]
        np.testing.assert_allclose(stream.features(), features, rtol=0, atol=1e-5)
        assert stream.finish() is None
        with pytest.raises(InputError, match="the stream has ended; reset it"):
            stream.push_prepared(x)
        stream.reset()
        assert stream.finish() is None and stream.features() is None
    expected = np.exp((logits - logits.max()) / TEMPERATURE)
    check(found, expected / expected.sum())


@pytest.mark.parametrize("planar", [True, False])
@pytest.mark.parametrize("streams", ["joint", "bone+joint-motion"])
def test_raw_frames_end_as_the_raw_clip(planar: bool, streams: str) -> None:
    layout, size = ("coco17", (480, 640)) if planar else ("ntu25", None)
    model = make("stgcn", layout, in_channels=3 * len(streams.split("+")))
    poses = (torch.rand(CLIP, model.skeleton.num_joints, 3) * 400 + 20).numpy()
    if planar:
        poses[..., 2] = 0.9
    with engine_of(model, streams, has_score=planar) as engine:
        stream = engine.stream(image_size=size)
        assert stream.delay == temporal_reach(model).after + ("motion" in streams)
        for frame in poses:
            stream.push(frame)
        check(stream.finish(), engine.classify(poses, size))
        with pytest.raises(InputError, match="do not mix"):
            stream.reset()
            stream.push(poses)
            stream.push_prepared(frames_of(2, model))


def test_people_come_and_go_in_several_threads() -> None:
    """Every stream answers as it does alone."""
    model = make("stgcnpp", chain(25), "unstructured")
    people = [frames_of(int(size), model) for size in np.random.default_rng(0).integers(5, 90, 12)]
    with engine_of(model) as engine:

        def watch(group: list[Floats]) -> list[list[Floats | None]]:
            stream, found = engine.stream(window=12), []
            for x in group:
                stream.reset()
                found.append([*push_all(stream, x), stream.finish()])
            return found

        expected = [watch([x])[0] for x in people]
        with ThreadPoolExecutor(4) as pool:
            parts = list(pool.map(watch, (people[i::4] for i in range(4))))
        for i, part in enumerate(parts):
            for found, alone in zip(part, expected[i::4], strict=True):
                np.testing.assert_equal(found, alone)
        # Frame by frame in turn; they begin and end at different frames.
        begin = [3 * i for i in range(len(people))]
        streams = [engine.stream(window=12) for _ in people]
        for t in range(130):
            for stream, x, first, alone in zip(streams, people, begin, expected, strict=True):
                if first <= t < first + len(x):
                    np.testing.assert_equal(stream.push_prepared(x[t - first]), alone[t - first])


def test_large_frames_leave_the_window_without_a_trace() -> None:
    model = make("stgcn", chain(17))
    x = frames_of(90, model)
    x[:20] *= 1e6
    with engine_of(model) as engine:
        answers = list(last(push_all(engine.stream(window=8), x)))
    definition = Definition(model, x, 8)
    for t in range(65, 90):
        check(answers[t], definition[t])


def test_frames_that_cannot_be_read_change_nothing() -> None:
    model = make("stgcn", chain(17))
    x = frames_of(40, model)
    wrong = x[:3].copy()
    wrong[2, 4, 1] = np.nan
    with engine_of(model) as engine:
        stream, other = engine.stream(), engine.stream()
        for frame in x:
            with pytest.raises(InputError, match="channel 1 of joint 4 in frame 2 is not finite"):
                stream.push_prepared(wrong)
            np.testing.assert_equal(stream.push_prepared(frame), other.push_prepared(frame))


@pytest.mark.parametrize("name", ["stgcn", "aagcn"])
def test_raw_frames_that_cannot_be_read_change_nothing(name: str) -> None:
    """Neither those before them in the same call, nor a number of frames below zero."""
    model = make(name, "ntu25")
    x = frames_of(40, model)
    wrong = x[:3].copy()
    wrong[2, 4, 1] = np.inf
    with engine_of(model) as engine:
        stream, other = engine.stream(window=8), engine.stream(window=8)
        for t, frame in enumerate(x):
            with pytest.raises(InputError, match=f"frame {t + 2}, joint 4"):
                stream.push(wrong)
            with pytest.raises(InputError, match="frames: -1 is less than 0"):
                push, result = stream._library.stream_push, np.zeros(len(CLASSES), np.float32)
                stream._handle.call(push, x.ctypes.data, -1, 3, result.ctypes.data)
            np.testing.assert_equal(stream.push(frame), other.push(frame))


@pytest.mark.parametrize("name", ["aagcn", "ctrgcn", "dgstgcn"])
def test_networks_of_whole_clips_classify_windows(name: str) -> None:
    model = make(name, "ntu25")
    poses = torch.randn(40, 25, 3).numpy()
    x = torch.randn(40, 25, 3).numpy()
    with engine_of(model) as engine:
        assert not engine.is_continual
        window, hop = 17, 3
        stream = engine.stream(window=window, hop=hop)
        for t, frame in enumerate(poses):
            found, end = stream.push(frame), t + 1
            is_due = end >= window and (end - window) % hop == 0
            check(found, engine.classify(poses[end - window : end]) if is_due else None)
        check(stream.finish(), engine.classify(poses[-window:]))
        stream.reset()
        for begin, end in ((0, 16), (16, 31), (31, 33), (33, 40)):
            found = stream.push_prepared(x[begin:end])
            due = max(range(window, end + 1, hop), default=0)
            expected = None
            if due > begin:
                logits = engine.logits(x[due - window : due].transpose(1, 0, 2).copy())[0]
                expected = torch.from_numpy(logits).div(TEMPERATURE).softmax(0).numpy()
            check(found, expected)
        short = engine.stream()
        short.push(poses[:9])
        check(short.finish(), engine.classify(poses[:9]))
        empty = engine.stream(window=5, hop=1)
        assert empty.push(np.zeros((9, 25, 3))) is None and empty.features() is None
        with pytest.raises(InputError, match="windows of at most 24 prepared frames, not 30"):
            engine.stream(window=30).push_prepared(x)
        with pytest.raises(InputError, match="joints of 4 channels after joints of 3"):
            empty.push(np.ones((1, 25, 4)))
