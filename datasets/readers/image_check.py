"""A check that 2-D coordinates and the sizes of their images belong together."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.errors import InputError

logger = logging.getLogger(__name__)

#: Nearly all coordinates of a clip lie between these quantiles.
_LOW, _HIGH = 0.02, 0.98
#: Joints of a clip that are looked at; more would only take longer.
_MAX_JOINTS = 1000
#: A person within so many pixels, or this fraction of the shorter side, around the corner of the
#: image is too small to be one.
_CORNER_PIXELS, _CORNER_FRACTION = 1.5, 0.02
#: A clip is in other units than its image if it lies beyond so many times the width or height.
_FAR = 2
#: Estimators place joints that they do not see up to this fraction of a side outside.
_MARGIN = 0.05
#: Fractions of the joints that may lie to the left or above, to the right, and below. Estimators
#: guess the legs of a person who sits before the camera, so that many may lie below.
_MAX_BEFORE, _MAX_RIGHT, _MAX_BELOW = 0.2, 0.25, 0.5
#: Fraction of the joints outside from which on height and width may be swapped, and fraction below
#: from which on they are. In published data 1 in 100 joints lie outside.
_MAYBE_SWAPPED, _SWAPPED_BELOW = 0.03, 0.4
_CENTRED = (
    "if (0, 0) is the centre of the image, use x + 0.5 and y + 0.5, or (x + 1) / 2 and (y + 1) / 2 "
    "where they go from -1 to 1"
)


class _Place(NamedTuple):
    """Position of the joints of a clip.

    Args:
        fractions: Fractions of the joints, weighted by their scores, that lie to the left or above,
            to the right, below, outside, and outside if height and width were swapped.
        low: Low quantile of x and y.
        high: High quantile of x and y.
        size: Height and width of the image.
    """

    fractions: list[float]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    size: tuple[float, float]


class ImageCheck:
    """Finds coordinates that cannot belong to the sizes of their images.

    Clips are added one by one. What could be true of a single clip, but not of nearly all, is an
    error at the end.

    Args:
        own: Whether these are a user's own data, of which a clip at the corner of its image, or far
            outside, is an error of that clip. Published data are taken as they are, unless most
            clips are wrong.
    """

    def __init__(self, own: bool) -> None:
        self._own = own
        self._places: list[_Place] = []
        self._misplaced: list[InputError] = []

    def add(self, clip: Clip) -> None:
        """Look at a clip that holds :math:`(x, y, \\textrm{score})`.

        Raises:
            InputError: If all its joints lie around the corner of the image or far outside, in a
                user's own data.
        """
        if clip.image_size is None:
            return
        joints = clip.keypoint.reshape(-1, 3)
        if len(joints) > _MAX_JOINTS:
            joints = joints[np.linspace(0, len(joints) - 1, _MAX_JOINTS, dtype=int)]
        joints = joints[(joints[:, 2] > 0) & joints[:, :2].any(axis=1)]
        if len(joints) == 0:
            return
        points, score = np.split(joints.astype(np.float64), [2], axis=1)
        low, high = np.quantile(points, (_LOW, _HIGH), axis=0)
        error = _check_corner(clip.name, low, high, clip.image_size) or _check_far(
            clip.name, low, high, clip.image_size
        )
        if error is not None:
            if self._own:
                raise error
            self._misplaced.append(error)
        size = np.array(clip.image_size[::-1])
        before, after = points < -_MARGIN * size, points > (1 + _MARGIN) * size
        before_swapped = points < -_MARGIN * size[::-1]
        after_swapped = points > (1 + _MARGIN) * size[::-1]
        kinds = (
            before.any(axis=1),
            after[:, 0],
            after[:, 1],
            (before | after).any(axis=1),
            (before_swapped | after_swapped).any(axis=1),
        )
        fractions = [float(score[kind].sum() / score.sum()) for kind in kinds]
        self._places.append(_Place(fractions, low, high, clip.image_size))

    def finish(self, source: str) -> None:
        """Look at all clips together.

        Warns where height and width may be swapped.

        Args:
            source: Name of the dataset in a warning.

        Raises:
            InputError: If many joints lie outside their images, or most clips at their corners or
                far outside.
        """
        if not self._places:
            return
        if 2 * len(self._misplaced) > len(self._places):
            raise self._misplaced[0]
        fractions = np.mean([place.fractions for place in self._places], axis=0).tolist()
        before, right, below, outside, swapped = fractions
        low = np.median([place.low for place in self._places], axis=0)
        high = np.median([place.high for place in self._places], axis=0)
        height, width = np.median([place.size for place in self._places], axis=0).tolist()
        where = (
            f"{outside:.0%} of the joints lie outside their images: x mostly from {low[0]:.4g} "
            f"to {high[0]:.4g}, y from {low[1]:.4g} to {high[1]:.4g}, with img_shape (image_sizes) "
            f"{_show((height, width))}"
        )
        if outside > _MAYBE_SWAPPED and swapped < outside / 4:
            if right > outside / 2 or below > _SWAPPED_BELOW:
                raise InputError(
                    f"{where}; height and width seem to be swapped: img_shape is (height, width)"
                )
            logger.warning("%s: %s; if height and width are swapped, correct them", source, where)
        if before > _MAX_BEFORE or right > _MAX_RIGHT or below > _MAX_BELOW:
            raise InputError(f"{where}; {_remedy(low, high, (height, width))}")


def _check_corner(
    name: str, low: NDArray[np.float64], high: NDArray[np.float64], size: tuple[float, float]
) -> InputError | None:
    """Say what is wrong with coordinates that are too small to be pixels, if they are."""
    reach = float(np.abs([low, high]).max())
    if reach > max(_CORNER_PIXELS, _CORNER_FRACTION * min(size)) or min(size) < 4 * reach:
        return None
    if low.min() >= -0.1 and reach <= 1.2:
        remedy = (
            "if these are fractions of the image, multiply x by its width and y by its height, or "
            "set img_shape to (1, 1)"
        )
    elif reach <= 1.2:
        remedy = f"{_CENTRED}, then multiply x by its width and y by its height"
    else:
        remedy = "give them in pixels, counted from the upper left corner of the image"
    return InputError(
        f"clip {name!r} has coordinates from {low.min():.3g} to {high.max():.3g}, all of which lie "
        f"at the corner of an image with img_shape (image_sizes) {_show(size)}; {remedy}"
    )


def _check_far(
    name: str, low: NDArray[np.float64], high: NDArray[np.float64], size: tuple[float, float]
) -> InputError | None:
    """Say what is wrong with coordinates that are too large for their image, if they are."""
    if (low <= _FAR * np.array(size[::-1])).all():
        return None
    return InputError(
        f"clip {name!r} has coordinates from {low.min():.4g} to {high.max():.4g}, nearly all of "
        f"which lie far outside an image with img_shape (image_sizes) {_show(size)}; "
        f"{_remedy(low, high, size)}"
    )


def _remedy(low: NDArray[np.float64], high: NDArray[np.float64], size: tuple[float, float]) -> str:
    """The remedy for coordinates that lie outside of their images."""
    side = max(size)
    in_pixels = side > 2
    if not in_pixels and high.max() > 2 * side:
        return (
            "if these are pixels, set img_shape to the (height, width) of the video in pixels, or "
            "divide x by its width and y by its height"
        )
    if not in_pixels:
        return _CENTRED
    if low.min() < -0.1 * side:
        return (
            "if (0, 0) is the centre of the image, add half of its width to x and half of its "
            "height to y"
        )
    return (
        "if these are pixels of a video of another size, set img_shape to the (height, width) of "
        "that video"
    )


def _show(size: tuple[float, float]) -> str:
    return f"({size[0]:g}, {size[1]:g})"
