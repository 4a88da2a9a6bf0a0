"""The options of ``evaluate --stream``, and its table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pyg_stgcn.cli._numbers import number
from pyg_stgcn.cli._output import echo, percent, print_table
from pyg_stgcn.cli._plain import option
from pyg_stgcn.ranges import FRAME_RATE, FRAMES, JOINED, PAUSE, SEED, UP_TO_ALL

_LIST = (
    option("--stream", is_flag=True, help="Evaluate streams of frames instead of clips."),
    option(
        "--window",
        type=number(FRAMES),
        help="Frames that an answer of a stream is about.  [default: those of the clips]",
    ),
    option(
        "--clips",
        type=number(JOINED),
        default=100,
        show_default=True,
        help="Clips that are joined to one recording.",
    ),
    option(
        "--pause",
        type=number(PAUSE),
        default=0,
        show_default=True,
        help="Frames between two joined clips.",
    ),
    option(
        "--seed",
        type=number(SEED),
        default=0,
        show_default=True,
        help="Seed of the order of joined clips.",
    ),
    option(
        "--segments",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Actions in the recordings of the data, such as UTKinect's actionLabel.txt.",
    ),
    option(
        "--fps",
        type=number(FRAME_RATE),
        default=30,
        show_default=True,
        help="Frames per second of a stream.",
    ),
    option(
        "--threshold",
        type=number(UP_TO_ALL),
        default=0.6,
        show_default=True,
        help="Probability at which an event of a stream begins.",
    ),
)
#: Names of the options that need --stream.
STREAM_OPTIONS = ("window", "clips", "pause", "seed", "segments", "fps", "threshold")
#: Those of joined clips, which untrimmed recordings do not have.
JOINING_OPTIONS = ("clips", "pause", "seed")


def stream_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of an evaluation on streams."""
    for decorator in reversed(_LIST):
        command = decorator(command)
    return command


def print_stream(result: dict[str, Any], title: str, figure: Path | None) -> None:
    """Print the result of an evaluation on streams."""
    frames, seconds = result["delay_frames"], result["delay_seconds"]
    print_table(
        ("", "value"),
        [
            ("frames right", percent(result["accuracy"])),
            ("right at that moment", percent(result["accuracy_live"])),
            ("F1 of segments at 10, 25, 50 %", _several(result, "f1", (10, 25, 50))),
            ("mean average precision", percent(result["map"])),
            ("at overlaps of 10, 30, 50, 70 %", _several(result, "map", (10, 30, 50, 70))),
            ("actions answered", percent(result["answered"])),
            ("median delay", "none" if frames is None else f"{frames:g} frames, {seconds:.2f} s"),
            ("false alarms per minute", f"{result['false_alarms_per_minute']:.2f}"),
            ("area of early recognition", percent(result["early_area"])),
            ("window, lag", f"{result['window']}, {result['lag_frames']} frames"),
            ("recordings, actions", f"{result['recordings']:,}, {result['actions']:,}"),
            ("minutes", f"{result['minutes']:.1f}"),
        ],
        title=title,
    )
    echo(
        f"table: {result['stream_csv']}\nfigure: {figure or result['stream_png']}\n"
        f"result: {result['stream_json']}"
    )


def _several(result: dict[str, Any], name: str, parts: tuple[int, ...]) -> str:
    return ", ".join(percent(result[f"{name}_{part}"]) for part in parts)
