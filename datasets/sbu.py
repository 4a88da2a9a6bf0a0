"""SBU Kinect Interaction: 8 interactions of two persons, recorded with a Kinect."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.annotations import AnnotationDataset
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

CLASSES = (
    "approaching",
    "departing",
    "kicking",
    "pushing",
    "shaking hands",
    "hugging",
    "exchanging object",
    "punching",
)
#: The pairs of persons that each fold tests on.
FOLDS = (
    ("s01s02", "s03s04", "s05s02", "s06s04"),
    ("s02s03", "s02s07", "s03s05", "s05s03"),
    ("s01s03", "s01s07", "s07s01", "s07s03"),
    ("s02s01", "s02s06", "s03s02", "s03s06"),
    ("s04s02", "s04s03", "s04s06", "s06s02", "s06s03"),
)

_FILE = "skeleton_pos.txt"
_PATH = re.compile(rf"(?:.*/)?(s\d\ds\d\d)/(\d\d)/(\d\d\d)/{re.escape(_FILE)}", re.ASCII)
_PERSONS, _JOINTS = 2, 15
_FIELDS = 1 + _PERSONS * _JOINTS * 3


class _ClipName(NamedTuple):
    pair: str
    action: int
    take: int

    def __str__(self) -> str:
        return f"{self.pair}_{self.action:02}_{self.take:03}"


class SBU(AnnotationDataset):
    r"""SBU Kinect Interaction, from `"Two-person Interaction Detection Using Body-Pose Features and
    Multiple Instance Learning" <https://doi.org/10.1109/CVPRW.2012.6239234>`_ (Yun et al., CVPR
    Workshops 2012).

    Reads the original ``<pair>/<action>/<take>/skeleton_pos.txt``, from a folder or from the
    archives of the pairs without unpacking them, or a pickle in the format of `PYSKL
    <https://arxiv.org/abs/2205.09443>`_. Both hold the coordinates as they are published,
    normalised: :math:`x` and :math:`y` are fractions of the image, :math:`y` downwards. The authors
    undo this by :math:`1280 - 2560 x`, :math:`960 - 1920 y` (pixels) and :math:`10000 z / 7.8125`
    (millimetres).

    The benchmarks ``fold1`` to ``fold5`` are the five folds of the authors, which test on pairs
    of persons that are not trained on; results are their mean.

    The pickle was read as it is; the original format follows the description of the authors and
    has been tested on files made in it.

    Args:
        root: Folder of the dataset; the original files, or the archives, are looked for in the
            folder ``<root>/raw/sbu``, the pickle at ``<root>/raw/sbu.pkl``. They are not
            downloaded.
        benchmark: ``"fold1"`` to ``"fold5"``.
        split: ``"train"``, ``"val"`` or ``"all"``.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        pre_filter: Decides, before :obj:`pre_transform`, which clips are stored.
        log: Whether to print that the store is being built.
        force_reload: Whether to read the source again.
        source: A folder or ``.zip`` of the original files, or the ``.pkl``, if not at the places
            above.
        strict: Whether a clip that cannot be used is an error instead of being left out.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.
        skip_bad: Whether to leave out any number of clips that cannot be used.

    Raises:
        InputError: If the source cannot be used.

    **STATS:**

    .. list-table::
        :header-rows: 1

        * - #clips
          - #train / #val (fold1)
          - #frames
          - #persons
          - #joints
          - #channels
          - #classes
          - #subjects
        * - 282
          - 227 / 55
          - 10 to 46
          - 2
          - 15
          - 3 (normalised)
          - 8
          - 7
    """

    name = "sbu"
    file_name = "sbu.pkl"
    skeleton_name = "sbu15"
    is_2d = False
    page = "https://www3.cs.stonybrook.edu/~kyun/research/kinect_interaction/index.html"
    source_suffixes = (_FILE, ".zip")

    def class_names(self) -> Sequence[str]:
        return CLASSES

    def read_originals(self, path: Path) -> ClipSource:
        files = name_files(list_raw_files(path, _FILE), lambda file: str(_parse_path(file)))
        splits: dict[str, list[str]] = {}
        for number, pairs in enumerate(FOLDS, start=1):
            train, val = f"fold{number}_train", f"fold{number}_val"
            splits[train] = [name for name in files if not name.startswith(pairs)]
            splits[val] = [name for name in files if name.startswith(pairs)]
        return ClipSource(
            skeleton=get_skeleton(self.skeleton_name),
            classes=CLASSES,
            splits=splits,
            clips=read_clips(_read, files),
            total=len(files),
        )


def _parse_path(file: RawFile) -> _ClipName:
    # The archive of a pair has the name of the pair, should the members not begin with it.
    path = file.path.with_suffix("") / file.member if file.member else file.path
    match = _PATH.fullmatch(path.as_posix())
    if match is None:
        raise InputError(
            f"{file}: does not lie in folders like s01s02/01/001 (pair, action, take), from which "
            "class and fold are read; put it there or take it away"
        )
    return _ClipName(match[1], int(match[2]), int(match[3]))


def _read(name: str, file: RawFile) -> Clip:
    keypoint = _parse_frames(read_bytes(file), str(file))
    return Clip(name, _parse_path(file).action - 1, keypoint)


def _parse_frames(data: bytes, where: str) -> NDArray[np.float64]:
    """Joints of both persons :math:`(2, T, 15, 3)`; a line is the frame's number and all joints."""
    frames = []
    for number, line in enumerate(data.decode("ascii", errors="replace").splitlines(), start=1):
        fields = line.replace(",", " ").split()
        if fields:
            frames.append(_parse_line(fields, f"{where}: line {number}"))
    joints = np.array(frames).reshape(len(frames), _PERSONS, _JOINTS, 3)
    return joints.transpose(1, 0, 2, 3)


def _parse_line(fields: list[str], where: str) -> list[float]:
    remedy = "extract it again from the archive, or take it away"
    if len(fields) != _FIELDS:
        raise InputError(
            f"{where} has {len(fields)} numbers; a frame has {_FIELDS}, its own and three for each "
            f"of 15 joints of two persons; {remedy}"
        )
    try:
        _, *numbers = map(float, fields)
    except ValueError as error:
        raise InputError(f"{where} holds something else than numbers ({error}); {remedy}") from None
    return numbers
