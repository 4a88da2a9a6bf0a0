"""Files of the actions in long recordings, as UTKinect's ``actionLabel.txt``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.stream_metrics import Segment
from pyg_stgcn.jsonfile import read_text
from pyg_stgcn.text import suggestion

_LINE = re.compile(r"(?P<label>[^:]+):\s*(?P<first>\S+)\s+(?P<last>\S+)")
_FORM = "write the name of a recording, and below it lines such as 'walk: 252 390'"


def read_segments(path: str | Path, classes: Sequence[str]) -> dict[str, list[Segment]]:
    """Read the actions of recordings, first and last frame of each.

    .. code-block:: text

        s01_e01
        walk: 252 390
        sitDown: 572 686
        carry: NaN NaN

    An action with NaN is missing. Names of classes match without regard to case, spaces, hyphens
    and underscores.

    Args:
        path: The file.
        classes: Names of the classes, in label order.

    Returns:
        The segments of each recording, in time; frames as in the file.

    Raises:
        InputError: The file cannot be read, or a line is wrong.
    """
    path = Path(path)
    numbers = {_plain(name): number for number, name in enumerate(classes)}
    found: dict[str, list[Segment]] = {}
    own: list[Segment] | None = None
    for number, line in enumerate(read_text(path, _FORM).splitlines(), start=1):
        line, where = line.strip(), f"{path}, line {number}"
        if not line:
            continue
        if ":" not in line:
            if line in found:
                raise InputError(f"{where}: the recording {line!r} comes twice; leave one out")
            own = found[line] = []
            continue
        if own is None:
            raise InputError(f"{where}: {line!r} comes before any recording; {_FORM}")
        own += _segment(line, numbers, classes, where)
    if not found:
        raise InputError(f"{path}: names no recording; {_FORM}")
    return {name: sorted(segments, key=lambda one: one.start) for name, segments in found.items()}


def _segment(
    line: str, numbers: Mapping[str, int], classes: Sequence[str], where: str
) -> list[Segment]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise InputError(f"{where}: {line!r} is no action; {_FORM}")
    label = match["label"].strip()
    if _plain(label) not in numbers:
        similar = suggestion(label, classes) or f"; it has {', '.join(classes[:10])}"
        raise InputError(f"{where}: the model has no class {label!r}{similar}")
    limits = [match["first"], match["last"]]
    if any(text.lower() == "nan" for text in limits):
        return []
    if not all(re.fullmatch(r"\d{1,9}", text) for text in limits):
        raise InputError(f"{where}: {' '.join(limits)!r} are no frames; {_FORM}")
    first, last = map(int, limits)
    if last < first:
        raise InputError(f"{where}: ends in frame {last}, before its start in frame {first}")
    return [Segment(numbers[_plain(label)], first, last + 1)]


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()
