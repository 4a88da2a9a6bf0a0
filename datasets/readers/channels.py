"""The meaning of the channels of joints: coordinates in 2-D or 3-D, and scores.

One rule for the data of users, whatever format they come in:

- With the size of their images, clips are 2-D: x, y, and the score as a third channel or as an
  array of its own. Without scores a joint has the score 1, or 0 at (0, 0).
- Without it they are 3-D: x, y, z, and perhaps a confidence, as a fourth channel or as an array of
  its own. It only decides which joints are missing.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.readers.axes import ORDER, axes_hint
from pyg_stgcn.datasets.readers.fields import parse_size
from pyg_stgcn.datasets.readers.reading import BadClip
from pyg_stgcn.datasets.readers.scores import (
    MISSING_CONFIDENCE,
    check_range,
    check_score,
    report_scores,
    warn_of_scores_as_depth,
)
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.errors import InputError

_In = TypeVar("_In", bound="RawClip | Parts")
_Out = TypeVar("_Out")


class Terms(NamedTuple):
    """Names of the fields of a clip in error messages."""

    shape: str
    score: str
    size: str


class RawClip(NamedTuple):
    """A clip as its user has given it.

    Args:
        name: Name of the clip.
        label: Its class number.
        keypoint: Its joints.
        where: Name of the clip in error messages.
        score: Scores of the joints, in an array of their own.
        image_size: Height and width of the image.
        frames: Number of frames that the clip should have.
    """

    name: str
    label: int
    keypoint: NDArray[Any]
    where: str
    score: Any = None
    image_size: Any = None
    frames: Any = None


class Parts(NamedTuple):
    """A clip whose coordinates and scores have been told apart."""

    name: str
    raw: RawClip
    coordinates: NDArray[Any]
    score: NDArray[Any] | None


class Interpretation(NamedTuple):
    """The meaning of the arrays of a dataset.

    Args:
        is_2d: Whether the joints are 2-D, with a score.
        usable: The clips whose arrays have four axes of the right kind.
        clips: All clips, in the order in which they were given.
    """

    is_2d: bool
    usable: list[RawClip]
    clips: Iterator[Clip | BadClip]


def interpret(
    found: Iterable[RawClip | BadClip], terms: Terms, source: str, joints: int | None = None
) -> Interpretation:
    """Decide whether clips are 2-D or 3-D, and tell coordinates from scores.

    Warns where all scores are zero, where a confidence makes 3-D joints count as missing, and
    where 3-D joints look like 2-D ones with a score.

    Args:
        found: The clips.
        terms: Names of their fields.
        source: Name of the dataset in warnings.
        joints: Number of joints, if known.

    Raises:
        InputError: If no clip can be used, or the clips are 2-D without the sizes of their
            images.
    """
    checked = [_attempt(_check_array, clip, terms, joints) for clip in found]
    usable = [clip for clip in checked if isinstance(clip, RawClip)]
    if not usable:
        raise InputError(next(bad.reason for bad in checked if isinstance(bad, BadClip)))
    is_2d = _is_2d(usable, terms)
    if not is_2d:
        warn_of_scores_as_depth(usable, terms.size, source)
    parts = [_attempt(_split_channels, clip, is_2d, terms) for clip in checked]
    scores = [part.score for part in parts if isinstance(part, Parts) and part.score is not None]
    ignored = report_scores(scores, is_2d, terms.score, source)
    make = _make_2d if is_2d else _make_3d
    return Interpretation(is_2d, usable, (_attempt(make, part, ignored, terms) for part in parts))


def _attempt(step: Callable[..., _Out], clip: _In | BadClip, *options: object) -> _Out | BadClip:
    if isinstance(clip, BadClip):
        return clip
    try:
        return step(clip, *options)
    except InputError as error:
        return BadClip(clip.name, str(error))


def _check_array(clip: RawClip, terms: Terms, joints: int | None) -> RawClip:
    keypoint = clip.keypoint
    shape = keypoint.shape
    if keypoint.ndim != 4 or keypoint.dtype.kind not in "fiu":
        raise InputError(
            f"{clip.where} has {terms.shape} {shape} and type {keypoint.dtype}; it must be numbers "
            f"of shape {ORDER}{axes_hint(shape, joints)}"
        )
    _check_frames(clip, joints)
    if shape[3] not in (2, 3, 4):
        raise InputError(
            f"{clip.where} has {shape[3]} channels ({terms.shape} {shape}); it must have x, y with "
            f"{terms.size}, or x, y, z, and perhaps a score{axes_hint(shape, joints)}"
        )
    return clip


def _check_frames(clip: RawClip, joints: int | None) -> None:
    frames, shape = clip.frames, clip.keypoint.shape
    if frames is None:
        return
    whole = isinstance(frames, int | np.integer)
    if whole and frames == shape[1]:
        return
    hint = axes_hint(shape, joints, int(frames)) if whole and frames in shape else ""
    raise InputError(
        f"{clip.where} says that it has {reprlib.repr(frames)} frames, but its keypoint, of shape "
        f"{shape}, has {shape[1]}{hint or '; correct total_frames, or take the whole array'}"
    )


def _is_2d(clips: Sequence[RawClip], terms: Terms) -> bool:
    sized = sum(clip.image_size is not None for clip in clips)
    if 2 * sized >= len(clips):
        return True
    planar = [c for c in clips if c.keypoint.shape[3] == 2 and c.image_size is None]
    if 2 * (len(planar) + sized) <= len(clips):
        return False
    shape = planar[0].keypoint.shape
    # Where all clips have three persons, these may be the channels.
    threes = all(clip.keypoint.shape[0] == 3 for clip in planar)
    hint = axes_hint(shape, shape[2], last_is_wrong=True) if threes else ""
    raise InputError(
        f"{planar[0].where} has 2-D joints ({terms.shape} {shape}) but no {terms.size}; add "
        f"{terms.size} to all clips: (height, width) of their video in pixels{hint}"
    )


def _split_channels(clip: RawClip, is_2d: bool, terms: Terms) -> Parts:
    axes = 2 if is_2d else 3
    if is_2d and clip.image_size is None:
        raise InputError(
            f"{clip.where} has no {terms.size}, other clips have one; add the (height, width) of "
            "its video in pixels"
        )
    if not is_2d and clip.image_size is not None:
        raise InputError(
            f"{clip.where} has {terms.size}, which makes its joints 2-D, most clips have none; add "
            "it to all clips, or remove it"
        )
    channels = clip.keypoint.shape[3]
    kind = f"{'with' if is_2d else 'without'} {terms.size}, joints are {axes}-D"
    if channels not in (axes, axes + 1):
        expected = "x, y and perhaps a score" if is_2d else "x, y, z and perhaps a confidence"
        raise InputError(f"{clip.where} has {channels} channels; {kind} and must have {expected}")
    coordinates = clip.keypoint[..., :axes]
    if channels == axes:
        return Parts(clip.name, clip, coordinates, check_score(clip.score, clip, terms.score))
    if clip.score is not None:
        raise InputError(
            f"{clip.where} has {channels} channels, of which the last is the score ({kind}), and "
            f"{terms.score} too; leave one of them out"
        )
    score = clip.keypoint[..., axes]
    check_range(
        score,
        clip.where,
        f"channel {axes + 1}, which {'with' if is_2d else 'without'} {terms.size} is the score",
        f"leave {terms.size} out if the joints are 3-D" if is_2d else "remove the channel",
    )
    return Parts(clip.name, clip, coordinates, score)


def _make_2d(parts: Parts, ignore_score: bool, terms: Terms) -> Clip:
    name, raw, coordinates, score = parts
    size = parse_size(raw.image_size)
    if size is None:
        raise InputError(
            f"{raw.where} has {terms.size} {reprlib.repr(raw.image_size)}; it must be (height, "
            "width)"
        )
    if score is None or ignore_score:
        score = coordinates.any(axis=-1).astype(coordinates.dtype)
    elif not score.any():
        raise InputError(
            f"{raw.where} has only zeros as scores ({terms.score}), other clips do not; correct it"
        )
    return Clip(name, raw.label, np.concatenate([coordinates, score[..., None]], axis=-1), size)


def _make_3d(parts: Parts, ignore_score: bool, terms: Terms) -> Clip:
    name, raw, coordinates, score = parts
    if score is None or ignore_score:
        return Clip(name, raw.label, coordinates)
    tracked = score > MISSING_CONFIDENCE
    if not tracked.any():
        raise InputError(
            f"{raw.where} has no confidence above {MISSING_CONFIDENCE:g} ({terms.score}), other "
            "clips do; correct it"
        )
    # A person who is not there may come with any confidence.
    present = tracked & np.asarray(coordinates.any(axis=(2, 3)))[..., None]
    return Clip(
        name,
        raw.label,
        np.where(present[..., None], coordinates, coordinates.dtype.type(0)),
        present=present,
    )
