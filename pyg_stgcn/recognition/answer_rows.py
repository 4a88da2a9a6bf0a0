"""Answers as rows of tables and of JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pyg_stgcn.recognition.answers import Answer

RECOGNISED, UNKNOWN, NOBODY = "recognised", "unknown", "nobody"
"""The status of an answer: a class, one below the confidence that is asked for, or none because
nobody is there."""
_PLACE = ("name", "path", "person", "first_frame", "last_frame", "start", "end", "persons")


def answer_row(
    answer: Answer, classes: Sequence[str], *, top: int, min_confidence: float = 0.0
) -> dict[str, Any]:
    """An answer as JSON can hold it.

    Args:
        answer: The answer.
        classes: Names of the classes.
        top: Number of the most probable classes in it.
        min_confidence: Probability below which the answer is unknown.

    Returns:
        ``name`` and ``path`` of the recording; ``person``, the number of a track, or None if the
        answer is for all; ``first_frame`` and ``last_frame``; ``start`` and ``end`` in seconds, or
        None; ``persons``, their number; ``status``, one of ``"recognised"``, ``"unknown"`` and
        ``"nobody"``; ``answer``, the class if it is recognised; ``classes``, the most probable
        ones with ``label`` and ``probability``.
    """
    piece, prediction = answer.piece, answer.prediction
    status = RECOGNISED if prediction.probability >= min_confidence else UNKNOWN
    status = NOBODY if prediction.is_nobody else status
    return {
        "name": piece.name,
        "path": str(piece.path),
        "person": answer.person,
        "first_frame": piece.first_frame,
        "last_frame": piece.last_frame,
        "start": piece.start,
        "end": piece.end,
        "persons": prediction.num_persons,
        "status": status,
        "answer": prediction.label if status == RECOGNISED else None,
        "classes": [
            {"label": classes[number], "probability": float(prediction.probabilities[number])}
            for number in answer.top(top)
        ],
    }


def table_columns(top: int) -> list[str]:
    """Names of the columns of :func:`table_rows`."""
    ranked = [f"{name}_{rank}" for rank in range(1, top + 1) for name in ("class", "probability")]
    return [*_PLACE, "status", "answer", *ranked]


def table_rows(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of :func:`answer_row` with a column for each class and its probability."""
    for row in rows:
        flat = {name: value for name, value in row.items() if name != "classes"}
        for rank, found in enumerate(row["classes"], 1):
            flat |= {
                f"class_{rank}": found["label"],
                f"probability_{rank}": f"{found['probability']:.6f}",
            }
        yield flat
