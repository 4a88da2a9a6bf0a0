"""The inference engine as a backend."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyg_stgcn.engine import Engine
from pyg_stgcn.engine.library import library
from pyg_stgcn.errors import InputError
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.profiling.dense_engines import Runner
from pyg_stgcn.program import Program
from pyg_stgcn.program_file import Metadata, program_bytes
from pyg_stgcn.runtime.program_compiler import compile_program, why_no_program


def why_not_library(device: torch.device, model: Backbone | Assembly | None) -> str:
    """The reason why the engine cannot run a model on a device; empty if it can.

    Args:
        device: The device.
        model: The model (default: any that the engine can run).
    """
    if device.type != "cpu":
        return "is measured on the CPU only"
    try:
        library()
    except InputError as error:
        return f"cannot be used here: {error}"
    reason = "" if model is None else why_no_program(model)
    return reason and f"cannot run this model: {reason}"


def make_library_runner(model: Backbone | Assembly, keep_memory: bool = True) -> Runner:
    """A function that runs a trained model in the engine, with as many threads as torch now has.

    Args:
        model: The trained model, with masks or without.
        keep_memory: Keep a model open for each length of clips; otherwise, open one for each pass.

    Raises:
        InputError: If the engine cannot run the model, or its library is missing.
    """
    program, threads = compile_program(model), torch.get_num_threads()
    contents: dict[int, bytes] = {}
    engines: dict[int, Engine] = {}

    def run(x: Tensor, batch: Tensor, batch_size: int) -> Tensor:
        frames = x.size(1)
        if frames not in contents:
            contents[frames] = program_bytes(program, _metadata(program, frames))
        if frames not in engines:
            engines[frames] = Engine.from_bytes(contents[frames], threads)
        logits = engines[frames].logits(x.numpy(), batch.numpy(), batch_size)
        if not keep_memory:
            engines.pop(frames).close()
        return torch.from_numpy(logits)

    return run


def _metadata(program: Program, frames: int) -> Metadata:
    """The other entries of a file, for clips that are prepared already."""
    joints, channels = program.num_joints, program.in_channels
    planar = channels % 3 != 0
    settings: dict[str, Any] = {
        "streams": ["joint"] * (channels // (2 if planar else 3)),
        "frames": frames,
        "planar": planar,
        "scored": False,
        "fractions": False,
        "score_threshold": 0.0,
        "persons": -1,
        "seed": 0,
        "scale": False,
        "align": False,
        "root": 0,
        "trunk": [],
        "spine": [],
        "shoulders": [],
        "bones": [],
        "parents": [0] * joints,
    }
    names = {"joints": [str(v) for v in range(joints)]}
    classes = [str(number) for number in range(len(program.head_bias))]
    return {"about": {"classes": classes, "skeleton": names}, "input": settings}
