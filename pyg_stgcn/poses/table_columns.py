"""The columns of a table of joints: which hold frame, person, coordinates and scores."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.coordinates import LAYOUTS
from pyg_stgcn.poses.layout_names import find_layout, missing_joints, split_words
from pyg_stgcn.skeletons import Skeleton

logger = logging.getLogger(__name__)

_SCORES = (
    *("score", "scores", "confidence", "conf", "likelihood", "visibility", "visible", "vis"),
    *("presence", "prob", "probability", "c", "v", "s", "p"),
)
#: Words before the number of a joint.
_NUMBERED = {
    *("landmark", "landmarks", "keypoint", "keypoints", "kpt", "kp", "joint", "pose", "point"),
    *("body", "lm", "pt", "j", "k"),
}
#: Names of columns, of which the first that a table has counts: numbers or images of frames, times,
#: and rows that have a number or an image file.
_FRAMES = (
    *("frame", "framenumber", "frameid", "frameidx", "frameindex", "framenum", "frameno"),
    *("framenr", "frames", "imageid", "imagename", "framename", "image"),
)
_TIMES = ("timestamp", "timestampms", "time", "times", "timems", "timesec", "timeseconds", "t")
_FILES = ("filename", "file")
_ROWS = ("index", *_FILES)
#: Columns of an identity, and of a number that starts again in every frame.
_TRACKS = (
    *("track", "trackid", "person", "personid", "individual", "subject", "hand", "pid", "id"),
)
_PERSONS = ("personidx", "personindex", "personnumber", "detection", "detectionid", "handedness")
_CLIPS = (
    *("video", "videoname", "videoid", "clip", "clipname", "clipid", "sequence", "sequencename"),
    *("sequenceid", "recording", "recordingid", "sample", "sampleid"),
)
#: What is no joint although it has an x and a y.
_NO_JOINTS = {"bbox", "box", "boundingbox", "boxcenter", "bboxcenter", "center", "image"}
#: Of the number of a joint.
_MAX_DIGITS = 6
_EXAMPLE = "such as frame,person,nose_x,nose_y,nose_score,left_eye_x,..."


class Columns(NamedTuple):
    """Numbers of the columns of a table.

    Args:
        values: The numbers of the joints, person after person within a row, joint after joint,
            as x, y, perhaps z, perhaps score.
        persons: Persons of a row.
        joints: Joints of a person.
        axes: Coordinates of a joint, 2 or 3.
        has_score: Whether a score follows them.
        skeleton: The layout, by the names of the joints; None if they have numbers.
        frame: The frame number, if there is one.
        time: The time, where there is no frame number.
        person: What tells the persons of a frame apart.
        is_track: Whether this is the same in all frames.
        clip: The name of the recording.
    """

    values: list[int]
    persons: int
    joints: int
    axes: int
    has_score: bool
    skeleton: Skeleton | None
    frame: int | None
    time: int | None
    person: int | None
    is_track: bool
    clip: int | None


class _Joint(NamedTuple):
    group: str
    name: str
    component: str


def find_columns(names: Sequence[str], given: Skeleton | None, where: str) -> Columns:
    """Tell the columns of a table apart by their names.

    Joints may be called ``nose_x``, ``x_nose``, ``nose.x``, ``NOSE x``, or by number ``x_0``,
    ``x0``, ``landmark_0_x``, ``0_x``.

    Args:
        names: Names of the columns.
        given: The layout that the user names.
        where: Name of the file in errors.

    Raises:
        InputError: The columns hold no joints, or not those of a layout.
    """
    joints: dict[_Joint, int] = {}
    others: dict[str, int] = {}
    for column, name in enumerate(names):
        joint = _parse_joint(name)
        if joint is None:
            # The index of a table of pandas has no name.
            key = "".join(split_words(name)) or ("index" if column == 0 else "")
            others.setdefault(key, column)
        else:
            joints.setdefault(joint, column)
    _check_is_wide(joints, names, where)
    return _assemble(joints, others, given, where)


def find_grouped_columns(
    joints: Sequence[tuple[str, str, str] | None], given: Skeleton | None, where: str
) -> Columns:
    """As :func:`find_columns`, for tables whose header has several rows, as DeepLabCut's.

    Args:
        joints: Individual, joint and coordinate of every column; None for that of the frame.
        given: The layout that the user names.
        where: Name of the file in errors.
    """
    found = {}
    others: dict[str, int] = {}
    for column, parts in enumerate(joints):
        if parts is None:
            others.setdefault("frame", column)
        else:
            group, name, component = parts
            component = "score" if component in _SCORES else component
            found[_Joint(group, name, component)] = column
    return _assemble(found, others, given, where)


def is_coordinate(name: str) -> str:
    """Coordinate in a column of a table of joints: ``"x"``, ``"y"`` or ``"z"``, else empty."""
    joint = _parse_joint(name)
    component = name.strip().lower() if joint is None else joint.component
    return component if component in ("x", "y", "z") else ""


def _parse_joint(name: str) -> _Joint | None:
    words = split_words(name)
    for place in (-1, 0):
        component = words[place] if words else ""
        rest = words[:-1] if place else words[1:]
        if rest and (component in ("x", "y", "z") or component in _SCORES):
            if "".join(rest) in _NO_JOINTS:
                return None
            component = component if component in ("x", "y", "z") else f"score {component}"
            return _Joint("", "_".join(rest), component)
    return None


def _check_is_wide(joints: dict[_Joint, int], names: Sequence[str], where: str) -> None:
    if any(joint.component == "x" for joint in joints):
        return
    lower = [name.strip().lower() for name in names]
    if "x" in lower and "y" in lower:
        raise InputError(
            f"{where}: has a row for every joint; put the joints of a frame into one row, "
            f"{_EXAMPLE} (pandas.DataFrame.pivot does this)"
        )


def _assemble(
    joints: dict[_Joint, int], others: dict[str, int], given: Skeleton | None, where: str
) -> Columns:
    positions = {(j.group, j.name): i for j, i in joints.items() if j.component == "x"}
    if not positions:
        raise InputError(f"{where}: the header does not name the columns of joints, {_EXAMPLE}")
    groups = list(dict.fromkeys(group for group, _ in positions))
    found = find_layout({name for _, name in positions}, given)
    if found is not None:
        skeleton, order = found
        persons = [[(group, name) for name in order] for group in groups]
    else:
        skeleton = None
        persons = _numbered_joints(positions, given, where)
    components = _common_components(persons, joints, where)
    frame, time = _column(others, _FRAMES), _column(others, _TIMES)
    if frame is None and time is None:
        frame = _column(others, _ROWS)
    track, person = _column(others, _TRACKS), _column(others, _PERSONS)
    if (track, person) != (None, None) and frame is None and time is None:
        raise InputError(
            f"{where}: has a column for the person, but none for the frame, {_EXAMPLE}; add it"
        )
    return Columns(
        [joints[_Joint(*joint, part)] for one in persons for joint in one for part in components],
        len(persons),
        len(persons[0]),
        3 if "z" in components else 2,
        components[-1].startswith("score"),
        skeleton,
        frame,
        time if frame is None else None,
        person if track is None else track,
        track is not None,
        _column(others, _CLIPS if frame == _column(others, _FILES) else (*_CLIPS, *_FILES)),
    )


def _column(others: dict[str, int], names: Sequence[str]) -> int | None:
    return next((others[name] for name in names if name in others), None)


def _numbered_joints(
    positions: dict[tuple[str, str], int], given: Skeleton | None, where: str
) -> list[list[tuple[str, str]]]:
    """The joints of every person by number, where the names end in numbers."""
    groups: dict[str, dict[int, tuple[str, str]]] = {}
    for group, name in positions:
        words = split_words(name)
        if not words or not words[-1].isdecimal() or len(words[-1]) > _MAX_DIGITS:
            nearest, missing = missing_joints({name for _, name in positions}, given)
            raise InputError(
                f"{where}: its joints are those of no known layout; nearest is {nearest.name!r}, "
                f"of which {', '.join(missing[:8])} {'are' if len(missing) > 1 else 'is'} missing. "
                "Describe the layout, with these names, in a JSON file and name that as skeleton"
            )
        key = group + "".join(word for word in words[:-1] if word not in _NUMBERED)
        groups.setdefault(key, {})[int(words[-1])] = (group, name)
    counts = {*LAYOUTS[2], *LAYOUTS[3]} if given is None else {given.num_joints}
    fitting = {key: one for key, one in groups.items() if len(one) in counts}
    largest = max((len(one) for one in (fitting or groups).values()), default=0)
    kept = [one for one in groups.values() if len(one) == largest]
    if len(kept) < len(groups):
        left_out = [key or "others" for key, one in groups.items() if len(one) != largest]
        logger.info("%s: joints of %s are not read", where, ", ".join(left_out))
    for one in kept:
        if max(one) - min(one) + 1 != len(one) or min(one) > 1:
            raise InputError(
                f"{where}: the joints are numbered from {min(one)} to {max(one)}, but there are "
                f"{len(one)} of them; number them from 0 without gaps"
            )
    return [[one[number] for number in sorted(one)] for one in kept]


def _common_components(
    persons: list[list[tuple[str, str]]], joints: dict[_Joint, int], where: str
) -> list[str]:
    """The components that the joints have, of which the first score counts."""
    wanted = [joint for one in persons for joint in one]
    for joint in wanted:
        if _Joint(*joint, "y") not in joints:
            raise InputError(f"{where}: joint {joint[1]!r} has a column for x, but none for y")
    parts = list(dict.fromkeys(joint.component for joint in joints))
    common = [p for p in parts if all(_Joint(*joint, p) in joints for joint in wanted)]
    scores = [part for part in common if part.startswith("score")]
    return ["x", "y", *(["z"] if "z" in common else []), *scores[:1]]
