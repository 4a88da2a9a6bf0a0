"""Options of the commands that read pose files."""

from __future__ import annotations

import re
from typing import Any

import click

from pyg_stgcn.cli._checks import NameType
from pyg_stgcn.cli._numbers import number
from pyg_stgcn.cli._plain import option
from pyg_stgcn.ranges import FRAME_RATE, PERSONS


class ImageSize(click.ParamType):
    """Height and width of images in pixels, such as ``1080x1920``."""

    name = "image size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,6})[xX](\d{1,6})", value)
        if found is None or not (height := int(found[1])) or not (width := int(found[2])):
            self.fail(
                f"{value!r} is no height and width in pixels; write, for example, 1080x1920",
                param,
                ctx,
            )
        return height, width


skeleton_option = option(
    "--skeleton",
    type=NameType("skeleton"),
    metavar="NAME|FILE.json",
    help="Joints of the poses, where a file does not say.",
)
image_size_option = option(
    "--image-size",
    type=ImageSize(),
    metavar="HEIGHTxWIDTH",
    help="Size of the images in pixels, where a file does not say.",
)
fps_option = option(
    "--fps", type=number(FRAME_RATE), help="Frames per second, where a file does not say."
)
max_persons_option = option(
    "--max-persons",
    type=number(PERSONS),
    help="Persons kept of a recording, those seen best.  [default: 2]",
)
