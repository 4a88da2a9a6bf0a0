"""Kinetics-skeleton: 400 actions from the web, joints found by OpenPose in 2-D."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.base import SkeletonDataset
from pyg_stgcn.datasets.readers.fields import text
from pyg_stgcn.datasets.readers.foreign_json import check_type, parse_numbers, parse_object
from pyg_stgcn.datasets.readers.kinetics_labels import Classes, find_classes
from pyg_stgcn.datasets.readers.metadata import read_metadata
from pyg_stgcn.datasets.readers.raw_files import (
    RawFile,
    list_raw_files,
    name_files,
    read_bytes,
    read_clips,
)
from pyg_stgcn.datasets.readers.reading import ClipSource
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton

logger = logging.getLogger(__name__)

#: Clips of the published dataset that have a skeleton.
NUM_CLIPS = 260_232
NUM_FRAMES = 300
_JOINTS = 18
_PERSONS_READ = 5
_PERSONS = 2
_LABEL_FILE = "_label.json"
_SPLITS = {"kinetics_train": "train", "kinetics_val": "val"}


class Kinetics400Skeleton(SkeletonDataset):
    r"""Kinetics-skeleton, from `"Spatial Temporal Graph Convolutional Networks for Skeleton-Based
    Action Recognition" <https://arxiv.org/abs/1801.07455>`_ (Yan, Xiong and Lin, AAAI 2018): the
    persons that OpenPose finds in the videos of Kinetics-400.

    Reads one JSON file per video, in the folders ``kinetics_train`` and ``kinetics_val``, by the
    conventions of the paper: a clip has 300 frames, of which those without a person are zero (and
    so is the first, since frames are counted from 1); of the first five persons of a frame the two
    with the highest sums of scores are kept, the higher one first. Nothing tracks them: the first
    person of a frame need not be that of the next. A joint with the score 0 is at the origin.
    Where the files' ``label`` is not the name that Kinetics-400 has for their ``label_index``, they
    are somebody's own data in this format: their own classes are used, in the order of
    ``label_index``. Videos of which ``kinetics_train_label.json`` and ``kinetics_val_label.json``
    say that they have no skeleton are left out.

    Coordinates are fractions of the width and height of the image, and ``image_size`` is
    :math:`(1, 1)`, so that :class:`~pyg_stgcn.transforms.PreNormalize2D` maps the image to
    :math:`[-1, 1]`, twice the common range for these data, :math:`[-0.5, 0.5]`. They are kept in
    half precision, which is finer than the three decimals of the files. The benchmark is called
    ``default``.

    Args:
        root: Folder of the dataset; the JSON files, or archives of them, are looked for in the
            folder ``<root>/raw/kinetics400-skeleton``. They are not downloaded.
        benchmark: ``"default"``.
        split: ``"train"``, ``"val"`` or ``"all"``, also the files in neither folder.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        pre_filter: Decides, before :obj:`pre_transform`, which clips are stored.
        log: Whether to print that the store is being built.
        force_reload: Whether to read the source again.
        source: A folder or ``.zip`` of the JSON files, if not at the place above.
        strict: Whether a clip that cannot be used is an error instead of being left out.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.
        skip_bad: Whether to leave out any number of clips that cannot be used.

    Raises:
        InputError: If the source cannot be used.

    **STATS:**

    .. list-table::
        :header-rows: 1

        * - #clips
          - #train / #val
          - #frames
          - #persons
          - #joints
          - #channels
          - #classes
        * - 260,232
          - 240,436 / 19,796
          - 300
          - 1 or 2
          - 18
          - 3 (x, y in images, score)
          - 400
    """

    name = "kinetics400-skeleton"
    page = "https://github.com/yysijie/st-gcn"
    source_suffixes = (".json", ".zip")

    @property
    def raw_file_names(self) -> list[str]:
        return [self.name]

    def download(self) -> None:
        folder = Path(self.raw_paths[0])
        raise InputError(
            f"{folder}: no such folder; put kinetics_train, kinetics_val and their label files "
            f"there, or the archive of them (see {self.page}), or name their place with --source"
        )

    def read(self) -> ClipSource:
        path = self.source_path
        assert path is not None
        found = list_raw_files(path, ".json")
        without = _without_skeleton(file for file in found if _is_label_file(file))
        named = name_files((file for file in found if not _is_label_file(file)), _clip_name)
        files = {name: file for name, file in named.items() if name not in without}
        logger.info("%s: %d clips have no skeleton", path, len(named) - len(files))
        classes = find_classes(files, read_metadata("kinetics400_classes.txt"))
        _report(path, len(files), classes)
        splits: dict[str, list[str]] = {}
        for name, file in files.items():
            if (split := _SPLITS.get(file.inner.parent.name)) is not None:
                splits.setdefault(split, []).append(name)
        return ClipSource(
            skeleton=get_skeleton("openpose18"),
            classes=classes.names,
            splits=splits,
            clips=read_clips(partial(_read, classes), files),
            total=len(files),
            has_score=True,
            dtype="float16",
            own=classes.own,
        )


def _report(path: Path, clips: int, classes: Classes) -> None:
    if classes.own:
        logger.warning(
            "%s: its labels are not those of Kinetics-400; its own %d classes are used, in the "
            "order of label_index",
            path,
            len(classes.names),
        )
    elif clips != NUM_CLIPS:
        logger.warning(
            "%s: %d clips, Kinetics-skeleton has %d; data of your own need the name of its class "
            "as 'label' in every file",
            path,
            clips,
            NUM_CLIPS,
        )


def _is_label_file(file: RawFile) -> bool:
    return file.inner.name.endswith(_LABEL_FILE)


def _clip_name(file: RawFile) -> str:
    return text(file.inner.stem, f"{file}: the name")


def _without_skeleton(label_files: Iterable[RawFile]) -> set[str]:
    names = set()
    for file in label_files:
        for name, entry in parse_object(read_bytes(file), str(file)).items():
            entry = check_type(entry, dict, str(file), f"entry {name!r}")
            if not entry.get("has_skeleton", True):
                names.add(name)
    return names


def _read(classes: Classes, name: str, file: RawFile) -> Clip:
    where = str(file)
    content = parse_object(read_bytes(file), where)
    label = classes.label(content, where)
    frames = check_type(content.get("data"), list, where, "data")
    keypoint = np.zeros((_PERSONS, NUM_FRAMES, _JOINTS, 3), np.float32)
    for i, frame in enumerate(frames):
        what = f"data[{i}]"
        frame = check_type(frame, dict, where, what)
        index = check_type(frame.get("frame_index"), int, where, f"{what}: frame_index")
        if not 0 <= index < NUM_FRAMES:
            raise InputError(
                f"{where}: {what} has frame_index {index}; a clip has the frames 0 to "
                f"{NUM_FRAMES - 1}; extract it again from the archive, or take it away"
            )
        persons = check_type(frame.get("skeleton"), list, where, f"{what}: skeleton")
        best = _best_persons([_read_person(p, where, what) for p in persons[:_PERSONS_READ]])
        # What is too large becomes infinite, and is refused as that.
        with np.errstate(over="ignore"):
            keypoint[: len(best), index] = best
    return Clip(name, label, keypoint, image_size=(1.0, 1.0))


def _read_person(person: object, where: str, what: str) -> NDArray[np.float64]:
    """Position and score of the joints of a person :math:`(18, 3)`."""
    fields = check_type(person, dict, where, f"{what}: a person")
    pose = parse_numbers(fields.get("pose"), (2 * _JOINTS,), where, f"{what}: pose")
    score = parse_numbers(fields.get("score"), (_JOINTS,), where, f"{what}: score")
    position = pose.reshape(_JOINTS, 2) * (score != 0)[:, None]
    return np.column_stack([position, score])


def _best_persons(persons: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The persons with the highest sums of scores, the highest first."""
    joints = np.array(persons).reshape(len(persons), _JOINTS, 3)
    order = np.argsort(-joints[..., 2].sum(axis=1), kind="stable")
    return joints[order[:_PERSONS]]
