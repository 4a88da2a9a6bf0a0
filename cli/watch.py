"""``pyg-stgcn watch``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyg_stgcn.cli._lists import Choice
from pyg_stgcn.cli._live_table import LiveTable, print_event
from pyg_stgcn.cli._messages import given_flags
from pyg_stgcn.cli._numbers import number
from pyg_stgcn.cli._plain import option
from pyg_stgcn.cli._pose_options import fps_option, image_size_option, skeleton_option
from pyg_stgcn.cli._streams import end_unread, output_is_unread
from pyg_stgcn.progress import live_view, tell
from pyg_stgcn.ranges import FRAMES, PERSONS, UP_TO_ALL
from pyg_stgcn.signals import Stopped, delayed
from pyg_stgcn.text import count

if TYPE_CHECKING:
    from pyg_stgcn.engine import Engine
    from pyg_stgcn.poses.recording import Recording
    from pyg_stgcn.recognition import EventRules, Stream

#: Poses on standard input.
_INPUT = "-"
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
#: Bytes of standard input that are read at once, at most.
_PIECE = 1 << 16


@click.command("watch")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("others", nargs=-1, metavar="")
@option(
    "--source",
    default=_INPUT,
    show_default=True,
    metavar="camera[:NAME]|FILE|-",
    help="A camera, a video, a pose file, or lines of JSON on standard input.",
)
@option(
    "--checkpoint",
    type=Choice(["best", "last"]),
    help="Checkpoint of a run, also of an unfinished one.  [default: the final weights]",
)
@option(
    "--threshold",
    type=number(UP_TO_ALL),
    default=0.6,
    show_default=True,
    help="Probability at which an event begins; below it the answer is 'unknown'.",
)
@option(
    "--end-threshold",
    type=number(UP_TO_ALL),
    help="Probability below which an event ends.  [default: two thirds of --threshold]",
)
@option(
    "--hold",
    default="15",
    show_default=True,
    metavar="N|Xs",
    help="How long the probability stays so before an event begins or ends: 15 frames, or 0.5s.",
)
@option(
    "--background",
    multiple=True,
    metavar="CLASS",
    help="A class that is no event, such as 'nothing'; may be given several times.",
)
@option("--together", is_flag=True, help="One answer to all persons, not one to each.")
@option(
    "--window",
    type=number(FRAMES),
    help="Frames that an answer is about.  [default: those of a clip of the training]",
)
@option(
    "--every",
    type=number(FRAMES),
    default=1,
    show_default=True,
    help="Take every N-th frame only, for a source that is faster than the training.",
)
@option(
    "--max-persons",
    type=number(PERSONS),
    default=16,
    show_default=True,
    help="Persons who are followed at once.",
)
@option(
    "--drop",
    is_flag=True,
    help="Drop lines of standard input that come too fast; else their writer waits.",
)
@option(
    "--estimator",
    default="movenet",
    show_default=True,
    metavar="NAME[:MODEL]",
    help="Pose estimator of videos and cameras, see 'poses --help'.",
)
@skeleton_option
@image_size_option
@fps_option
def command(model: Path, others: tuple[str, ...], source: str, **options: Any) -> None:
    """Recognise actions while they happen.

    MODEL is a run, or a file or folder of 'pyg-stgcn export'. It runs in the engine, frame by
    frame, for each person on their own.

    Events go to standard output, a line of JSON when one begins and one when it has ended. In a
    terminal, standard error shows a table of the present answers.

    The lines on standard input are frames:

    \b
      {"persons": [{"joints": [[x, y, score], ...]}]}
      {"frame": 12, "time": 0.4, "persons": [{"track": 3, "joints": [...]}]}

    or frames of a file of 'pyg-stgcn poses'. A camera ('camera', 'camera:/dev/video1',
    'camera:rtsp://...') drops images that it has no time for; files are read frame by frame.

    The command ends with its source or by Ctrl-C; events that go on are ended. A camera and videos
    need the extra "video".
    """
    from pyg_stgcn.evaluation import open_engine
    from pyg_stgcn.recognition import EventRules

    _check_input(source, others)
    _check_unused(source)
    names = ("threshold", "end_threshold", "hold", "background")
    rules = EventRules(**{name: options[name] for name in names})
    engine = open_engine(model, checkpoint=options["checkpoint"])
    rules.is_background(engine.classes)  # A mistake in a name is told before the source is opened.
    _tell_model(model, engine, options)
    with contextlib.suppress(Stopped), delayed(*_SIGNALS) as received:
        recording = _open(source, engine, options, lambda: bool(received) or output_is_unread())
        if recording is not None:
            _watch(_stream(engine, rules, recording, options), recording)
    if output_is_unread():
        end_unread()


def _check_input(source: str, others: tuple[str, ...]) -> None:
    if others:
        raise click.UsageError(f"{others[0]!r} is no option; name poses as --source {others[0]}")
    if source == _INPUT and sys.stdin.isatty():
        raise click.UsageError(
            "standard input is a terminal; pipe poses into the command, or name --source camera or "
            "--source FILE"
        )


def _check_unused(source: str) -> None:
    """Refuse options that the source has no use for."""
    from pyg_stgcn.recognition.live_poses import is_camera

    if source == _INPUT:
        unused = {"estimator": "lines of poses need no estimator"}
    elif is_camera(source):
        known = "a camera tells it by itself"
        unused = {"drop": "a camera drops images anyway", "skeleton": "the estimator tells it"}
        unused |= {"image_size": known, "fps": known}
    else:
        unused = {} if Path(source).is_fifo() else {"drop": "of a file nothing is dropped"}
    context = click.get_current_context()
    for name, reason in unused.items():
        for flag in given_flags(context, (name,)):
            raise click.UsageError(f"{flag}: {reason}; leave the option out")


def _tell_model(model: Path, engine: Engine, options: dict[str, Any]) -> None:
    window = options["window"] or engine.clip_frames
    how = (
        f"the last {count(window, 'frame')}"
        if engine.is_continual
        else f"a window of {count(window, 'frame')}, computed as a clip every 4 frames, because "
        "the graphs of this model depend on the whole clip"
    )
    tell(f"{model}: {count(len(engine.classes), 'class')}; an answer is about {how}")


def _open(
    source: str, engine: Engine, options: dict[str, Any], should_stop: Callable[[], bool]
) -> Recording | None:
    """The poses; None if there is nobody, or the command was stopped before the first ones came."""
    from pyg_stgcn.errors import InputError
    from pyg_stgcn.poses.person_arrays import NoPersonsError
    from pyg_stgcn.recognition.live_poses import LiveOptions, open_live_lines, open_live_poses
    from pyg_stgcn.recognition.pose_files import PoseOptions

    hints = PoseOptions(**{name: options[name] for name in ("skeleton", "image_size", "fps")})
    live = LiveOptions(hints, options["estimator"], options["drop"], should_stop)
    try:
        if source == _INPUT:
            return open_live_lines(_input_pieces(), engine.about, live)
        return open_live_poses(source, engine.about, live)
    except InputError as error:
        if isinstance(error, NoPersonsError):
            tell(f"{error}: 0 events")
        elif not should_stop():
            raise
        return None


def _input_pieces() -> Iterator[bytes]:
    stream = sys.stdin.buffer
    # The thread that waits in a buffered stream would keep its lock when the process ends.
    raw = getattr(stream, "raw", stream)
    return iter(lambda: raw.read(_PIECE), b"")


def _stream(
    engine: Engine, rules: EventRules, recording: Recording, options: dict[str, Any]
) -> Stream:
    from pyg_stgcn.recognition import Stream

    return Stream(
        engine,
        rules=rules,
        **{name: options[name] for name in ("together", "window", "every", "max_persons")},
        image_size=recording.image_size if recording.num_channels == 2 else None,
        fps=recording.fps,
        step=recording.step,
    )


def _watch(stream: Stream, recording: Recording) -> None:
    """Print the events until the frames end."""
    if stream.delay:
        late = count(stream.delay, "frame")
        tell(f"{recording.name}: answers are {late} late, because the model looks ahead")
    with live_view() as view:
        table = LiveTable(stream, view, recording.name)
        for event in stream.events(table.follow(recording.frames())):
            table.events += event.is_open
            print_event(event)
    tell(f"{recording.name}: {table.summary()}")
