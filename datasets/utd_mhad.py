"""UTD-MHAD: 27 actions of 8 subjects, recorded with a Kinect."""

from __future__ import annotations

import io
import logging
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.base import SkeletonDataset
from pyg_stgcn.datasets.readers.raw_files import open_zip
from pyg_stgcn.datasets.readers.reading import BadClip, ClipSource
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.download import RemoteFile, download_file
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton

logger = logging.getLogger(__name__)

CLASSES = (
    "right arm swipe to the left",
    "right arm swipe to the right",
    "right hand wave",
    "two hand front clap",
    "right arm throw",
    "cross arms in the chest",
    "basketball shoot",
    "right hand draw x",
    "right hand draw circle (clockwise)",
    "right hand draw circle (counter clockwise)",
    "draw triangle",
    "bowling (right hand)",
    "front boxing",
    "baseball swing from right",
    "tennis right hand forehand swing",
    "arm curl (two arms)",
    "tennis serve",
    "two hand push",
    "right hand knock on door",
    "right hand catch an object",
    "right hand pick up and throw",
    "jogging in place",
    "walking in place",
    "sit to stand",
    "stand to sit",
    "forward lunge (left foot forward)",
    "squat (two arms stretch out)",
)

_MEMBER = re.compile(r"a(\d{1,4})_s(\d{1,4})_t(\d{1,4})_skeleton\.mat", re.ASCII)
_LARGEST_MEMBER = 64 * 2**20


class _Member(NamedTuple):
    action: int
    subject: int
    trial: int
    path: str

    @property
    def clip(self) -> str:
        return f"a{self.action:02d}_s{self.subject:02d}_t{self.trial:02d}"


class UTDMHAD(SkeletonDataset):
    r"""UTD-MHAD, from `"UTD-MHAD: A Multimodal Dataset for Human Action Recognition Utilizing a
    Depth Camera and a Wearable Inertial Sensor" <https://doi.org/10.1109/ICIP.2015.7350781>`_
    (Chen, Jafari and Kehtarnavaz, ICIP 2015).

    Reads the published ``Skeleton.zip`` as it is, without unpacking it. The benchmark ``xsub``
    trains on the subjects with odd numbers and tests on those with even numbers.

    Args:
        root: Folder of the dataset; ``Skeleton.zip`` is looked for, and downloaded to,
            ``<root>/raw``.
        benchmark: ``"xsub"``.
        split: ``"train"``, ``"val"`` or ``"all"``.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        pre_filter: Decides, before :obj:`pre_transform`, which clips are stored.
        log: Whether to print that the store is being built.
        force_reload: Whether to read ``Skeleton.zip`` again.
        source: Path of ``Skeleton.zip``, if it is not in ``<root>/raw``.
        strict: Whether a clip that cannot be used is an error instead of being left out.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.
        skip_bad: Whether to leave out any number of clips that cannot be used.

    **STATS:**

    .. list-table::
        :header-rows: 1

        * - #clips
          - #train / #val (xsub)
          - #frames
          - #persons
          - #joints
          - #channels
          - #classes
          - #subjects
        * - 861
          - 431 / 430
          - 41 to 125
          - 1
          - 20
          - 3 (metres)
          - 27
          - 8
    """

    name = "utd-mhad"
    archive = RemoteFile(
        urls=(
            "http://www.utdallas.edu/~kehtar/UTD-MAD/Skeleton.zip",
            "https://personal.utdallas.edu/~kehtar/UTD-MAD/Skeleton.zip",
        ),
        kind="zip archive",
        is_kind=zipfile.is_zipfile,
        size=14_753_632,
        sha256="e5eaeff40cd0d0fe0aa49017e6f6de23fe5005687d85f615615d28faca27ad32",
    )
    page = "https://personal.utdallas.edu/~kehtar/UTD-MHAD.html"

    @property
    def raw_file_names(self) -> list[str]:
        return ["Skeleton.zip"]

    def download(self) -> None:
        target = Path(self.raw_paths[0])
        try:
            download_file(self.archive, target)
        except InputError as error:
            raise InputError(
                f"{error}. Or fetch Skeleton.zip by other means (see {self.page}) and put it at "
                f"{target} or name it with --source FILE"
            ) from error

    def read(self) -> ClipSource:
        path = self.source_path
        assert path is not None
        members = _list_members(path)
        if len(members) != 861:
            logger.warning("%s: %d clips, the published archive has 861", path, len(members))
        parts: dict[str, list[str]] = {"xsub_train": [], "xsub_val": []}
        for member in members:
            parts["xsub_train" if member.subject % 2 else "xsub_val"].append(member.clip)
        return ClipSource(
            skeleton=get_skeleton("kinect20"),
            classes=CLASSES,
            splits=parts,
            clips=_read_clips(path, members),
            total=len(members),
        )


def _list_members(path: Path) -> list[_Member]:
    with open_zip(path) as archive:
        names = archive.namelist()
    matches = [(_MEMBER.fullmatch(name.rsplit("/", 1)[-1]), name) for name in names]
    members = [
        _Member(int(match[1]), int(match[2]), int(match[3]), name)
        for match, name in matches
        if match is not None
    ]
    if not members:
        raise InputError(
            f"{path}: none of its {len(names)} files is called a*_s*_t*_skeleton.mat; give the "
            "Skeleton.zip of UTD-MHAD"
        )
    return sorted(members)


def _read_clips(path: Path, members: list[_Member]) -> Iterator[Clip | BadClip]:
    with open_zip(path) as archive:
        for member in members:
            try:
                skeleton = _read_skeleton(path, archive, member.path)
            except InputError as error:
                yield BadClip(member.clip, str(error))
            else:
                yield Clip(member.clip, member.action - 1, skeleton.transpose(2, 0, 1)[None])


def _read_skeleton(path: Path, archive: zipfile.ZipFile, member: str) -> NDArray[Any]:
    from scipy.io import loadmat

    where = f"{path}: {member}"
    if archive.getinfo(member).file_size > _LARGEST_MEMBER:
        raise InputError(f"{where} is far too large for a clip; fetch the archive again")
    try:
        content = loadmat(io.BytesIO(archive.read(member)), variable_names=["d_skel"])
    except Exception as error:  # Damaged bytes make SciPy and zlib raise anything.
        raise InputError(
            f"{where} is damaged ({type(error).__name__}: {error}); fetch the archive again"
        ) from error
    if "d_skel" not in content:
        raise InputError(f"{where} has no variable d_skel; give the Skeleton.zip of UTD-MHAD")
    skeleton = content["d_skel"]
    if skeleton.ndim != 3 or skeleton.shape[1] != 3 or skeleton.dtype.kind not in "fiu":
        raise InputError(
            f"{where}: d_skel has shape {skeleton.shape} instead of (20, 3, frames); give the "
            "Skeleton.zip of UTD-MHAD"
        )
    return np.asarray(skeleton)
