"""Published weights as recognisers of raw poses."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyg_stgcn.errors import InputError, warn_once
from pyg_stgcn.files import check_is_file, file_sha256
from pyg_stgcn.jsonfile import read_text
from pyg_stgcn.models import create_model
from pyg_stgcn.models.pyskl.model_zoo import (
    PublishedModel,
    fetch_published,
    find_published,
    published_models,
)
from pyg_stgcn.models.pyskl.pyskl_architecture import Architecture, read_architecture
from pyg_stgcn.models.pyskl.pyskl_weights import read_pyskl
from pyg_stgcn.names import is_published
from pyg_stgcn.recognition.predictor import Recognizer
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.transforms import parse_streams

logger = logging.getLogger(__name__)

#: Files with the classes of datasets, in label order. Those of HaGRID and Jester together are the
#: ``label_names`` in PYSKL's ``pyskl/datasets/gesture_dataset.py``.
_CLASSES = {"ntu60": "ntu_classes.txt", "ntu120": "ntu_classes.txt", "hagrid": "hagrid_classes.txt"}
#: Numbers of joints of PYSKL's layouts in the plane.
_PLANAR = (17, 18, 21)
_REMEDY = "name a text file with a class in every line"


def published_recognizer(
    init: str | os.PathLike[str],
    *,
    model: str | None = None,
    classes: Sequence[str] | str | os.PathLike[str] | None = None,
    skeleton: Skeleton | str | None = None,
    threads: int | None = None,
    **preprocessing: Any,
) -> Recognizer:
    """A recogniser with weights that PYSKL has published, or anyone else in its form.

    What a named checkpoint was trained on is known: its classes, its skeleton and its
    preprocessing. Of other files, the network is read from the weights; the rest is as in most of
    PYSKL's trainings (joints, 100 frames, two persons), with a warning, unless it is given.

    Args:
        init: A checkpoint file, or a name of :func:`~pyg_stgcn.models.list_pretrained`, which is
            fetched once, with ``"pyskl:"`` or ``"pyskl/"``.
        model: Name of the backbone, to shorten or to check the name.
        classes: Names of the classes in label order, a text file of them, one in a line, or a
            dataset: ``"ntu60"``, ``"ntu120"`` or ``"hagrid"`` (default: known, or their numbers).
        skeleton: The skeleton, or the name of a built-in one (default: known, or PYSKL's layout
            with this number of joints).
        threads: Threads of a pass, see :meth:`Recognizer.load`.
        **preprocessing: Options of :func:`~pyg_stgcn.transforms.standard_transform`, such as
            ``stream`` and ``clip_frames``, in place of the known ones.

    Raises:
        InputError: If the weights cannot be fetched or read, or an option does not fit them.

    Example:
        >>> recognizer = published_recognizer("pyskl:stgcnpp/ntu60_xsub_hrnet/j")
        >>> recognizer = published_recognizer("hagrid.pth")
        >>> recognizer.predict(hand, image_size=(480, 640)).label
        'Like'
    """
    path, entry = _open(init, model)
    found = read_architecture(read_pyskl(path), path)
    if model not in (None, found.name):
        raise InputError(f"{path}: holds weights of {found}, not of {model}; leave the model out")
    if found.num_classes is None:
        raise InputError(f"{path}: has no classifier; train one, with these weights as init")
    if entry is None:
        usual: Mapping[str, Any] = _usual_preprocessing(found, preprocessing, path)
        default: Sequence[str] | str = [str(number) for number in range(found.num_classes)]
    else:
        usual, default = entry.preprocessing, entry.dataset
        skeleton = entry.skeleton if skeleton is None else skeleton
    names = _names_of(default if classes is None else classes, found.num_classes, path)
    network = create_model(found.name, skeleton=skeleton, pretrained=path)
    return Recognizer.from_model(network, names, {**usual, **preprocessing}, threads=threads)


def _open(init: str | os.PathLike[str], model: str | None) -> tuple[Path, PublishedModel | None]:
    """The file, and what is known of it: by its name, or by its contents."""
    if is_published(init):
        entry = find_published(str(init), model)
        return fetch_published(entry), entry
    check_is_file(path := Path(init))
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "there is no such file"
        raise InputError(
            f"init {path}: {what}; name a checkpoint file, or published weights such as "
            "pyskl:stgcnpp/ntu60_xsub_hrnet/j"
        )
    known = {entry.sha256: entry for entry in published_models().values() if entry.sha256}
    return path, known.get(file_sha256(path))


def _names_of(
    classes: Sequence[str] | str | os.PathLike[str], num_classes: int, path: Path
) -> list[str]:
    if isinstance(classes, str | os.PathLike):
        what = f"classes {os.fspath(classes)}"
        if classes in _CLASSES:
            # Only here: a recogniser itself needs no datasets.
            from pyg_stgcn.datasets.readers.metadata import read_metadata

            names = read_metadata(_CLASSES[str(classes)])
            names = names[:60] if classes == "ntu60" else names
        else:
            lines = read_text(Path(classes), _REMEDY).splitlines()
            names = [line.strip() for line in lines if line.strip()]
    else:
        what, names = "classes", list(classes)
    if len(names) != num_classes:
        raise InputError(
            f"{what}: names {len(names)} classes, the weights in {path} have {num_classes}; "
            f"name all in label order"
        )
    return names


def _usual_preprocessing(found: Architecture, given: dict[str, Any], path: Path) -> dict[str, Any]:
    """The preprocessing of most of PYSKL's trainings, for weights of unknown origin."""
    channels = found.options["in_channels"] // len(parse_streams(given.get("stream", "joint")))
    if channels not in (2, 3):
        raise InputError(
            f"{path}: the model reads {found.options['in_channels']} channels; give the stream of "
            "its training, such as 'joint+bone'"
        )
    planar = channels == 2 or found.num_joints in _PLANAR
    usual = {
        "stream": "joint",
        "clip_frames": 100,
        "has_score": planar,
        "num_persons": 2,
        **({"use_score": False} if channels == 2 else {}),
    }
    if assumed := {name: value for name, value in usual.items() if name not in given}:
        options = ", ".join(f"{name}={value!r}" for name, value in assumed.items())
        warn_once(
            logger, f"{path}: does not say how its clips were prepared; taken as usual: {options}"
        )
    return usual
