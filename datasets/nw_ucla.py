"""NW-UCLA: 10 actions of 10 subjects, recorded with three Kinects."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from pyg_stgcn.datasets.base import SkeletonDataset
from pyg_stgcn.datasets.readers.foreign_json import parse_numbers, parse_object
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

#: The numbers 7 and 10 were never given to an action.
CLASSES: Mapping[int, str] = {
    1: "pick up with one hand",
    2: "pick up with two hands",
    3: "drop trash",
    4: "walk around",
    5: "sit down",
    6: "stand up",
    8: "donning",
    9: "doffing",
    11: "throw",
    12: "carry",
}

_NAME = re.compile(r"a(\d\d)_s\d\d_e\d\d_v(\d\d)", re.ASCII)
_TRAINING_VIEWS = (1, 2)
_LABELS = {action: label for label, action in enumerate(CLASSES)}
# The sensor gives hip centre, spine, shoulder centre and head; kinect20 has them from the top down.
_ORDER = [3, 2, 1, 0, *range(4, 20)]


class NWUCLA(SkeletonDataset):
    r"""Northwestern-UCLA Multiview Action 3D, from `"Cross-view Action Modeling, Learning and
    Recognition" <https://arxiv.org/abs/1405.2941>`_ (Wang et al., CVPR 2014).

    Reads the format in which it is mostly passed on, one JSON file per clip in the archive
    ``all_sqe.zip``: ``a<action>_s<subject>_e<event>_v<view>.json`` with ``skeletons``
    :math:`(T, 20, 3)`, in the order of the sensor. The joints come out in the order of
    ``kinect20``. The class follows from the name.

    The benchmark ``xview`` trains on the views 1 and 2 and tests on view 3. In a widely used copy
    of the archive 95 of the 464 validation clips are byte for byte training clips under other
    names; :obj:`drop_leaks` leaves them out.

    This reader was written after programs that read the archive, and has been tested on files made
    in this format, not on the archive itself.

    Args:
        root: Folder of the dataset; the JSON files, or the archive, are looked for in the folder
            ``<root>/raw/nw-ucla``. They are not downloaded.
        benchmark: ``"xview"``.
        split: ``"train"``, ``"val"`` or ``"all"``.
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
          - #train / #val (xview)
          - #persons
          - #joints
          - #channels
          - #classes
          - #subjects
        * - 1,484
          - 1,020 / 464
          - 1
          - 20
          - 3
          - 10
          - 10
    """

    name = "nw-ucla"
    page = "https://wangjiangb.github.io/my_data.html"
    source_suffixes = (".json", ".zip")

    @property
    def raw_file_names(self) -> list[str]:
        return [self.name]

    def download(self) -> None:
        folder = Path(self.raw_paths[0])
        raise InputError(
            f"{folder}: no such folder; put all_sqe.zip or its JSON files there (see {self.page}), "
            "or name their place with --source"
        )

    def read(self) -> ClipSource:
        path = self.source_path
        assert path is not None
        files = name_files(list_raw_files(path, ".json"), lambda file: file.inner.stem)
        if len(files) != 1484:
            logger.warning("%s: %d clips, NW-UCLA has 1,484", path, len(files))
        splits: dict[str, list[str]] = {"xview_train": [], "xview_val": []}
        for name, file in files.items():
            _, view = _parse_name(name, file)
            splits["xview_train" if view in _TRAINING_VIEWS else "xview_val"].append(name)
        return ClipSource(
            skeleton=get_skeleton("kinect20"),
            classes=list(CLASSES.values()),
            splits=splits,
            clips=read_clips(_read, files),
            total=len(files),
        )


def _parse_name(name: str, file: RawFile) -> tuple[int, int]:
    """Label and view of a clip."""
    match = _NAME.fullmatch(name)
    action, view = (int(number) for number in match.groups()) if match else (0, 0)
    if action not in _LABELS or view not in (1, 2, 3):
        raise InputError(
            f"{file}: {name!r} is not in the format aAA_sSS_eEE_vVV with an action of "
            f"{', '.join(map(str, _LABELS))} and a view from 1 to 3; rename it or take it away"
        )
    return _LABELS[action], view


def _read(name: str, file: RawFile) -> Clip:
    where = str(file)
    content = parse_object(read_bytes(file), where)
    skeletons = parse_numbers(content.get("skeletons"), (None, 20, 3), where, "skeletons")
    label, _ = _parse_name(name, file)
    return Clip(name, label, skeletons[None, :, _ORDER])
