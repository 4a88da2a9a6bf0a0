"""The meaning of raw numbers: which are coordinates, which are scores, and in which unit.

Arrays and tables come without a description. What they hold follows from the numbers themselves:

- x and y beyond :data:`MAX_UNITS` are pixels.
- x and y from 0 to 1 are fractions of the width and height of the image, whose size must be known.
- x and y around 0 are relative to the image's centre or to the body. As one cannot tell how large
  the image was, they count as pixels of an image of two by two pixels around the origin, and so
  reach a network unchanged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError, warn_once
from pyg_stgcn.poses.person_arrays import NoPersonsError
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.skeletons import Skeleton, get_skeleton
from pyg_stgcn.skeletons.trunk import positions_at_origin, trunk_joints

logger = logging.getLogger(__name__)

#: Fractions and centred coordinates stay below this, but for few joints; pixels do not.
MAX_UNITS = 2.0
#: Fraction of the joints that may lie outside the image on one side.
_MAX_OUTSIDE = 0.1
#: Scores go up to this, a little above 1 in some files.
MAX_SCORE = 1.5
#: Landmarks of MediaPipe: their z is relative to the hips or the wrist, in fractions of the width.
RELATIVE_DEPTH = ("blazepose33", "hand21")
#: Layouts whose joints are always 3-D.
SPATIAL = ("ntu25", "kinect20", "kinect20-sdk", "sbu15")
#: Layouts by number of joints, for 2-D and 3-D.
LAYOUTS = {
    2: {
        17: "coco17",
        18: "openpose18",
        21: "hand21",
        25: "openpose25",
        26: "halpe26",
        33: "blazepose33",
    },
    3: {21: "hand21", 25: "ntu25", 33: "blazepose33"},
}


@dataclass(frozen=True)
class Meaning:
    """How raw numbers become joints.

    Args:
        axes: Number of coordinates of a joint, 2 or 3; they are the first channels.
        score: Channel of the score; None without scores.
        offset: Added to x and y.
        scale: Factors of x and y, after the offset.
        image_size: Height and width in the unit of the result; None in 3-D, or if unknown.
        root: Joint that is present at the origin, because the others are relative to it.
    """

    axes: int
    score: int | None
    offset: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    image_size: tuple[float, float] | None = None
    root: int | None = None

    def recording(
        self,
        name: str,
        path: Path,
        skeleton: Skeleton,
        frames: Callable[[], Iterator[Frame]],
        *,
        fps: float | None,
        num_frames: int,
        step: int = 1,
    ) -> Recording:
        """A recording of joints that :meth:`convert` makes; arguments as of :class:`Recording`."""
        return Recording(
            name,
            path,
            skeleton,
            frames,
            num_channels=self.axes,
            has_score=self.score is not None,
            image_size=self.image_size,
            fps=fps,
            num_frames=num_frames,
            step=step,
        )

    def convert(
        self, values: NDArray[Any], skeleton: Skeleton, where: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        """Joints and scores of the persons of a frame who are seen.

        A joint is missing if all its coordinates are NaN or 0, or if its score is not above 0.

        Args:
            values: Raw numbers.
            skeleton: The joints, for errors.
            where: Name of the file and frame in errors.

        Shapes:
            - **values:** :math:`(M', V, K)`
            - **output:** joints :math:`(M, V, C)`, scores :math:`(M, V)`, and which persons of
              the input these are :math:`(M')`

        Raises:
            InputError: A joint has a coordinate without the others, an infinite one, or no score.
        """
        raw = values[..., : self.axes]
        absent = np.isnan(raw).all(axis=-1)
        present = ~absent & (raw != 0).any(axis=-1)
        if self.root is not None:
            present[:, self.root] |= ~absent[:, self.root] & present.any(axis=1)
        score = np.ones(present.shape) if self.score is None else values[..., self.score]
        joints = np.array(raw, np.float64)
        joints[..., :2] = (joints[..., :2] + self.offset) * self.scale
        with np.errstate(over="ignore"):  # What is too large for 32 bits becomes infinite.
            joints, score = joints.astype(np.float32), score.astype(np.float32)
        wrong = present & ~(np.isfinite(joints).all(axis=-1) & np.isfinite(score))
        if wrong.any():
            person, joint = (int(number) for number in np.argwhere(wrong)[0])
            raise InputError(
                f"{where}: {skeleton.joints[joint]} of person {person} is "
                f"{_shown(values[person, joint])}; write a number for all of its values, or NaN "
                "for all of them if the joint is missing"
            )
        present &= np.nan_to_num(score) > 0
        seen = present.any(axis=1)
        present = present[seen]
        return (
            np.where(present[..., None], joints[seen], np.float32(0)),
            np.where(present, score[seen], np.float32(0)),
            seen,
        )


def as_numbers(values: Any) -> NDArray[np.float64]:
    """Numbers, or nested lists of them, as an array; empty if they are anything else."""
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        return np.empty(0)


def find_meaning(
    sample: NDArray[Any],
    given: Skeleton | None,
    image_size: tuple[float, float] | None,
    where: str,
    *,
    axes: int | None = None,
    score: int | None = None,
    half_centred: bool = False,
) -> tuple[Meaning, Skeleton]:
    """Tell what the channels of a recording are, in which unit, and which layout the joints have.

    Args:
        sample: Some persons of the recording, as :math:`(M, V, K)`.
        given: The layout, if the user or the file names it.
        image_size: Height and width of the images in pixels, if known.
        where: Name of the file in errors.
        axes: Number of coordinates, if known; it decides whether :obj:`score` is given.
        score: Channel of the score, if there is one.
        half_centred: Whether centred coordinates are fractions of the image less a half, as in the
            first programs of ST-GCN.

    Raises:
        NoPersonsError: The sample has no joint.
        InputError: It is 2-D in fractions of an unknown image size, or the
            layout or the third channel cannot be told.
    """
    known = sample[np.isfinite(sample).all(axis=-1) & (sample[..., :2] != 0).any(axis=-1)]
    if np.isinf(sample).any():
        raise InputError(
            f"{where}: has infinite numbers; write NaN or 0 for joints that are missing"
        )
    if len(known) == 0:
        raise NoPersonsError(
            f"{where}: has no joint that is not zero; check that it is the right file"
        )
    known = known.astype(np.float64)
    unit = _find_unit(known[:, :2])
    has_negative = _has_negative(known[:, :2])
    if axes is None:
        name = _likely_layout(sample.shape[1]) if given is None else given.name
        axes, score = _find_channels(known, name, unit == "pixels" or image_size is not None, where)
    skeleton = guess_layout(sample.shape[1], axes, where, given)
    if score is not None and not (known[:, score] > 0).any():
        logger.warning(
            "%s: all scores are 0, as if they had never been filled; they are ignored", where
        )
        score = None
    if axes == 3 and (skeleton.name not in RELATIVE_DEPTH or has_negative):
        return Meaning(3, score, root=_find_root(sample[..., :3], skeleton)), skeleton
    if unit != "centred":
        return _meaning_in_image(known[:, :2], unit, score, image_size, where), skeleton
    root = None if half_centred else _find_root(sample[..., :2], skeleton)
    return _meaning_around_origin(score, image_size, half_centred, root), skeleton


def _meaning_around_origin(
    score: int | None, image_size: tuple[float, float] | None, half_centred: bool, root: int | None
) -> Meaning:
    """The meaning of coordinates around the centre of the image, or around the root."""
    offset = 0.5 if half_centred else 1.0
    height, width = image_size or (2 * offset, 2 * offset)
    scale = (width / (2 * offset), height / (2 * offset))
    if not half_centred:
        warn_once(
            logger,
            "2-D coordinates around 0 are taken to be relative to the centre of the image, from -1 "
            "to 1, or to the body; if they are not, give them in pixels",
        )
    return Meaning(2, score, offset, scale, (height, width), root)


def _meaning_in_image(
    points: NDArray[np.float64],
    unit: str,
    score: int | None,
    image_size: tuple[float, float] | None,
    where: str,
) -> Meaning:
    """The meaning of pixels, or of fractions of the image."""
    if unit == "pixels":
        return Meaning(2, score, image_size=image_size)
    if image_size is None:
        raise InputError(
            f"{where}: x and y are fractions of the image, from {points.min():.3g} to "
            f"{points.max():.3g}, and the file does not contain its size; give image_size, the "
            "height and width of the video in pixels"
        )
    return Meaning(2, score, 0.0, image_size[::-1], image_size)


def has_joints(values: NDArray[Any]) -> bool:
    """Whether any joint of raw numbers ``[*, K]`` is not missing."""
    return bool((np.isfinite(values).all(axis=-1) & (values[..., :2] != 0).any(axis=-1)).any())


def guess_layout(num_joints: int, axes: int, where: str, given: Skeleton | None) -> Skeleton:
    """The layout of joints without names.

    Args:
        num_joints: Number of joints.
        axes: Number of coordinates, 2 or 3.
        where: Name of the file in errors.
        given: The layout that the user names.

    Raises:
        InputError: The layout does not have that many joints, or none is known that does.
    """
    if given is not None:
        if given.num_joints == num_joints:
            return given
        raise InputError(
            f"{where}: has {num_joints} joints a person, skeleton {given.name!r} has "
            f"{given.num_joints}; name the layout that the pose estimator wrote"
        )
    name = LAYOUTS[axes].get(num_joints)
    if name is None:
        raise InputError(
            f"{where}: has {num_joints} joints in {axes}-D, whose layout cannot be told from their "
            "number; give it, such as skeleton='coco17', or the JSON file that describes it"
        )
    return get_skeleton(name)


def _likely_layout(num_joints: int) -> str:
    """Name of the layout, empty if 2-D and 3-D layouts have that many joints: OpenPose and NTU."""
    name = LAYOUTS[2].get(num_joints, "")
    return name if LAYOUTS[3].get(num_joints, name) == name else ""


def _find_channels(
    known: NDArray[np.float64], layout: str, planar: bool, where: str
) -> tuple[int, int | None]:
    """Number of coordinates and channel of the score of an array.

    Args:
        known: Joints, as :math:`(*, K)`.
        layout: Name of the likely layout.
        planar: Whether x and y are known to lie in an image.
        where: Name of the file in errors.
    """
    channels = known.shape[1]
    if channels != 3:
        return (2, None) if channels == 2 else (3, 3)
    third = known[:, 2]
    if ((third < 0) | (third > MAX_SCORE)).mean() > _MAX_OUTSIDE or layout in SPATIAL:
        return 3, None
    if not planar and layout not in LAYOUTS[2].values():
        raise InputError(
            f"{where}: the third channel goes from {third.min():.3g} to {third.max():.3g}, which "
            "may be a score or a depth; give image_size (height and width in pixels) if it is a "
            "score, or add a fourth channel with ones, as scores, if it is a depth"
        )
    return 2, 2


def _find_unit(points: NDArray[np.float64]) -> str:
    if (np.abs(points) > MAX_UNITS).any(axis=1).mean() > _MAX_OUTSIDE:
        return "pixels"
    return "centred" if _has_negative(points) else "fractions"


def _has_negative(points: NDArray[np.float64]) -> bool:
    """Whether a side of the body lies at negative x, or its upper half at negative y."""
    return bool((points < 0).mean(axis=0).max() > _MAX_OUTSIDE)


def _find_root(sample: NDArray[Any], skeleton: Skeleton) -> int | None:
    """The joint of the trunk that is at the origin whenever its person is seen."""
    x = np.nan_to_num(sample.astype(np.float32)).transpose(1, 0, 2)
    seen = x.any(axis=(0, 2))
    at_origin = np.all(positions_at_origin(x, skeleton)[:, seen], axis=1)
    return next((joint for joint in trunk_joints(skeleton) if at_origin[joint]), None)


def _shown(values: NDArray[Any]) -> str:
    return f"({', '.join(f'{value:g}' for value in values)})"
