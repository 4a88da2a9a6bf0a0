"""Options of the commands that read pose files."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from pyg_stgcn.cli._pose_options import fps_option, image_size_option


@click.command()
@image_size_option
@fps_option
def command(image_size: tuple[int, int] | None, fps: float | None) -> None:
    click.echo(repr((image_size, fps)))


def test_height_comes_first() -> None:
    result = CliRunner().invoke(command, ["--image-size", "1080x1920", "--fps", "29.97"])
    assert result.output == "((1080, 1920), 29.97)\n"


@pytest.mark.parametrize("size", ["1080", "0x640", "480x", "480x640x3", "-1x2", "4.5x6", ""])
def test_what_is_no_size(size: str) -> None:
    result = CliRunner().invoke(command, ["--image-size", size])
    assert result.exit_code == 2 and "1080x1920" in result.stderr


@pytest.mark.parametrize("fps", ["0", "nan", "inf", "-3"])
def test_what_is_no_rate(fps: str) -> None:
    assert CliRunner().invoke(command, ["--fps", fps]).exit_code == 2
