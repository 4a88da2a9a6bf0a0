"""The description of a trained model: all that turns a raw clip into its input."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import write_atomically
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.names import count_channels
from pyg_stgcn.nn import PersonNorm
from pyg_stgcn.recognition import prepare
from pyg_stgcn.transforms import standard_transform

#: Name of the copy of :mod:`pyg_stgcn.recognition.prepare` beside exported models.
PREPARE_FILE = "pyg_stgcn_prepare.py"
#: Options of :func:`~pyg_stgcn.transforms.standard_transform` that may be left out, and constants
#: of its steps.
_DEFAULTS = {
    "scale": False,
    "use_score": True,
    "fractions": False,
    "align_spine": None,
    "num_persons": None,
    "score_threshold": 0.01,
    "seed": 255,
}


def describe(
    model: nn.Module,
    classes: Sequence[str],
    preprocessing: Mapping[str, Any],
    temperature: float = 1.0,
) -> dict[str, Any]:
    """The description of a model, as JSON can hold it, for :class:`Recognizer` and for exported
    files.

    Args:
        model (Backbone or Assembly): The trained model, not compiled.
        classes (sequence of str): Names of the classes.
        preprocessing (dict): Options of :func:`~pyg_stgcn.transforms.standard_transform`:
            ``stream``, ``clip_frames``, ``has_score``, and where they differ from the default
            ``scale``, ``align_spine``, ``use_score``, ``fractions`` and ``num_persons``.
        temperature (float): Divides the logits before the softmax, so that probabilities are
            calibrated, see :func:`~pyg_stgcn.recognition.calibration.fit_temperature`.
            (default: :obj:`1.0`)

    Returns:
        ``version``; ``classes``; ``skeleton`` with its joints, bones and axes; ``preprocessing``
        with all options; ``temperature``; ``statistics`` of the input of the training, by joint and
        channel, or None if the model has not been trained; ``input``, the kind of clips in words.

    Raises:
        InputError: If the model is neither a backbone nor an assembly, or an option is wrong.
    """
    if not isinstance(model, Backbone | Assembly):
        raise InputError(f"{type(model).__name__}: give a backbone or an assembly")
    # Refuses options that are wrong or unknown.
    standard_transform(model.skeleton, train=False, **preprocessing)
    num_channels = count_channels(preprocessing["stream"], preprocessing.get("use_score", True))
    if model.in_channels != num_channels:
        raise InputError(
            f"stream {preprocessing['stream']!r} has {num_channels} channels, but the model reads "
            f"{model.in_channels}; give the stream that it was trained with"
        )
    planar = preprocessing["has_score"]
    channels = (
        "x and y in pixels, and perhaps a score from 0 to 1; needs image_size"
        if planar
        else "x, y, z in the units of the training, and perhaps a confidence"
    )
    return {
        "version": prepare.VERSION,
        "classes": list(classes),
        "skeleton": model.skeleton.to_dict(),
        "preprocessing": {**_DEFAULTS, **preprocessing},
        "temperature": check_temperature(temperature),
        "statistics": _input_statistics(model),
        "input": f"[persons, frames, joints, channels]: {channels}; missing joints are zero",
    }


def check_temperature(temperature: float) -> float:
    """The temperature of a model, if it is one.

    Raises:
        InputError: If it is not a number above 0.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise InputError(f"temperature: {temperature}; give a number above 0")
    return temperature


def save_prepare(folder: str | os.PathLike[str]) -> Path:
    """Write the module ``pyg_stgcn_prepare``, which turns raw poses into the inputs of an exported
    model.

    Args:
        folder (str or os.PathLike): Folder of the model. A file of the same name is replaced.

    Returns:
        Path: The file.
    """
    path, source = Path(folder) / PREPARE_FILE, Path(prepare.__file__).read_bytes()
    write_atomically(path, lambda file: file.write_bytes(source))
    return path


def _input_statistics(model: Backbone | Assembly) -> dict[str, Any] | None:
    """Mean and standard deviation of the first person's input in the training, ``[V, C]``."""
    first = model.experts[0] if isinstance(model, Assembly) else model
    norm = first.data_norm
    norm = norm.slots[0] if isinstance(norm, PersonNorm) else norm
    assert isinstance(norm, nn.BatchNorm1d)
    if not norm.num_batches_tracked or norm.running_mean is None or norm.running_var is None:
        return None
    shape = (model.skeleton.num_joints, model.in_channels)
    deviation = (norm.running_var + norm.eps).sqrt()
    return {
        name: [[float(f"{number:.6g}") for number in row] for row in values.view(shape).tolist()]
        for name, values in (("mean", norm.running_mean), ("std", deviation))
    }
