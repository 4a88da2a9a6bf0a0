"""Evaluation of a trained model on streams: recordings in which actions follow each other."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.evaluation_data import EvaluationClips, EvaluationData, open_clips_for
from pyg_stgcn.evaluation.segments_file import read_segments
from pyg_stgcn.evaluation.stream_answers import StreamAnswers, answer_frames
from pyg_stgcn.evaluation.stream_metrics import (
    F1_OVERLAPS,
    FRACTIONS,
    PRECISION_OVERLAPS,
    Segment,
    accuracy_per_frame,
    area_under,
    average_precision,
    delays,
    early_accuracy,
    f1_of_segments,
    false_alarms,
)
from pyg_stgcn.evaluation.stream_recordings import (
    StreamRecording,
    joined_recordings,
    untrimmed_recordings,
)
from pyg_stgcn.plots.streams import plot_stream
from pyg_stgcn.ranges import FRAME_RATE, FRAMES, JOINED, PAUSE, SEED, UP_TO_ALL, check_range
from pyg_stgcn.recognition.events import EventFinder, EventRules, Moment
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.run_sparsity import sparsity_summary
from pyg_stgcn.tables import write_csv, write_json

logger = logging.getLogger(__name__)

_RANGES = {
    "window": FRAMES,
    "clips": JOINED,
    "pause": PAUSE,
    "seed": SEED,
    "fps": FRAME_RATE,
    "threshold": UP_TO_ALL,
}


@dataclass(frozen=True)
class StreamOptions:
    """How a model is evaluated on streams.

    Args:
        window: Frames that an answer is about (default: those of the clips of the training).
        clips: Clips that are joined to one recording.
        pause: Frames between two of them.
        seed: Seed of their order.
        segments: File with the actions of untrimmed recordings, which are then the clips of the
            data; see :func:`~pyg_stgcn.evaluation.segments_file.read_segments`.
        fps: Frames per second of the recordings, for times in seconds.
        threshold: Probability at which an event begins; it ends below two thirds of it.

    Raises:
        InputError: A value is out of range.
    """

    window: int | None = None
    clips: int = 100
    pause: int = 0
    seed: int = 0
    segments: str | Path | None = None
    fps: float = 30.0
    threshold: float = 0.6

    def __post_init__(self) -> None:
        for name, allowed in _RANGES.items():
            value = getattr(self, name)
            if not (name == "window" and value is None):
                check_range(name, value, allowed)

    @property
    def rules(self) -> EventRules:
        """When events begin and end."""
        return EventRules(self.threshold)


@dataclass(frozen=True)
class _Answered:
    """A recording, the answers to its frames, and the events in them."""

    recording: StreamRecording
    answers: StreamAnswers
    found: list[Segment]


def evaluate_stream(
    folder: str | Path,
    *,
    options: StreamOptions | None = None,
    device: torch.device | str = "cpu",
    data: EvaluationData | None = None,
    checkpoint: str | None = None,
    figure: Path | None = None,
) -> dict[str, Any]:
    """Evaluate a finished run on streams, and write ``stream.json``, ``.csv`` and ``.png``.

    The names of the files contain other data and the checkpoint, as in
    :func:`~pyg_stgcn.evaluation.run_evaluation.evaluate_run`.

    Args:
        folder: The run directory.
        options: Recordings, window and threshold.
        device: Where to compute.
        data: The clips (default: the validation clips of the run).
        checkpoint: ``"best"`` or ``"last"`` for the weights of that checkpoint (default: the final
            weights).
        figure: Another file for the figure, such as a PDF.

    Returns:
        ``accuracy`` per frame, of the answer whose middle is the frame; ``accuracy_live``, of the
        answer at that moment; ``f1_10``, ``f1_25`` and ``f1_50`` of the segments; ``map``, the mean
        over overlaps, and ``map_10`` to ``map_70``; ``delay_frames`` and ``delay_seconds``, medians
        over the answered actions; ``answered``, the fraction of these; ``false_alarms_per_minute``;
        ``early_area`` and ``early_accuracy`` over ``fractions``; ``lag_frames``, numbers of the
        recordings, the options, the counts of
        :func:`~pyg_stgcn.runs.run_sparsity.sparsity_summary` and the paths of the files.

    Raises:
        InputError: The folder holds no finished run, or the data or the file of segments are
            missing or do not fit it.

    Example:
        >>> evaluate_stream("runs/mine", options=StreamOptions(threshold=0.5))["f1_50"]
        0.66
    """
    options = options or StreamOptions()
    run = Run.open(folder, checkpoint)
    model, clips = run.load_model(), open_clips_for(run, data)
    counts = sparsity_summary(model, run, run.load_masks(model))
    window = options.window or run.frames
    answered = _answer(run, clips, model, options, window, device)
    settings = {
        "window": window,
        "fps": options.fps,
        "threshold": options.threshold,
        "segments": None if options.segments is None else str(options.segments),
    }
    if options.segments is None:
        settings |= {"clips": options.clips, "pause": options.pause, "seed": options.seed}
    result = {
        "run": str(run.folder),
        "dataset": clips.config.data.dataset,
        "benchmark": clips.config.data.benchmark,
        "split": clips.split,
        **_measures(answered, options.fps),
        **settings,
        **counts,
    }
    return _write(clips, result, answered[0], figure)


def _answer(
    run: Run,
    clips: EvaluationClips,
    model: nn.Module,
    options: StreamOptions,
    window: int,
    device: torch.device | str,
) -> list[_Answered]:
    """Answer all recordings, of which at least one has an action."""
    motion = any("motion" in stream for stream in run.config.data.stream.split("+"))
    answered = []
    for recording in _recordings(clips, options):
        answers = answer_frames(
            model,
            recording.x,
            window,
            behind=int(motion),
            temperature=run.temperature,
            device=device,
        )
        found = find_segments(answers, run.classes, options.rules)
        answered.append(_Answered(recording, answers, found))
    if not any(one.recording.segments for one in answered):
        raise InputError(f"{options.segments}: nobody is seen during any action; check its frames")
    _warn_of_silence(answered, options.rules)
    return answered


def find_segments(
    answers: StreamAnswers, classes: Sequence[str], rules: EventRules
) -> list[Segment]:
    """The events in the answers to one recording, as segments with their confidence."""
    finder = EventFinder(None, classes, rules, rules.span.amount)
    events = []
    for frame in np.flatnonzero(answers.is_new).tolist():
        about = Moment(int(answers.about[frame]))
        events += finder.update(Moment(frame), about, answers.probabilities[frame])
    last = Moment(len(answers.about) - 1)
    if answers.final is not None:
        events += finder.update(last, Moment(answers.final_about), answers.final)
    events += finder.finish(last)
    numbers = {name: number for number, name in enumerate(classes)}
    return [
        Segment(numbers[event.label], event.first_frame, event.last_frame + 1, event.confidence)
        for event in events
        if event.last_frame is not None
    ]


def _recordings(clips: EvaluationClips, options: StreamOptions) -> Iterator[StreamRecording]:
    if options.segments is not None:
        segments = read_segments(options.segments, clips.run.classes)
        if not any(segments.values()):
            raise InputError(f"{options.segments}: has no action; give first and last frames")
        return untrimmed_recordings(clips.dataset, clips.config, segments)
    return joined_recordings(
        clips.labelled().dataset,
        clips.config,
        clips=options.clips,
        pause=options.pause,
        seed=options.seed,
    )


def _warn_of_silence(answered: Sequence[_Answered], rules: EventRules) -> None:
    """Name the cause where no event was found."""
    if any(one.found for one in answered):
        return
    answers = [one.answers for one in answered]
    given = [one.probabilities[one.about >= 0] for one in answers if one.is_new.any()]
    largest = max((float(one.max()) for one in given), default=0.0)
    if not given:
        logger.warning(
            "no answer was given before an end: they come up to %d frames late, and the longest "
            "recording has %d frames; join more clips, or evaluate longer recordings",
            answers[0].lag,
            max(len(one.about) for one in answers),
        )
    elif largest >= rules.threshold:
        logger.warning(
            "no event was found: no class keeps the threshold %g for %d frames; lower the "
            "threshold, or evaluate longer actions",
            rules.threshold,
            rules.span.amount,
        )
    else:
        logger.warning(
            "no event was found: the largest probability is %.2f, and the threshold %g; lower the "
            "threshold, or train with the context of a stream",
            largest,
            rules.threshold,
        )


def _measures(answered: Sequence[_Answered], fps: float) -> dict[str, Any]:
    labels = np.concatenate([one.recording.labels for one in answered])
    live = np.concatenate([one.answers.live for one in answered])
    settled = np.concatenate([one.answers.settled for one in answered])
    found = [one.found for one in answered]
    true = [one.recording.segments for one in answered]
    lag = answered[0].answers.lag
    waits = [
        wait
        for one in answered
        for wait in delays(one.answers.live, one.recording.segments, patience=lag)
    ]
    known = [wait for wait in waits if wait is not None]
    precisions = [average_precision(found, true, least) for least in PRECISION_OVERLAPS]
    curve = np.average(
        [
            early_accuracy(one.answers.live, one.recording.segments)
            for one in answered
            if one.recording.segments
        ],
        axis=0,
        weights=[len(own) for own in true if own],
    )
    minutes = len(labels) / fps / 60
    alarms = sum(map(false_alarms, found, true))
    return {
        "accuracy": accuracy_per_frame(settled, labels),
        "accuracy_live": accuracy_per_frame(live, labels),
        **{f"f1_{round(100 * least)}": f1_of_segments(found, true, least) for least in F1_OVERLAPS},
        "map": float(np.mean(precisions)),
        **{
            f"map_{round(100 * least)}": value
            for least, value in zip(PRECISION_OVERLAPS, precisions, strict=True)
        },
        "delay_frames": statistics.median(known) if known else None,
        "delay_seconds": round(statistics.median(known) / fps, 4) if known else None,
        "answered": len(known) / len(waits),
        "false_alarms_per_minute": alarms / minutes,
        "early_area": area_under(curve),
        "fractions": list(FRACTIONS),
        "early_accuracy": curve.tolist(),
        "lag_frames": lag,
        "recordings": len(answered),
        "actions": len(waits),
        "events": sum(map(len, found)),
        "minutes": round(minutes, 4),
    }


def _write(
    clips: EvaluationClips, result: dict[str, Any], first: _Answered, figure: Path | None
) -> dict[str, Any]:
    table, drawing, record = (clips.files.stream(kind) for kind in ("csv", "png", "json"))
    result |= {"stream_csv": str(table), "stream_png": str(drawing), "stream_json": str(record)}
    names = [name for name, value in result.items() if isinstance(value, int | float)]
    write_csv(table, ("measure", "value"), [{"measure": n, "value": result[n]} for n in names])
    write_json(record, result)
    plot_stream(
        (drawing, figure),
        result["fractions"],
        {"": result["early_accuracy"]},
        {
            "actions": _rows(first.recording.segments),
            "events": _rows(first.found),
        },
        clips.run.classes,
    )
    return result


def _rows(segments: Sequence[Segment]) -> list[tuple[int, int, int]]:
    return [(segment.label, segment.start, segment.end) for segment in segments]
