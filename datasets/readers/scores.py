"""Checks of the scores of joints."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError

if TYPE_CHECKING:
    from pyg_stgcn.datasets.readers.channels import RawClip

logger = logging.getLogger(__name__)

#: A 3-D joint is missing if its confidence is not above this. Kinect calls a joint that is not
#: tracked 0, an inferred one 1 and a tracked one 2.
MISSING_CONFIDENCE = 0.0
#: Numbers are no scores if more than this fraction of them lies outside 0 to 100. Scores go up
#: to 1, or a little above, or to 100.
_MAX_OUTSIDE, _MAX_SCORE = 0.1, 100
#: In a clip, scores go up to this, and pixels to more than that.
_MAX_LIKELY, _MIN_PIXELS = 1.5, 30


def check_score(score: Any, clip: RawClip, field: str) -> NDArray[Any] | None:
    """The scores of a clip that come as an array of their own, if there are any.

    Args:
        score: The scores.
        clip: The clip.
        field: Name of the scores in error messages.

    Raises:
        InputError: If they are not one number for every joint, or cannot be scores.
    """
    if score is None:
        return None
    shape = clip.keypoint.shape
    right = isinstance(score, np.ndarray) and score.shape == shape[:3]
    if not right or score.dtype.kind not in "fiub":
        raise InputError(
            f"{clip.where} has {field} of shape {getattr(score, 'shape', None)} for joints of "
            f"shape {shape}; it must be an array with one number for every joint"
        )
    check_range(score, clip.where, field, "correct them, or leave them out")
    return score


def check_range(score: NDArray[Any], where: str, field: str, remedy: str) -> None:
    """Refuse numbers that cannot be scores.

    Args:
        score: The numbers.
        where: Name of the clip.
        field: Name of the field or channel.
        remedy: What to do if they are no scores.

    Raises:
        InputError: If a score is not finite, or many are negative or above 100.
    """
    check_finite(score, where, field)
    outside = np.count_nonzero((score < 0) | (score > _MAX_SCORE))
    if outside > _MAX_OUTSIDE * score.size:
        raise InputError(
            f"{where} has values from {score.min():.4g} to {score.max():.4g} in {field}, but "
            f"scores go from 0 to 1; {remedy}"
        )


def warn_of_scores_as_depth(clips: Sequence[RawClip], size: str, source: str) -> None:
    """Warn where the third channel of 3-D joints looks like the score of 2-D ones, in pixels.

    Args:
        clips: The clips.
        size: Name of the sizes of the images.
        source: Name of the dataset.
    """
    if all(_is_like_score(clip.keypoint) for clip in clips):
        logger.warning(
            "%s: x and y look like pixels, and the third channel like a score; if it is one, the "
            "joints are 2-D: add %s, the (height, width) of the video, to all clips",
            source,
            size,
        )


def _is_like_score(keypoint: NDArray[Any]) -> bool:
    if keypoint.shape[3] != 3 or not keypoint.any():
        return False
    third = keypoint[..., 2]
    within = third.min() >= 0 and 0 < third.max() <= _MAX_LIKELY
    return bool(within and keypoint[..., :2].max() > _MIN_PIXELS)


def check_finite(score: NDArray[Any], where: str, field: str) -> None:
    """Refuse scores that are NaN or infinite.

    Raises:
        InputError: If there is one.
    """
    wrong = np.count_nonzero(~np.isfinite(score))
    if wrong:
        raise InputError(
            f"{where} has {wrong} scores ({field}) that are NaN or infinite; set those of missing "
            "joints to 0"
        )


def report_scores(scores: Sequence[NDArray[Any]], is_2d: bool, field: str, source: str) -> bool:
    """Warn of scores that are zero everywhere, and of 3-D joints without a confidence.

    Args:
        scores: Scores of the clips that have any.
        is_2d: Whether the joints are 2-D.
        field: Name of the scores.
        source: Name of the dataset.

    Returns:
        Whether the scores have to be ignored.
    """
    if not scores:
        return False
    if not any(score.any() for score in scores):
        logger.warning(
            "%s: all scores (%s) are 0, as if the array had never been filled; they are ignored",
            source,
            field,
        )
        return True
    if not is_2d:
        missing = sum(np.count_nonzero(score <= MISSING_CONFIDENCE) for score in scores)
        logger.warning(
            "%s: 3-D joints with a confidence (%s): those with a confidence of %g, %.2f %% of all, "
            "count as missing; apart from that the confidence is not used",
            source,
            field,
            MISSING_CONFIDENCE,
            100 * missing / sum(score.size for score in scores),
        )
    return False
