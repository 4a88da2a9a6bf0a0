"""Recordings of streams against the clips they are made of, and the whole evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from pyg_stgcn.cli import main
from pyg_stgcn.datasets import SkeletonArrays, SkeletonDataset
from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation import open_engine
from pyg_stgcn.evaluation.stream_answers import StreamAnswers, answer_frames
from pyg_stgcn.evaluation.stream_evaluation import StreamOptions, evaluate_stream, find_segments
from pyg_stgcn.evaluation.stream_metrics import Segment
from pyg_stgcn.evaluation.stream_recordings import joined_recordings, untrimmed_recordings
from pyg_stgcn.poses.recording import Frame
from pyg_stgcn.recognition import EventRules, Stream
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.opening import open_dataset
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.training.runner import train
from pyg_stgcn.transforms import PreNormalize3D, ToStream


@pytest.fixture(scope="module")
def config(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainOptions:
    return TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(tmp_path_factory.mktemp("streams") / "data"),
        stream="bone",
        channels=4,
        stages=2,
        clip_frames=8,
        epochs=1,
        batch_size=36,
        eval_views=1,
        accelerator="cpu",
    ).with_recipe(36, "xsub")


@pytest.fixture(scope="module")
def clips(config: TrainOptions) -> SkeletonDataset:
    return open_dataset(config, "val")


@pytest.fixture(scope="module")
def run(config: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    train(config, folder)
    return folder


def bones(clips: SkeletonDataset, number: int) -> torch.Tensor:
    """The first person of a clip, as a model reads it; all persons are there in every frame."""
    skeleton = clips.skeleton
    item = ToStream("bone", skeleton)(PreNormalize3D(skeleton, scale=True)(clips[number]))
    return item.x[:5]


def test_joined_clips_are_the_clips_one_after_the_other(
    clips: SkeletonDataset, config: TrainOptions
) -> None:
    found = list(joined_recordings(clips, config, clips=7, pause=3, seed=1))
    order = np.random.default_rng(1).permutation(18)
    assert [len(one.segments) for one in found] == [7, 7, 4]
    for number, recording in enumerate(found):
        labels = np.full(recording.x.size(1), -1)
        for clip, segment in zip(order[7 * number :], recording.segments, strict=False):
            expected = bones(clips, int(clip))
            assert segment.label == clips.labels[clip]
            assert segment.end - segment.start == expected.size(1)
            part = recording.x[:, segment.start : segment.end]
            torch.testing.assert_close(part, expected)
            labels[segment.start : segment.end] = segment.label
        assert recording.labels.tolist() == labels.tolist()
        assert (labels == -1).sum() == 3 * (len(recording.segments) - 1)
        # In a pause, a joint moves on a line.
        pause = recording.x[:, recording.segments[0].end - 1 : recording.segments[1].start + 1]
        steps = pause.diff(dim=1)
        torch.testing.assert_close(steps, steps[:, :1].expand_as(steps), atol=1e-5, rtol=1e-4)


def test_untrimmed_recordings_have_the_actions_of_the_file(
    clips: SkeletonDataset, config: TrainOptions
) -> None:
    name = clips.names[4]
    actions = [Segment(1, 2, 7), Segment(0, 7, 12)]
    (found,) = untrimmed_recordings(clips, config, {name: actions})
    assert found.segments == actions
    assert found.labels[:13].tolist() == [-1] * 2 + [1] * 5 + [0] * 5 + [-1]
    # Scaled by the bones of the first frame, which a stream knows, not of all.
    raw = PreNormalize3D(clips.skeleton)(clips[4].clone()).x[:5]
    length = float((raw[1:, 0] - raw[:-1, 0]).norm(dim=-1).mean())
    torch.testing.assert_close(found.x[1:], (raw[1:] - raw[:-1]) / length * _sign(found.x, raw))
    for segments, message in (
        ({"x": []}, "has no recording 'x'"),
        ({name: [Segment(0, 0, 999)]}, "an action ends in frame 998; count frames from 0"),
        ({name: [Segment(0, 0, 999), Segment(1, 2, 3)]}, "an action ends in frame 998"),
    ):
        with pytest.raises(InputError, match=message):
            list(untrimmed_recordings(clips, config, segments))


def _sign(bones: torch.Tensor, joints: torch.Tensor) -> float:
    """Whether a bone leads to the joint before or after it."""
    return float(torch.sign((bones[1] * (joints[1] - joints[0])).sum()))


def test_events_are_segments_at_the_middle_of_the_answers() -> None:
    probabilities = np.full((60, 2), 0.5, np.float32)
    probabilities[10:40] = [0.9, 0.1]
    about = np.maximum(np.arange(60) - 5, 0)
    answers = StreamAnswers(probabilities, about, np.ones(60, bool), 5)
    rules = EventRules(0.6, 0.4, hold=4)
    (found,) = find_segments(answers, ["a", "b"], rules)
    assert (found.label, found.start) == (0, 5)
    # The final answer counts too, up to the last frame.
    late = StreamAnswers(
        *(probabilities[:20], about[:20], np.ones(20, bool), 5),
        final=np.float32([0.1, 0.9]),
        final_about=12,
    )
    found = find_segments(late, ["a", "b"], rules)
    assert [(one.label, one.start, one.end) for one in found] == [(0, 5, 13), (1, 12, 20)]


def test_the_events_are_those_of_the_engine_to_the_end(
    run: Path, config: TrainOptions, tmp_path: Path
) -> None:
    try:
        engine = open_engine(run)
    except InputError as error:
        pytest.skip(str(error))
    poses = np.random.default_rng(0).normal(size=(60, 5, 3)).astype(np.float32).cumsum(axis=0)
    skeleton = open_dataset(config, "val").skeleton
    recordings = SkeletonArrays(
        tmp_path, arrays=[poses[None]], labels=[0], skeleton=skeleton, names=["long"]
    )
    (found,) = untrimmed_recordings(recordings, config, {"long": []})
    model = Run.open(run).load_model()
    answers = answer_frames(model, found.x, 8)
    rules = EventRules(0.0, hold=2)
    stream = Stream(engine, rules=rules, window=8)
    frames = [Frame(n, one[None], np.ones((1, 5), np.float32)) for n, one in enumerate(poses)]
    expected = [
        (event.label, event.first_frame, event.last_frame + 1, pytest.approx(event.confidence))
        for event in stream.events(frames)
        if event.last_frame is not None
    ]
    assert expected[-1][2] == 60
    assert expected == [
        (engine.classes[one.label], one.start, one.end, one.score)
        for one in find_segments(answers, engine.classes, rules)
    ]


def test_the_evaluation_of_a_run(run: Path, clips: SkeletonDataset, tmp_path: Path) -> None:
    options = ["evaluate", str(run), "--stream", "--clips", "9", "--json"]
    found = CliRunner().invoke(main, [*options, "--figure", str(tmp_path / "a.svg")])
    assert found.exit_code == 0, found.output
    result = json.loads(found.stdout)
    assert result == json.loads((run / "stream.json").read_text())
    assert (result["recordings"], result["actions"], result["window"]) == (2, 18, 8)
    for name in ("accuracy", "accuracy_live", "answered", "early_area", "map", "f1_50"):
        assert 0 <= result[name] <= 1
    assert (tmp_path / "a.svg").exists() and (run / "stream.png").exists()
    table = (run / "stream.csv").read_text()
    assert f"accuracy,{result['accuracy']}" in table
    segments = tmp_path / "actions.txt"
    segments.write_text(f"{clips.names[0]}\nhead moves: 0 9\ntail moves: NaN NaN\n")
    result = evaluate_stream(run, options=StreamOptions(segments=segments, threshold=0.0))
    assert (result["recordings"], result["actions"]) == (1, 1)
    shown = CliRunner().invoke(main, ["evaluate", str(run), "--stream"])
    assert "false alarms per minute" in shown.output
    for words, message in (
        (["--window", "3"], "--window needs --stream"),
        (["--stream", "--views", "2"], "--stream has no --views"),
        (["--stream", "--segments", "a.txt", "--pause", "2"], "--pause is for joined clips"),
    ):
        assert message in CliRunner().invoke(main, ["evaluate", str(run), *words]).output


def test_silence_is_explained(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    evaluate_stream(run, options=StreamOptions(clips=9, threshold=1.0))
    assert "no event was found: the largest probability is 0." in caplog.text
    largest, _ = caplog.records[-1].args
    evaluate_stream(run, options=StreamOptions(clips=9, threshold=largest - 1e-6))
    assert "no event was found: no class keeps the threshold" in caplog.text


@pytest.mark.parametrize(
    ("name", "value"),
    [("window", 0), ("clips", 0), ("pause", -1), ("seed", -1), ("fps", 0), ("threshold", 1.5)],
)
def test_options_are_checked(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} {value}: is out of range; choose from"):
        StreamOptions(**{name: value})


def test_an_action_of_nobody_is_left_out(
    clips: SkeletonDataset,
    config: TrainOptions,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    poses = np.random.default_rng(0).normal(size=(1, 12, 5, 3)).astype(np.float32)
    poses[:, 5:8] = 0
    recordings = SkeletonArrays(
        tmp_path, arrays=[poses], labels=[0], skeleton=clips.skeleton, names=["long"]
    )
    actions = [Segment(0, 0, 5), Segment(1, 5, 8), Segment(0, 8, 10)]
    (found,) = untrimmed_recordings(recordings, config, {"long": actions})
    assert found.x.size(1) == 9
    assert found.segments == [Segment(0, 0, 5), Segment(0, 5, 7)]
    assert "long: nobody is seen in frames 5 to 7" in caplog.text
