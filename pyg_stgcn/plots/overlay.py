"""Overlays: skeletons and labels over the frames of a video, or on a plain background."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import write_atomically
from pyg_stgcn.plots.figure_files import ANIMATION, OVERLAY_FORMATS, VIDEO, check_figure
from pyg_stgcn.plots.painter import Painter, missing_glyphs
from pyg_stgcn.plots.projection import Projection, project_extent, project_image
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.poses.video_file import Video, import_av, open_video_file, write_video
from pyg_stgcn.text import count

logger = logging.getLogger(__name__)

Label: TypeAlias = tuple[int, int, "int | None", str]
"""First and last frame, number of the person or None for the whole frame, and the text."""

#: Least and greatest length of the longer side in pixels.
_SIDES = {VIDEO: (640, 1280), ANIMATION: (320, 480)}
#: Frames per second of recordings that do not say.
_FPS = 30.0
#: Most frames of an animation, which are all in memory, and frames per second.
_GIF_FRAMES, _GIF_FPS = 300, 12.5
#: Longest time of a frame of an animation in milliseconds.
_GIF_LONGEST = 655_350
#: Most empty frames in a row where nothing was recorded.
_MAX_GAP = 300
_BACKGROUND = "#2b2b2b"
#: Ratios of the sides that differ by less are the same: sizes are rounded.
_SAME_SHAPE = 0.02


def check_overlay(path: Path) -> None:
    """Check that an overlay can be written into a file.

    Raises:
        InputError: The name does not end in ``.mp4`` or ``.gif``, its folder does not exist, or
            PyAV is missing, which ``.mp4`` needs.
    """
    check_figure(path, OVERLAY_FORMATS)
    if path.suffix.lower() == VIDEO:
        import_av()


def save_overlay(
    path: Path,
    recording: Recording,
    labels: Sequence[Label] = (),
    video: Path | None = None,
) -> None:
    """Draw the persons of a recording and their labels, as a video or an animation.

    Each person has a colour. Joints with a score below 0.1 are left out. Of several labels of a
    person at one time, as overlapping windows have them, the one whose middle is nearest is shown.
    Frames are drawn and written one by one. An animation shows up to 12.5 frames per second, and no
    more than 300 in all, evenly spaced; a video shows all.

    Args:
        path: The file, ``.mp4`` or ``.gif``. It appears when it is complete.
        recording: The recording. Persons without tracks all have the same colour.
        labels: Texts, each with the first and last frame in which it is shown, and the number of
            the person, or None for the whole frame.
        video: The video that is drawn over. Frames are matched by number, the first is 0. Without
            it, the background is plain, and bodies in 3-D are seen from beside and above.

    Raises:
        InputError: See :func:`check_overlay`; the video is damaged, its poses are in 3-D, or no
            joint is present.

    Example:
        >>> recording = track(open_video("clip.mp4"))  # doctest: +SKIP
        >>> save_overlay(
        ...     Path("overlay.mp4"), recording, [(0, 71, None, "hugging")], Path("clip.mp4")
        ... )  # doctest: +SKIP
    """
    check_overlay(path)
    if boxes := missing_glyphs("".join({text for *_, text in labels})):
        logger.warning(
            "%s: %s of labels are not in the font and drawn as boxes",
            path,
            count(len(boxes), "character"),
        )
    suffix = path.suffix.lower()
    if video is None:
        fps = (recording.fps or _FPS) / recording.step
        images = _on_background(recording, labels, _project(recording, _SIDES[suffix]))
    else:
        if recording.num_channels != 2:
            raise InputError(
                f"{recording.path}: its joints are in 3-D, and have no place in the frames of a "
                "video; draw them without the video"
            )
        opened = open_video_file(video)
        _compare_sizes(recording, opened)
        fps = opened.fps or recording.fps or _FPS
        projection = project_image(recording, opened.image_size, _SIDES[suffix])
        images = _over_video(recording, labels, projection, opened)
    if suffix == VIDEO:
        write_video(path, (np.asarray(image) for image in images), fps)
    else:
        write_atomically(path, lambda file: _animate(file, path, images, fps))


def _compare_sizes(recording: Recording, video: Video) -> None:
    """Warn of poses that are of images in another shape, such as those of a video lying down."""
    if recording.image_size is None:
        return
    height, width = recording.image_size
    of_poses, of_video = width / height, video.image_size[1] / video.image_size[0]
    if abs(of_poses / of_video - 1) > _SAME_SHAPE:
        logger.warning(
            "%s: its poses are of images with %g x %g pixels, the video %s has %d x %d; they do "
            "not fit if that one is rotated or cut",
            recording.path,
            width,
            height,
            video.path,
            *reversed(video.image_size),
        )


def _project(recording: Recording, sides: tuple[int, int]) -> Projection:
    if recording.num_channels == 2 and recording.image_size is not None:
        return project_image(recording, recording.image_size, sides)
    return project_extent(recording, sides[1])


def _on_background(
    recording: Recording, labels: Iterable[Label], projection: Projection
) -> Iterator[Image.Image]:
    timeline, painter = _Timeline(labels), Painter(recording.skeleton, projection.size)
    height, width = projection.size
    expected: int | None = None
    for frame in recording.frames():
        missing = 0 if expected is None else (frame.number - expected) // recording.step
        first = frame.number - min(missing, _MAX_GAP) * recording.step
        for number in range(first, frame.number + 1, recording.step):
            image = Image.new("RGB", (width, height), _BACKGROUND)
            present = frame if number == frame.number else None
            yield _draw(painter, image, present, projection, timeline.at(number))
        expected = frame.number + recording.step


def _over_video(
    recording: Recording, labels: Iterable[Label], projection: Projection, video: Video
) -> Iterator[Image.Image]:
    timeline, painter = _Timeline(labels), Painter(recording.skeleton, projection.size)
    frames = recording.frames()
    frame = next(frames, None)
    for number, pixels in enumerate(video.frames(projection.size)):
        while frame is not None and frame.number < number:
            frame = next(frames, None)
        present = frame if frame is not None and frame.number == number else None
        yield _draw(painter, Image.fromarray(pixels), present, projection, timeline.at(number))
    if frame is not None and frame.number >= number + 1:
        logger.warning(
            "%s: its poses go on after the last frame of the video, %d; is it the right video?",
            recording.path,
            number,
        )


def _draw(
    painter: Painter,
    image: Image.Image,
    frame: Frame | None,
    projection: Projection,
    labels: dict[int | None, str],
) -> Image.Image:
    points = np.empty((0, painter.skeleton.num_joints, 2)) if frame is None else projection(frame)
    painter.draw(image, points, None if frame is None else frame.tracks, labels)
    return image


class _Timeline:
    """Finds the labels of a frame; frames are asked for in their order."""

    def __init__(self, labels: Iterable[Label]) -> None:
        self._waiting = deque(sorted(labels, key=lambda label: label[0]))
        self._shown: list[Label] = []

    def at(self, number: int) -> dict[int | None, str]:
        """The text of each person in a frame: of several, that with the nearest middle."""
        while self._waiting and self._waiting[0][0] <= number:
            self._shown.append(self._waiting.popleft())
        self._shown = [label for label in self._shown if label[1] >= number]
        self._shown.sort(key=lambda label: -abs(label[0] + label[1] - 2 * number))
        return {track: text for _, _, track, text in self._shown}


def _animate(file: Path, path: Path, images: Iterable[Image.Image], fps: float) -> None:
    first = step = max(1, round(fps / _GIF_FPS))
    kept: list[Image.Image] = []
    for number, image in enumerate(images):
        if number % step == 0:
            kept.append(image.quantize(dither=Image.Dither.NONE))
            if len(kept) > _GIF_FRAMES:
                kept, step = kept[::2], 2 * step
    if not kept:
        raise InputError(f"{path}: there is no frame to draw")
    if step > first:
        logger.warning(
            "%s: shows every %dth frame only; write a video, %s%s, to see all",
            path,
            step,
            path.stem,
            VIDEO,
        )
    # Animations count hundredths of a second.
    duration = min(max(20, round(100 * step / fps) * 10), _GIF_LONGEST)
    kept[0].save(file, save_all=True, append_images=kept[1:], duration=duration, loop=0)
