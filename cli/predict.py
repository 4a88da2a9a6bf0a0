"""``pyg-stgcn predict``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyg_stgcn.cli._answers import draw_answers, draw_overlay, print_answers
from pyg_stgcn.cli._checks import NameType
from pyg_stgcn.cli._figure import FigureFile, figure_option
from pyg_stgcn.cli._lists import Choice
from pyg_stgcn.cli._numbers import number
from pyg_stgcn.cli._output import echo, print_json
from pyg_stgcn.cli._plain import option
from pyg_stgcn.cli._pose_options import (
    fps_option,
    image_size_option,
    max_persons_option,
    skeleton_option,
)
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_place
from pyg_stgcn.names import BACKBONES
from pyg_stgcn.plots.figure_files import OVERLAY_FORMATS
from pyg_stgcn.ranges import PROCESSES, UP_TO_ALL, VIEWS, whole
from pyg_stgcn.runs.run_files import RunFiles
from pyg_stgcn.text import count
from pyg_stgcn.windows import Windows

if TYPE_CHECKING:
    from pyg_stgcn.recognition import Recognizer
    from pyg_stgcn.recognition.inputs import Answers

#: Views of a clip, as in an evaluation, and of a window.
_VIEWS, _VIEWS_OF_WINDOWS = 10, 1
#: Options that published weights may need.
_OF_INIT = ("model", "classes", "stream")
#: Most reasons that an error lists, and most inputs that it names for each.
_LISTED, _NAMED = 30, 3


class _WindowsType(click.ParamType):
    name = "windows"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Windows:
        try:
            return Windows.parse(value)
        except InputError as error:
            self.fail(str(error), param, ctx)


class _OutputFile(click.ParamType):
    """A file that can be written, checked before the command begins its work."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        try:
            check_place(path)
        except InputError as error:
            self.fail(str(error), param, ctx)
        return path


@click.command("predict")
@click.argument("words", nargs=-1, required=True, metavar="[MODEL] INPUT...")
@option(
    "--init",
    metavar="FILE|pyskl:NAME",
    help="Published weights in place of MODEL, which is then left out.",
)
@option("--model", type=Choice(BACKBONES), help="Backbone of the weights of --init.")
@option(
    "--classes",
    metavar="FILE|NAME",
    help="Classes of the weights of --init: a text file with a name in every line, or ntu60, "
    "ntu120, hagrid.  [default: known, or numbers]",
)
@option(
    "--stream",
    type=NameType("stream"),
    help="Stream of the weights of --init.  [default: known, or joint]",
)
@option(
    "--checkpoint",
    type=Choice(["best", "last"]),
    help="Checkpoint of a run, also of an unfinished one.  [default: the final weights]",
)
@option(
    "--top",
    type=number(whole(1, 1000)),
    default=3,
    show_default=True,
    help="Number of the most probable classes to show.",
)
@option("--per-person", is_flag=True, help="Answer for each person, as if alone.")
@option(
    "--windows",
    type=_WindowsType(),
    metavar="LENGTH/STRIDE",
    help="Answer for each window of a recording: 2s/0.5s, or 60/15 in frames.",
)
@option(
    "--min-confidence",
    type=number(UP_TO_ALL),
    default=0,
    help="Probability below which the answer is 'unknown'.",
)
@option(
    "--views",
    type=number(VIEWS),
    help="Views of each clip; their probabilities are averaged.  [default: 10, as in 'evaluate'; "
    "1 with --windows]",
)
@max_persons_option
@skeleton_option
@image_size_option
@fps_option
@option("--root", metavar="DIR", help="Folder of the datasets.  [default: data]")
@option("--source", metavar="FILE|DIR", help="Local copy of a dataset's archive or raw files.")
@option("--threads", type=number(PROCESSES), help="Threads of the model.  [default: as needed]")
@option("--csv", type=_OutputFile(), metavar="FILE", help="Write the answers to a CSV table.")
@option(
    "--out",
    type=FigureFile(OVERLAY_FORMATS),
    metavar="FILE.mp4|.gif",
    help="Draw skeletons and answers over the frames of a video, or alone.",
)
@figure_option("the probabilities, over time with --windows,")
@option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(words: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Recognise the actions in pose files, videos and datasets.

    MODEL is a run, or a file or folder of 'pyg-stgcn export'.

    INPUT is a file of a pose estimator, a folder of such files, a video (with the extra 'video'),
    a dataset (NAME or FILE.pkl), or one clip of it (NAME:CLIP, FILE.pkl:CLIP).

    Joints are brought into the layout of the model by their names. Persons are tracked; two of them
    are kept, those seen best. Clips of a dataset keep all their persons, so that probabilities
    equal those of 'evaluate'.

    Inputs that cannot be read are listed at the end, and the exit code is 1; the others are
    answered. Files are written when all inputs have been read.
    """
    model, inputs = _divide(words, options)
    _check_files(model, inputs, options)
    recognizer = _open_model(model, options)
    found, rows, total = _predict(recognizer, inputs, options)
    if rows:
        _write(found, rows, recognizer.classes, options)
        name = model or options["init"]
        title = f"{name}: {count(len(rows), 'answer')}, {count(_views(options), 'view')}"
        _print(found, rows, title, as_json, options)
    _report_failed(found, total)


def _views(options: dict[str, Any]) -> int:
    usual = _VIEWS if options["windows"] is None else _VIEWS_OF_WINDOWS
    views: int = options["views"] or usual
    return views


def _divide(words: tuple[str, ...], options: dict[str, Any]) -> tuple[Path | None, tuple[str, ...]]:
    """The model, unless there are published weights, and the inputs."""
    if options["init"] is not None:
        if options["checkpoint"] is not None:
            raise click.UsageError("--checkpoint is for runs; leave it out with --init")
        if RunFiles(Path(words[0])).config_file.exists():
            raise click.UsageError(f"{words[0]} is a run; with --init, leave MODEL out")
        return None, words
    for name in _OF_INIT:
        if options[name] is not None:
            raise click.UsageError(f"--{name} is for --init; a MODEL has its own")
    if len(words) == 1:
        raise click.UsageError(
            f"give a MODEL and an INPUT; there is only {words[0]!r}. Published weights in place of "
            "MODEL need --init"
        )
    return Path(words[0]), words[1:]


def _check_files(model: Path | None, inputs: tuple[str, ...], options: dict[str, Any]) -> None:
    """Check the inputs and the names of the outputs before the model is opened."""
    from pyg_stgcn.recognition.inputs import check_inputs

    given = (model, options["init"], options["classes"])
    _check_outputs([*check_inputs(inputs), *(Path(path) for path in given if path)], options)
    if options["out"] is not None:
        from pyg_stgcn.plots.overlay import check_overlay

        check_overlay(options["out"])


def _check_outputs(read: Iterable[Path], options: dict[str, Any]) -> None:
    """Check that no output replaces a file that is read, or another output."""
    used = {path.resolve(): "is an input or the model" for path in read}
    for name in ("csv", "figure", "out"):
        if (path := options[name]) is None:
            continue
        if (use := used.get(path.resolve())) is not None:
            raise click.UsageError(f"--{name} {path} {use}; name another file")
        used[path.resolve()] = f"is the file of --{name}"


def _open_model(model: Path | None, options: dict[str, Any]) -> Recognizer:
    if model is None:
        from pyg_stgcn.recognition import published_recognizer

        given = {name: options[name] for name in _OF_INIT if options[name] is not None}
        return published_recognizer(options["init"], threads=options["threads"], **given)
    from pyg_stgcn.evaluation.run_recognizer import open_recognizer

    return open_recognizer(model, checkpoint=options["checkpoint"], threads=options["threads"])


def _predict(
    recognizer: Recognizer, inputs: tuple[str, ...], options: dict[str, Any]
) -> tuple[Answers, list[dict[str, Any]], int]:
    """The answers, their rows, and the number of inputs; draws the overlay, which reads the
    recording again.
    """
    from pyg_stgcn.recognition.answer_rows import answer_row
    from pyg_stgcn.recognition.inputs import InputReader, answer_sources
    from pyg_stgcn.recognition.pose_files import PoseOptions

    out: Path | None = options["out"]
    names = ("skeleton", "image_size", "fps", "max_persons", "windows")
    reading = PoseOptions(**{name: options[name] for name in names})
    reader = InputReader(recognizer.about, reading, options["root"], options["source"])
    sources, recording = reader.find(inputs), None
    _check_outputs((source.path for source in sources if source.path is not None), options)
    if out is not None:
        recording, source = reader.open_one(sources)
        sources = [source]
    found = answer_sources(
        recognizer, sources, num_views=_views(options), per_person=options["per_person"]
    )
    shown = {name: options[name] for name in ("top", "min_confidence")}
    rows = [answer_row(answer, recognizer.classes, **shown) for answer in found.answers]
    if out is not None and recording is not None and rows:
        draw_overlay(out, recording, rows)
    return found, rows, len(sources)


def _write(
    found: Answers, rows: list[dict[str, Any]], classes: list[str], options: dict[str, Any]
) -> None:
    """Write the figure and the table."""
    from pyg_stgcn.recognition.answer_rows import table_columns, table_rows
    from pyg_stgcn.tables import write_csv

    if (figure := options["figure"]) is not None:
        windows = options["windows"] is not None
        draw_answers(figure, found.answers, rows, classes, windows=windows)
    if (table := options["csv"]) is not None:
        write_csv(table, table_columns(min(options["top"], len(classes))), table_rows(rows))


def _print(
    found: Answers,
    rows: list[dict[str, Any]],
    title: str,
    as_json: bool,
    options: dict[str, Any],
) -> None:
    files = {name: str(options[name]) for name in ("csv", "figure", "out") if options[name]}
    if as_json:
        print_json({"answers": rows, "failed": found.failed, **files})
        return
    print_answers(
        rows,
        per_person=options["per_person"],
        windows=options["windows"] is not None,
        title=title,
    )
    for name, path in files.items():
        echo(f"{name}: {path}")


def _report_failed(found: Answers, total: int) -> None:
    """End with an error if inputs could not be read; those with the same reason share a line."""
    if not found.failed:
        return
    names_of: dict[str, list[str]] = {}
    for name, reason in found.failed.items():
        names_of.setdefault(reason, []).append(name)
    lines = [f"{_listed(names)}: {reason}" for reason, names in names_of.items()]
    if total == 1:
        raise InputError(lines[0])
    if len(lines) > _LISTED:
        lines = [*lines[:_LISTED], f"and {len(lines) - _LISTED:,} more reasons, see --json"]
    failed = f"{len(found.failed):,} of {count(total, 'input')}"
    raise InputError("\n  ".join([f"{failed} could not be read:", *lines]))


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
