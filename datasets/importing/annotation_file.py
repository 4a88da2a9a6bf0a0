"""Clips as a pickle in PYSKL's annotation format."""

from __future__ import annotations

import contextlib
import logging
import pickle
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyg_stgcn.datasets.importing.group_split import choose_validation, groups_of, warn_of_one_sided
from pyg_stgcn.datasets.importing.import_options import ImportOptions
from pyg_stgcn.datasets.importing.import_report import ImportReport, Problem, check_problems
from pyg_stgcn.datasets.importing.recording_clips import LabelledClip
from pyg_stgcn.datasets.skeleton_pickle import read_content
from pyg_stgcn.datasets.store.preparation import Preparation
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import write_atomically
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.text import count

logger = logging.getLogger(__name__)

#: Of a split without any other name for it.
_FRACTION = 0.2
#: Names of clips that a message lists.
_NAMED = 3


def make_content(
    clips: Sequence[LabelledClip], problems: Sequence[Problem], out: Path, options: ImportOptions
) -> tuple[dict[str, Any], ImportReport]:
    """The content of the pickle, checked as it will be when it is read.

    Args:
        clips: All clips.
        problems: Names of what was skipped before, and why.
        out: The pickle.
        options: The options.

    Raises:
        InputError: If the clips do not belong together, or too many cannot be used.
    """
    _check_names(clips)
    _check_same_kind(clips)
    classes = sorted({clip.label for clip in clips if clip.label is not None}, key=_natural)
    splits = _find_splits(clips, classes, options)
    annotations = [_annotation(clip, classes) for clip in clips]
    meta = {"classes": classes, **_layout(clips[0].poses.skeleton)}
    content = {"split": splits, "annotations": annotations, "meta": meta}
    skipped = _find_bad(content, out)
    good = [clip for clip in clips if clip.name not in skipped]
    problems = [*problems, *skipped.items()]
    check_problems(good, problems, out, options)
    splits = {
        split: [name for name in names if name not in skipped] for split, names in splits.items()
    }
    annotations = [each for each in annotations if each["frame_dir"] not in skipped]
    content = {"split": splits, "annotations": annotations, "meta": meta}
    crowded = sum(clip.left_out > 0 for clip in good)
    sizes = {split: len(names) for split, names in splits.items()}
    _warn_of_no_split(good, splits)
    divided = sum(number > 1 for number in Counter(clip.recording for clip in good).values())
    return content, ImportReport(out, len(good), sizes, problems, crowded, divided)


def write_content(content: dict[str, Any], out: Path) -> None:
    """Write the pickle in one step.

    Raises:
        OSError: If it cannot be written.
    """

    def write(file: Path) -> None:
        with file.open("wb") as stream:
            pickle.dump(content, stream, protocol=4)

    write_atomically(out, write)


def _layout(skeleton: Skeleton) -> dict[str, Any]:
    """The skeleton for other readers of the format, and all of it for ours."""
    return {
        "joints": list(skeleton.joints),
        "edges": [list(bone) for bone in skeleton.bones],
        "center": skeleton.center,
        "skeleton": skeleton.to_dict(),
    }


def _annotation(clip: LabelledClip, classes: Sequence[str]) -> dict[str, Any]:
    poses = clip.poses
    annotation: dict[str, Any] = {
        "frame_dir": clip.name,
        "label": -1 if clip.label is None else classes.index(clip.label),
        "total_frames": poses.num_frames,
        "keypoint": poses.joints,
    }
    is_2d = poses.joints.shape[-1] == 2
    if is_2d:
        assert poses.image_size is not None
        annotation["img_shape"] = poses.image_size
    # Without scores, 3-D joints are missing where they are zero, which needs no array.
    if is_2d or poses.has_score:
        annotation["keypoint_score"] = poses.scores
    return annotation


def _check_names(clips: Sequence[LabelledClip]) -> None:
    twice = [name for name, number in Counter(clip.name for clip in clips).items() if number > 1]
    if twice:
        raise InputError(
            f"{count(len(twice), 'name')} of clips come from several files, such as {twice[0]!r}; "
            "give files in the same folder names that differ in more than their endings"
        )


def _check_same_kind(clips: Sequence[LabelledClip]) -> None:
    """Refuse clips of several layouts, or 2-D and 3-D clips together."""

    def layouts(clip: LabelledClip) -> str:
        return f"{clip.poses.skeleton.name} ({clip.poses.skeleton.num_joints} joints)"

    def dimensions(clip: LabelledClip) -> str:
        return f"{clip.poses.joints.shape[-1]}-D"

    remedy = "convert all with to, such as to='coco17', or import them one by one"
    if len({clip.poses.skeleton for clip in clips}) > 1:
        raise InputError(f"the layouts differ: {_listed(clips, layouts)}; {remedy}")
    if len({dimensions(clip) for clip in clips}) > 1:
        raise InputError(f"joints differ: {_listed(clips, dimensions)}; import them one by one")


def _listed(clips: Iterable[LabelledClip], kind: Callable[[LabelledClip], str]) -> str:
    kinds: dict[str, dict[str, None]] = {}
    for clip in clips:
        kinds.setdefault(kind(clip), {})[clip.recording] = None
    parts = []
    for name, recordings in kinds.items():
        shown = ", ".join(list(recordings)[:_NAMED])
        more = ", ..." if len(recordings) > _NAMED else ""
        parts.append(f"{name} in {count(len(recordings), 'recording')} ({shown}{more})")
    return "; ".join(parts)


def _find_splits(
    clips: Sequence[LabelledClip], classes: Sequence[str], options: ImportOptions
) -> dict[str, list[str]]:
    """Names of the clips of every split."""
    named: dict[str, list[str]] = {}
    for clip in clips:
        if clip.split is not None:
            named.setdefault(clip.split, []).append(clip.name)
    wanted = options.split is not None or options.split_by is not None
    if named and wanted:
        raise InputError(
            f"split: the folders or labels name splits already ({', '.join(named)}); leave split "
            "and split_by out"
        )
    if not wanted:
        return named
    groups = groups_of(
        [clip.recording for clip in clips], [clip.label for clip in clips], options.split_by
    )
    labels = [-1 if clip.label is None else classes.index(clip.label) for clip in clips]
    fraction = _FRACTION if options.split is None else options.split
    chosen = choose_validation(labels, groups, fraction, options.seed)
    warn_of_one_sided(labels, chosen, classes)
    # A clip without a class is for neither.
    parts = [
        (clip.name, is_chosen)
        for clip, is_chosen in zip(clips, chosen, strict=True)
        if clip.label is not None
    ]
    return {
        "train": [name for name, is_chosen in parts if not is_chosen],
        "val": [name for name, is_chosen in parts if is_chosen],
    }


def _warn_of_no_split(clips: Sequence[LabelledClip], splits: Mapping[str, Sequence[str]]) -> None:
    used = {name for names in splits.values() for name in names}
    unused = [clip.name for clip in clips if clip.name not in used and clip.label is not None]
    if splits and unused:
        logger.warning(
            "%s in no split, such as %r, and used neither for training nor for validation; name "
            "the split of all clips, or of none",
            "1 clip is" if len(unused) == 1 else f"{len(unused):,} clips are",
            unused[0],
        )


def _find_bad(content: dict[str, Any], out: Path) -> dict[str, str]:
    """Reasons of the clips that could not be used, by name."""
    with _silent(logging.getLogger("pyg_stgcn.datasets.readers")):
        prepared = Preparation(read_content(content, None, out.stem), skip_bad=True, name=str(out))
        for _ in prepared:
            pass
    return prepared.skipped


@contextlib.contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Keep warnings back that come again when the pickle is opened."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """A key that sorts numbers in names by their values: A2 before A10."""
    parts = re.findall(r"\d{1,18}|\D+|\d+", name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
