"""Answers of a model to recordings and clips, with their place in time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.poses.pose_clip import PoseClip
from pyg_stgcn.recognition.prediction import Prediction
from pyg_stgcn.recognition.predictor import Recognizer

#: Clips that are in memory at once.
_CLIPS_AT_ONCE = 32


class Piece(NamedTuple):
    """A clip to recognise: a recording, a window of it, or an item of a dataset.

    Args:
        clip: What :meth:`Recognizer.predict` takes.
        name: Name of the recording.
        path: Its file.
        tracks: Identity of every person of the clip.
        first_frame: Number of the first frame.
        last_frame: Number of the last frame.
        start: Time of the first frame in seconds, if known.
        end: Time at the end of the last frame in seconds, if known.
    """

    clip: Any
    name: str
    path: Path
    tracks: Sequence[int]
    first_frame: int
    last_frame: int
    start: float | None = None
    end: float | None = None

    @classmethod
    def of(cls, clip: PoseClip, path: Path) -> Piece:
        """The piece of a recording that a clip holds."""
        frames = clip.first_frame, clip.last_frame
        return cls(clip, clip.name, path, clip.tracks.tolist(), *frames, clip.start, clip.end)


@dataclass(frozen=True, eq=False)
class Answer:
    """The prediction for a clip, or for one person of it, and where it belongs.

    Args:
        piece: The clip, without its joints.
        person: Identity of the person; None if the answer is for the whole clip.
        prediction: The prediction.
    """

    piece: Piece
    person: int | None
    prediction: Prediction

    def top(self, count: int) -> list[int]:
        """Numbers of the most probable classes, the best first; none if nobody is there."""
        if self.prediction.is_nobody:
            return []
        return best_classes(self.prediction.probabilities, count)


def best_classes(probabilities: NDArray[np.float32], count: int) -> list[int]:
    """Numbers of the classes with the largest values, the largest first."""
    order: list[int] = np.argsort(-probabilities, kind="stable")[:count].tolist()
    return order


def answer_pieces(
    recognizer: Recognizer,
    pieces: Iterable[Piece],
    *,
    num_views: int,
    per_person: bool = False,
) -> Iterator[Answer]:
    """Recognise clips one after the other, in a bounded amount of memory.

    Args:
        recognizer: The model.
        pieces: The clips.
        num_views: Samples of the frames of a clip, whose probabilities are averaged.
        per_person: Whether every person gets an answer of their own. A clip without persons has one
            answer in any case.

    Raises:
        InputError: The model cannot read a clip.
    """
    remaining = iter(pieces)
    while several := list(islice(remaining, _CLIPS_AT_ONCE)):
        found = recognizer.predict(
            [piece.clip for piece in several], num_views=num_views, per_person=per_person
        )
        for piece, predictions in zip(several, found, strict=True):
            place = piece._replace(clip=None)
            if not per_person:
                yield Answer(place, None, predictions)
                continue
            for person, prediction in zip(piece.tracks, predictions, strict=True):
                yield Answer(place, person, prediction)
            if not predictions:
                yield Answer(place, None, nobody(len(recognizer.classes)))


def nobody(num_classes: int) -> Prediction:
    """The prediction for a clip without persons."""
    return Prediction(None, 0.0, np.zeros(num_classes, np.float32), 0)
