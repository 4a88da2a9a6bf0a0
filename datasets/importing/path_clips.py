"""All clips of one path: a pose file, or a folder of files of one frame each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyg_stgcn.datasets.importing.import_options import ImportOptions
from pyg_stgcn.datasets.importing.label_rows import LabelRow, Labels
from pyg_stgcn.datasets.importing.places import Place, find_place
from pyg_stgcn.datasets.importing.recording_clips import LabelledClip, parts_of, read_parts
from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.layout_conversion import convert_layout
from pyg_stgcn.poses.open_poses import open_poses
from pyg_stgcn.poses.recording import Recording


@dataclass(frozen=True)
class ImportContext:
    """What the reading of every path needs to know.

    Args:
        folder: The folder that is imported.
        options: The options.
        labels: The lines of the file of labels, if there is one.
        folders_are_splits: Whether folders such as ``train`` are splits, not classes.
    """

    folder: Path
    options: ImportOptions
    labels: Labels | None
    folders_are_splits: bool

    def digest(self) -> str:
        """A checksum of all that decides the clips of a path: options, names and splits."""
        parts = [str(self.folder.resolve()), self.folders_are_splits, self.options.digest()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class PathClips:
    """The clips of a path.

    Args:
        clips: The clips.
        problems: What cannot be used, and why.
        lines: Lines of the file of labels about each recording, by the name of the recording.
    """

    clips: list[LabelledClip]
    problems: list[tuple[str, str]]
    lines: dict[str, list[int]]


def read_path(path: Path, context: ImportContext) -> PathClips:
    """Read all clips of a path; errors become problems of it."""
    found = PathClips([], [], {})
    name = path.relative_to(context.folder).as_posix()
    options = context.options
    try:
        recordings = open_poses(
            path, skeleton=options.skeleton, image_size=options.image_size, fps=options.fps
        )
    except InputError as error:
        found.problems.append((name, str(error)))
        return found
    for recording in recordings:
        inner = recording.name if len(recordings) > 1 else None
        place = find_place(
            context.folder, path, inner, folders_are_splits=context.folders_are_splits
        )
        try:
            for clip in _read_recording(recording, place, context, found.lines):
                if isinstance(clip, InputError):
                    found.problems.append((place.name, str(clip)))
                else:
                    found.clips.append(clip)
        except InputError as error:
            found.problems.append((place.name, str(error)))
    return found


def _read_recording(
    recording: Recording, place: Place, context: ImportContext, lines: dict[str, list[int]]
) -> Iterator[LabelledClip | InputError]:
    options = context.options
    rows = _rows_of(place, context)
    if context.labels is not None:
        lines[place.name] = [row.line for row in rows]
    if recording.num_channels == 2 and recording.image_size is None:
        raise InputError(
            f"{recording.path}: the size of the images is not known, which 2-D joints need; give "
            "image_size, their height and width in pixels"
        )
    if options.to is not None:
        recording = convert_layout(recording, options.to)
    parts = parts_of(recording, place.name, rows)
    yield from read_parts(
        recording, parts, max_persons=options.max_persons, per_person=options.per_person
    )


def _rows_of(place: Place, context: ImportContext) -> list[LabelRow]:
    """The lines about a recording; without a file, one with what its folders say."""
    if context.labels is None:
        if place.label is None:
            raise InputError(
                f"{place.name}: lies in no folder of a class; put the recordings of each class "
                "into a folder with its name, or give labels, a CSV file of name,label"
            )
        return [LabelRow(0, place.name, place.label, place.split, None, None)]
    rows = context.labels.of(place.parts, place.file_name)
    if not rows:
        raise InputError(f"{place.name}: no line of {context.labels.path} is about it")
    if context.labels.have_splits:
        return rows
    return [row._replace(split=place.split) for row in rows]
