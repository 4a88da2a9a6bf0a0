"""Answers of a model: the table, the CSV file and the figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyg_stgcn.cli._output import echo, percent, print_table
from pyg_stgcn.text import printable

if TYPE_CHECKING:
    from pyg_stgcn.poses.recording import Recording
    from pyg_stgcn.recognition.answers import Answer

Rows = Sequence[dict[str, Any]]

#: Rows of an aligned table; of more, the alignment would take minutes.
_LONGEST_TABLE = 2000


def print_answers(rows: Rows, *, per_person: bool, windows: bool, title: str) -> None:
    """Print a table, one line for each answer; a very long one without alignment.

    Args:
        rows: Of :func:`~pyg_stgcn.recognition.answer_rows.answer_row`.
        per_person: Whether each person has an answer.
        windows: Whether each window has one.
        title: Title of the table.
    """
    top = max((len(row["classes"]) for row in rows), default=1)
    in_seconds = all(row["start"] is not None for row in rows)
    unit = "s" if in_seconds else "frame"
    header = [
        "recording",
        *([f"from ({unit})", f"to ({unit})"] if windows else []),
        "person" if per_person else "persons",
        *("answer", "probability"),
        *(f"rank {rank}" for rank in range(2, top + 1)),
    ]
    cells = [_cells(row, per_person, windows, in_seconds) for row in rows]
    if len(rows) <= _LONGEST_TABLE:
        print_table(header, cells, title=title, texts=len(header))
    else:
        echo("\n".join("\t".join(map(printable, row)) for row in [[title], header, *cells]))


def _cells(row: dict[str, Any], per_person: bool, windows: bool, in_seconds: bool) -> list[str]:
    place = []
    if windows and in_seconds:
        place = [f"{row[name]:8.2f}" for name in ("start", "end")]
    elif windows:
        place = [f"{row[name]:8}" for name in ("first_frame", "last_frame")]
    person = row["person"] if per_person else row["persons"]
    shown = [f"{found['label']} {percent(found['probability'])}" for found in row["classes"]]
    answer, probability = row["status"], ""
    if row["classes"]:
        best = row["classes"][0]
        probability = f"{percent(best['probability']):>8}"
        answer = row["answer"] or f"{row['status']} ({best['label']})"
    return [
        row["name"],
        *place,
        "" if person is None else str(person),
        answer,
        probability,
        *shown[1:],
    ]


def draw_answers(
    figure: Path, answers: Sequence[Answer], rows: Rows, classes: Sequence[str], *, windows: bool
) -> None:
    """Draw probabilities over time, those of a few clips, or the number of clips by answer."""
    from pyg_stgcn.plots.probabilities import MOST_CLIPS, plot_clips, plot_counts, plot_over_time

    if windows:
        timelines, unit = _timelines(answers)
        plot_over_time(figure, timelines, classes, unit)
    elif len(rows) <= MOST_CLIPS:
        tops = [[(one["label"], one["probability"]) for one in row["classes"]] for row in rows]
        plot_clips(figure, [(_name(row), top) for row, top in zip(rows, tops, strict=True)])
    else:
        plot_counts(figure, [row["answer"] or row["status"] for row in rows])


def _name(row: dict[str, Any]) -> str:
    return row["name"] if row["person"] is None else f"{row['name']}, person {row['person']}"


def _timelines(answers: Sequence[Answer]) -> tuple[list[Any], str]:
    import numpy as np

    from pyg_stgcn.plots.probabilities import Timeline

    in_seconds = all(answer.piece.start is not None for answer in answers)
    several: dict[tuple[str, str, int | None], list[Answer]] = {}
    for answer in answers:
        place = str(answer.piece.path), answer.piece.name, answer.person
        several.setdefault(place, []).append(answer)
    several = dict(sorted(several.items(), key=lambda place: (place[0][:2], place[0][2] or 0)))
    return [
        Timeline(
            name if person is None else f"{name}, person {person}",
            np.array([_middle(answer, in_seconds) for answer in found]),
            np.stack([answer.prediction.probabilities for answer in found]),
        )
        for (_, name, person), found in several.items()
    ], "s" if in_seconds else "frames"


def _middle(answer: Answer, in_seconds: bool) -> float:
    piece = answer.piece
    if in_seconds and piece.start is not None and piece.end is not None:
        return (piece.start + piece.end) / 2
    return (piece.first_frame + piece.last_frame) / 2


def draw_overlay(path: Path, recording: Recording, rows: Rows) -> None:
    """Draw the persons and the answers, over the frames of a video where there is one."""
    from pyg_stgcn.plots.overlay import save_overlay
    from pyg_stgcn.poses.video_files import looks_like_video

    labels = [
        (row["first_frame"], row["last_frame"], row["person"], _overlay_text(row))
        for row in rows
        if row["classes"]
    ]
    source = recording.path
    video = source if source.is_file() and looks_like_video(source) else None
    save_overlay(path, recording, labels, video)


def _overlay_text(row: dict[str, Any]) -> str:
    return f"{row['answer'] or row['status']} {100 * row['classes'][0]['probability']:.0f} %"
