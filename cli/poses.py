"""``pyg-stgcn poses``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyg_stgcn.cli._figure import FigureFile
from pyg_stgcn.cli._numbers import number
from pyg_stgcn.cli._output import echo, print_json, print_table
from pyg_stgcn.cli._plain import option
from pyg_stgcn.errors import InputError
from pyg_stgcn.plots.figure_files import OVERLAY_FORMATS
from pyg_stgcn.ranges import PERSONS
from pyg_stgcn.text import count

if TYPE_CHECKING:
    from pyg_stgcn.poses.estimators import PoseEstimator
    from pyg_stgcn.poses.recording import Frame


@click.command("poses")
@click.argument("videos", metavar="VIDEO|DIR...", nargs=-1, required=True)
@option(
    "--out",
    required=True,
    metavar="FILE.json|DIR",
    help="File of the poses; for several videos, a folder with a file for each.",
)
@option(
    "--estimator",
    default="movenet",
    show_default=True,
    metavar="NAME[:MODEL]",
    help="movenet, rtmlib, ultralytics or mediapipe; or MODULE:OBJECT of your own.",
)
@option(
    "--max-persons",
    type=number(PERSONS),
    help="Persons kept of a video, those seen most.  [default: all]",
)
@option(
    "--overlay",
    type=FigureFile(OVERLAY_FORMATS),
    metavar="FILE.mp4|gif",
    help="Draw the skeletons over the video; for one video.",
)
@option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    videos: tuple[str, ...],
    out: str,
    estimator: str,
    max_persons: int | None,
    overlay: Path | None,
    as_json: bool,
) -> None:
    """Find the persons in each VIDEO and write their joints, frame by frame.

    The file has the form of MMPose's results; 'predict' and 'datasets import' read it. Persons are
    numbered, the same in all frames. Of a DIR, all videos in it are read; poses that are there
    already are kept, so that the command can be repeated. Needs the extra "video".
    """
    from pyg_stgcn.plots.overlay import check_overlay
    from pyg_stgcn.poses.estimators import create_estimator
    from pyg_stgcn.poses.video_files import plan_pose_files

    planned = plan_pose_files(videos, out)
    if overlay is not None:
        if len(planned) > 1:
            raise click.BadParameter(
                f"{overlay} is one file for {len(planned)} videos; name one video",
                param_hint="--overlay",
            )
        check_overlay(overlay)
        if overlay.resolve() in {video.resolve() for video in planned}:
            raise click.BadParameter(
                f"{overlay} is the video itself; name another file", param_hint="--overlay"
            )
    # An overlay is drawn again, and the poses with it.
    may_keep = Path(out).suffix.lower() != ".json" and overlay is None
    kept = [path for path in planned.values() if may_keep and path.exists()]
    waiting = {video: path for video, path in planned.items() if path not in kept}
    if kept:
        kept_files = count(len(kept), "file")
        echo(f"{kept_files} kept that were there; delete them to begin again", err=True)
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    found = create_estimator(estimator) if waiting else None
    for video, path in waiting.items():
        try:
            rows.append(_write(video, path, found, max_persons, overlay))
        except InputError as error:
            if len(planned) == 1:
                raise
            failed.append(str(error))
            echo(f"skipped: {error}", err=True)
    _print(rows, as_json)
    if failed:
        raise click.ClickException(f"{len(failed)} of {count(len(planned), 'video')} were skipped")


def _write(
    video: Path,
    path: Path,
    estimator: PoseEstimator | None,
    max_persons: int | None,
    overlay: Path | None,
) -> dict[str, Any]:
    """Write the poses of a video; return a summary."""
    from pyg_stgcn.plots.overlay import save_overlay
    from pyg_stgcn.poses.open_video import open_video
    from pyg_stgcn.poses.poses_file import write_poses
    from pyg_stgcn.poses.tracking import track
    from pyg_stgcn.progress import with_progress

    recording = open_video(video, estimator)
    frames, summary = recording.frames, _Summary(video, path)

    def shown() -> Iterator[Frame]:
        return with_progress(frames(), f"{video.name}: poses", recording.num_frames)

    tracked = track(replace(recording, frames=shown), max_persons=max_persons)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_poses(replace(tracked, frames=lambda: summary.count(tracked.frames())), path)
    if overlay is not None:
        save_overlay(overlay, tracked, video=video)
    return summary.row()


class _Summary:
    """Counts the frames and persons of a video as they go by."""

    def __init__(self, video: Path, path: Path) -> None:
        self._names = {"video": str(video), "poses": str(path)}
        self._start = time.monotonic()
        self._frames = self._with_persons = 0
        self._persons: set[int] = set()

    def count(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            self._frames += 1
            self._with_persons += len(frame.joints) > 0
            self._persons.update([] if frame.tracks is None else frame.tracks.tolist())
            yield frame
        self._milliseconds = 1000 * (time.monotonic() - self._start) / max(1, self._frames)

    def row(self) -> dict[str, Any]:
        return {
            **self._names,
            "frames": self._frames,
            "frames_with_persons": self._with_persons,
            "persons": len(self._persons),
            "milliseconds_per_frame": round(self._milliseconds, 1),
        }


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json({"videos": rows})
    elif rows:
        print_table(
            ("video", "poses", "frames", "with persons", "persons", "ms a frame"),
            [tuple(row.values()) for row in rows],
            texts=2,
        )
