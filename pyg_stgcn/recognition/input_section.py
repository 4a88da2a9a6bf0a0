"""The preprocessing of a model in numbers, for the inference engine, which knows no skeletons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyg_stgcn.recognition.prepare import Body, Floats, is_scored


def input_section(about: Mapping[str, Any]) -> dict[str, Any]:
    """The entry ``input`` of a program's file, see docs/reference/program.md.

    Args:
        about: The description of the model, from :func:`~pyg_stgcn.recognition.describe`.

    Example:
        >>> input_section(about)["streams"]
        ['joint']
    """
    options, body = about["preprocessing"], Body(about["skeleton"])
    num_persons = options.get("num_persons")
    return {
        "streams": options["stream"].split("+"),
        "frames": int(options["clip_frames"]),
        "planar": bool(options["has_score"]),
        "scored": is_scored(options),
        "fractions": bool(options.get("fractions", False)),
        "score_threshold": float(options.get("score_threshold", 0.01)),
        "persons": -1 if num_persons is None else int(num_persons),
        "seed": int(options.get("seed", 255)),
        "scale": bool(options.get("scale", False)),
        "align": options.get("align_spine") is not False,
        "root": body.root,
        "trunk": body.trunk(),
        "spine": body.spine,
        "shoulders": body.shoulders,
        "bones": body.bones.ravel().tolist(),
        "parents": body.parents.tolist(),
    }


def input_statistics(about: Mapping[str, Any]) -> tuple[Floats, Floats] | None:
    """Mean and standard deviation of the input of the training, ``[V, C]`` each.

    None if the model has not been trained.
    """
    statistics = about.get("statistics")
    if statistics is None:
        return None
    mean, std = (np.array(statistics[name], np.float32) for name in ("mean", "std"))
    return mean, std
