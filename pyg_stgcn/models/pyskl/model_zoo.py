"""The weights that PYSKL has published, by name, and their download.

The published addresses have neither encryption nor checksums, and the files are pickles. So files
are fetched over HTTPS only, are limited in size, are read without running any code in them, and are
kept only if they hold the network that the table says.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pyg_stgcn.cache import cache_folder
from pyg_stgcn.download import RemoteFile, download_file
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import file_sha256
from pyg_stgcn.models.pyskl.pyskl_architecture import read_architecture
from pyg_stgcn.models.pyskl.pyskl_weights import read_pyskl
from pyg_stgcn.names import ZOO_PREFIXES
from pyg_stgcn.text import suggestion

logger = logging.getLogger(__name__)

#: Most of PYSKL's tables say http. Its newest one names the same server with https.
SERVER = "https://download.openmmlab.com/mmaction/pyskl/ckpt"
_HAGRID = (
    "https://raw.githubusercontent.com/kennymckormick/pyskl/"
    "b8b24236027684ad768b70cf60390526642fcf86/demo/hagrid.pth"
)
HAGRID_SHA256 = "14d3e55e7c29ee73d22a2306050c7156d516bdeee3ab47547174e38256f807e7"
#: Bytes. The largest backbone has 15 million; a file may hold the state of its optimiser too.
MAX_SIZE = 100_000_000
STREAMS = {"j": "joint", "b": "bone", "jm": "joint-motion", "bm": "bone-motion"}
_SPLITS = ("ntu60_xsub", "ntu60_xview", "ntu120_xsub", "ntu120_xset")


@dataclass(frozen=True)
class _Family:
    """The files of one architecture: backbone, folder of a configuration, poses, preprocessing."""

    model: str
    folder: str
    poses: tuple[str, ...] = ("3dkp", "hrnet")
    preprocessing: Mapping[str, Any] = field(default_factory=dict)


#: From the tables in PYSKL's ``configs/*/README.md``. ``stgcn_vanilla`` is left out: it pads clips
#: to 300 frames, which no transform here does.
_FAMILIES = {
    "stgcn": _Family("stgcn", "stgcn_pyskl_{}"),
    "stgcnpp": _Family("stgcnpp", "stgcnpp_{}"),
    "aagcn": _Family("aagcn", "aagcn_pyskl_{}"),
    "ctrgcn": _Family("ctrgcn", "ctrgcn_pyskl_{}"),
    "dgstgcn": _Family("dgstgcn", "{}", ("3dkp",), {"align_spine": False}),
    "strong_aug": _Family("stgcnpp", "{}", ("3dkp",)),
}


@dataclass(frozen=True)
class PublishedModel:
    """Weights that PYSKL has published.

    Args:
        name: Full name, such as ``"pyskl/stgcnpp/ntu60_xsub_3dkp/j"``.
        model: Name of the backbone.
        url: Address of the file.
        dataset: Dataset of the training, whose classes it has: ``"ntu60"``, ``"ntu120"`` or
            ``"hagrid"``.
        num_classes: Number of classes.
        skeleton: Name of the skeleton.
        preprocessing: Options of :func:`~pyg_stgcn.transforms.standard_transform` in the training.
        sha256: SHA-256 of the file, if known.
    """

    name: str
    model: str
    url: str
    dataset: str
    num_classes: int
    skeleton: str
    preprocessing: Mapping[str, Any]
    sha256: str | None = None


def _make_table() -> Iterator[PublishedModel]:
    for family, files in _FAMILIES.items():
        configs = [f"{split}_{poses}" for split in _SPLITS for poses in files.poses]
        for config in configs:
            planar = config.endswith("hrnet")
            dataset = config.partition("_")[0]
            for short, stream in STREAMS.items():
                yield PublishedModel(
                    f"pyskl/{family}/{config}/{short}",
                    files.model,
                    f"{SERVER}/{family}/{files.folder.format(config)}/{short}.pth",
                    dataset,
                    int(dataset.removeprefix("ntu")),
                    "coco17" if planar else "ntu25",
                    {
                        "stream": stream,
                        "clip_frames": 100,
                        "has_score": planar,
                        "num_persons": 2,
                        **files.preprocessing,
                    },
                )
    # The means of its normalisation lie near 0.5: it was trained on fractions of the image.
    yield PublishedModel(
        "pyskl/hagrid",
        "stgcnpp",
        _HAGRID,
        "hagrid",
        40,
        "hand21",
        {
            "stream": "joint",
            "clip_frames": 10,
            "has_score": True,
            "use_score": False,
            "fractions": True,
            "num_persons": 1,
        },
        HAGRID_SHA256,
    )


@cache
def published_models() -> Mapping[str, PublishedModel]:
    """All weights that PYSKL has published for the backbones, by name."""
    return {entry.name: entry for entry in _make_table()}


def list_pretrained(model: str | None = None) -> list[str]:
    """The names of all published weights, for ``pretrained`` of
    :func:`~pyg_stgcn.models.create_model`.

    The part after ``pyskl/`` may be left out if it is the name of the model.

    Args:
        model: Only those of this backbone.

    Example:
        >>> list_pretrained("dgstgcn")[0]
        'pyskl/dgstgcn/ntu60_xsub_3dkp/j'
    """
    found = published_models().values()
    return [entry.name for entry in found if model in (None, entry.model)]


def find_published(name: str, model: str | None = None) -> PublishedModel:
    """The published weights of a name.

    Args:
        name: ``"pyskl/stgcnpp/ntu60_xsub_3dkp/j"``, without ``"stgcnpp/"`` if the model is given,
            with ``"pyskl:"`` or ``"pyskl/"``.
        model: Name of the backbone.

    Raises:
        InputError: There are no such weights, or they are of another backbone.
    """
    short = name.removeprefix(ZOO_PREFIXES[0]).removeprefix(ZOO_PREFIXES[1])
    table = published_models()
    entry = table.get(f"pyskl/{short}") or table.get(f"pyskl/{model}/{short}")
    if entry is None:
        known = list_pretrained(model)
        close = suggestion(f"pyskl/{model}/{short}" if short.count("/") == 1 else name, known)
        raise InputError(
            f"{name}: PYSKL has published no such weights{close}; list_pretrained() has all names, "
            "such as pyskl/stgcnpp/ntu60_xsub_3dkp/j (60 or 120; xsub, xview, xset; 3dkp, hrnet; "
            f"{', '.join(STREAMS)}) and pyskl/hagrid"
        )
    if model not in (None, entry.model):
        raise InputError(f"{name}: holds weights of {entry.model}, not of {model}")
    return entry


def fetch_published(entry: PublishedModel) -> Path:
    """The file of published weights, downloaded once into PyG's home folder.

    Raises:
        InputError: It cannot be downloaded, or holds other weights than published.
    """
    path = cache_folder("pyskl", *entry.name.split("/")[1:-1]) / f"{entry.name.split('/')[-1]}.pth"
    if path.exists():
        return path
    file = RemoteFile(
        (entry.url,),
        f"checkpoint of {entry.model} with {entry.num_classes} classes on {entry.skeleton}",
        lambda part: _holds(part, entry),
        sha256=entry.sha256,
        max_size=MAX_SIZE,
    )
    try:
        download_file(file, path)
    except InputError as error:
        raise InputError(
            f"{entry.name}: {error}. Or fetch the file by other means, and put it to {path}"
        ) from None
    logger.info("%s: %s, SHA-256 %s", entry.name, path, file_sha256(path))
    return path


def _holds(path: Path, entry: PublishedModel) -> bool:
    """Whether a file has the weights that the table says."""
    try:
        found = read_architecture(read_pyskl(path), path)
    except InputError:
        return False
    ours = (entry.model, entry.num_classes, entry.skeleton)
    return (found.name, found.num_classes, found.skeleton) == ours
