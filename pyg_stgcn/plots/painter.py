"""Skeletons and labels, drawn into the frames of a recording."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pyg_stgcn.plots.style import COLORS
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.text import printable, shorten

MIN_SCORE = 0.1
"""Joints of a lower score are guesses, and are not drawn."""

#: Black would not be seen on dark clothes.
_PERSON_COLORS = COLORS[:6]
_OUTLINE, _TEXT = "#000000", "#ffffff"
#: Fractions of the longer side of the image.
_BONE, _FONT = 1 / 240, 1 / 40
_LONGEST = 200
#: A font that comes with matplotlib.
_FAMILY = "DejaVu Sans"

Box = tuple[float, float, float, float]


class Painter:
    """Draws the persons of a frame, and texts in outlined letters.

    Args:
        skeleton: The joints.
        size: Height and width of the images in pixels.
    """

    def __init__(self, skeleton: Skeleton, size: tuple[int, int]) -> None:
        self.skeleton = skeleton
        self.height, self.width = size
        self._line = max(2, round(max(size) * _BONE))
        self._font = _load_font(max(11, round(max(size) * _FONT)))
        self._stroke = max(1, round(self._font.size / 9))

    def draw(
        self,
        image: Image.Image,
        points: NDArray[np.float64],
        tracks: NDArray[np.int64] | None,
        labels: Mapping[int | None, str],
    ) -> None:
        """Draw persons, their labels, and the label of the whole frame at the top.

        Args:
            image: Is drawn into.
            points: Joints in pixels of the image ``[M, V, 2]``; NaN where they are missing.
            tracks: Numbers of the persons ``[M]``, which choose their colours.
            labels: Texts by number of the person; None stands for the whole frame.
        """
        canvas = ImageDraw.Draw(image)
        numbers = [0] * len(points) if tracks is None else tracks.tolist()
        for person, number in zip(points, numbers, strict=True):
            self._draw_body(canvas, person, _PERSON_COLORS[number % len(_PERSON_COLORS)])
        taken: list[Box] = []
        if None in labels:
            taken.append(self._write(canvas, labels[None], (self.width / 2, 0), _TEXT, []))
        for person, number in zip(points, numbers, strict=True):
            if tracks is not None and number in labels and np.isfinite(person).any():
                top = np.nanmean(person[:, 0]), np.nanmin(person[:, 1]) - 2 * self._font.size
                color = _PERSON_COLORS[number % len(_PERSON_COLORS)]
                taken.append(self._write(canvas, labels[number], top, color, taken))

    def _draw_body(
        self, canvas: ImageDraw.ImageDraw, joints: NDArray[np.float64], color: str
    ) -> None:
        seen = np.isfinite(joints[:, 0])
        # All outlines first, else those of one bone would cross the others.
        for width, fill in ((self._line + 2, _OUTLINE), (self._line, color)):
            for bone in self.skeleton.bones:
                if seen[list(bone)].all():
                    canvas.line([tuple(joints[joint]) for joint in bone], fill, width)
        for x, y in joints[seen]:
            box = x - self._line, y - self._line, x + self._line, y + self._line
            canvas.ellipse(box, _TEXT, color, max(1, self._line // 2))

    def _write(
        self,
        canvas: ImageDraw.ImageDraw,
        text: str,
        top: tuple[float, float],
        color: str,
        taken: list[Box],
    ) -> Box:
        """Write a text below the middle of its top, within the image; return its box."""
        text = self._fit(canvas, text)
        left, above, right, below = self._measure(canvas, text)
        width, height = right - left, below - above
        x = min(max(top[0] - width / 2, 0), self.width - width)
        y = min(max(top[1], 0), self.height - height)
        # Above the texts of others that are already there.
        for other in sorted(taken, key=lambda box: -box[3]):
            if x < other[2] and other[0] < x + width and y < other[3] and other[1] < y + height:
                y = max(0, other[1] - height)
        canvas.text(
            (x - left, y - above),
            text,
            fill=color if color == _TEXT else _lighten(color),
            font=self._font,
            stroke_width=self._stroke,
            stroke_fill=_OUTLINE,
        )
        return x, y, x + width, y + height

    def _fit(self, canvas: ImageDraw.ImageDraw, text: str) -> str:
        # File names may hold lone surrogates, which cannot be drawn.
        text = printable(text.encode(errors="replace").decode())
        most = min(len(text), _LONGEST)
        while most > 3:
            left, _, right, _ = self._measure(canvas, shorten(text, most))
            if right - left <= self.width:
                break
            most = min(most - 1, int(most * self.width / (right - left)))
        return shorten(text, max(most, 3))

    def _measure(self, canvas: ImageDraw.ImageDraw, text: str) -> Box:
        return canvas.textbbox((0, 0), text, self._font, stroke_width=self._stroke)


def _lighten(color: str) -> str:
    """Half way from a colour to white: letters are thin."""
    channels = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{(channel + 255) // 2:02x}" for channel in channels)


def missing_glyphs(text: str) -> set[str]:
    """The characters of a text that are drawn as boxes, because the font does not have them."""
    known = FT2Font(findfont(_FAMILY)).get_charmap()
    return {char for char in text if char.isprintable() and ord(char) not in known}


@cache
def _load_font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont(_FAMILY), size)
