"""Problems of an import: recordings that cannot be used, and lines of labels without one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyg_stgcn.datasets.importing.import_options import ImportOptions
from pyg_stgcn.datasets.importing.label_rows import Labels
from pyg_stgcn.datasets.importing.path_clips import PathClips
from pyg_stgcn.datasets.importing.recording_clips import LabelledClip
from pyg_stgcn.errors import InputError
from pyg_stgcn.text import count

Problem = tuple[str, str]
#: Recordings that a message names.
_NAMED = 3


@dataclass(frozen=True)
class ImportReport:
    """The result of an import.

    Args:
        out: The pickle.
        num_clips: Number of its clips.
        splits: Number of clips of every split.
        skipped: Names of recordings or clips that are not in it, with the reason.
        crowded: Number of recordings that show more persons than their clip has.
        divided: Number of recordings with several clips: parts, or persons.
    """

    out: Path
    num_clips: int
    splits: dict[str, int]
    skipped: list[Problem] = field(default_factory=list)
    crowded: int = 0
    divided: int = 0


def group_reasons(skipped: Iterable[Problem]) -> list[tuple[str, list[str]]]:
    """Reasons with the names of all that were skipped for it; the most frequent reason first.

    Reasons that differ in numbers, names in quotes and paths alone are one; the first stands for
    all.
    """
    groups: dict[str, tuple[str, list[str]]] = {}
    for name, reason in skipped:
        kind = re.sub(r"'[^']*'|\S*/\S*|\d[\d.,]*", "_", reason.replace(name, "_"))
        groups.setdefault(kind, (reason, []))[1].append(name)
    return sorted(groups.values(), key=lambda group: -len(group[1]))


def label_problems(labels: Labels, found: Sequence[PathClips]) -> list[Problem]:
    """Lines of the file of labels that are about no recording.

    Raises:
        InputError: If a line is about several recordings, or no line is about any.
    """
    recordings: dict[int, list[str]] = {row.line: [] for row in labels.rows}
    for part in found:
        for name, lines in part.lines.items():
            for line in lines:
                recordings[line].append(name)
    if not any(recordings.values()):
        names = [name for part in found for name, _ in part.problems]
        raise InputError(
            f"{labels.path}: no line is about any of the recordings: names there are such as "
            f"{labels.rows[0].name!r}, recordings are such as {min(names, default='')!r}; write "
            "names of files, with or without their folders and endings"
        )
    for row in labels.rows:
        if len(same := recordings[row.line]) > 1:
            raise InputError(
                f"{labels.path}: line {row.line}: {row.name!r} may be "
                f"{' or '.join(map(repr, same[:_NAMED]))}; write the folder too"
            )
    return [
        (row.name, f"{labels.path}: line {row.line}: there is no such recording")
        for row in labels.rows
        if not recordings[row.line]
    ]


def check_problems(
    clips: Sequence[LabelledClip],
    problems: Sequence[Problem],
    folder: Path,
    options: ImportOptions,
) -> None:
    """Stop an import with too many problems.

    Raises:
        InputError: If there is no clip, any problem with ``strict``, or more problems than clips
            without ``skip_bad``.
    """
    if not problems or (clips and not options.strict and len(problems) <= len(clips)):
        return
    if clips and options.skip_bad:
        return
    reason, names = group_reasons(problems)[0]
    more = len(problems) - len(names)
    same = f" (the same for {len(names) - 1:,} more)" if len(names) > 1 else ""
    others = f"; {count(more, 'other problem')}" if more else ""
    if options.strict:
        raise InputError(f"{reason}{same}{others}")
    if not clips:
        raise InputError(f"{folder}: no recording can be used: {reason}{same}{others}")
    raise InputError(
        f"{folder}: only {count(len(clips), 'clip')} can be used, {len(problems):,} cannot: "
        f"{reason}{same}{others}; skip them with skip_bad=True"
    )
