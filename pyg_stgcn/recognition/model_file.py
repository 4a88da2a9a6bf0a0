"""A trained, sparse model in one file that needs neither its run nor the data."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pyg_stgcn.checked import brief, check_entries, shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.models import create_model
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.weights import with_weights
from pyg_stgcn.recognition.description import check_temperature, describe
from pyg_stgcn.runtime.compiled_backbone import SparseBackbone
from pyg_stgcn.runtime.compiler import compile_sparse
from pyg_stgcn.runtime.threads import limited_to, set_threads, threads_for
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.sparsity import load_sparse, save_sparse

_REMEDY = "write it again with 'pyg-stgcn export'"
_DESCRIPTION = {
    "backbones": list[dict[str, Any]],
    "assembly": bool,
    "learned_weights": bool,
    "skeleton": dict,
    "classes": list[str],
    "preprocessing": dict,
}
#: Options of the preprocessing: those that have no default, and others.
_STEPS = {"stream": str, "clip_frames": int, "has_score": bool}
_MORE_STEPS = {
    "scale": bool,
    "align_spine": bool | None,
    "use_score": bool,
    "fractions": bool,
    "num_persons": int | None,
}


class ArrayModule:
    """A module that reads and gives arrays, without gradients.

    Args:
        module (torch.nn.Module): Maps ``x``, ``batch`` and the number of clips to logits; on a CPU.
        threads (int, optional): Threads of a pass (default: as many as its work is worth, see
            :mod:`pyg_stgcn.runtime.threads`).
    """

    def __init__(self, module: nn.Module, threads: int | None = None) -> None:
        self.module = module
        self.threads = threads
        if threads is not None:
            set_threads(module, threads)
        weights = sum(parameter.numel() for parameter in module.parameters())
        # Most weights see a quarter of the frames. Compiled parts know their own work.
        self._work_per_value = weights / 4
        if any(isinstance(part, SparseBackbone) for part in module.modules()):
            self._work_per_value = math.inf

    @torch.inference_mode()
    def __call__(
        self, x: NDArray[np.float32], batch: NDArray[np.int64], num_clips: int
    ) -> NDArray[np.float32]:
        """Maps clips to logits."""
        threads = self.threads or threads_for(self._work_per_value * len(x) * x.shape[1])
        with limited_to(threads):
            logits = self.module(torch.from_numpy(x), torch.from_numpy(batch), num_clips)
        found: NDArray[np.float32] = logits.numpy()
        return found


def save(
    path: str | os.PathLike[str],
    model: nn.Module,
    *,
    options: list[Mapping[str, Any]],
    classes: list[str],
    preprocessing: Mapping[str, Any],
    temperature: float = 1.0,
    half: bool = False,
) -> None:
    """Write a trained model with its skeleton, classes and preprocessing to one file.

    Args:
        path (str or os.PathLike): File to write; replaced only once the new one is complete.
        model (torch.nn.Module): A backbone or an assembly, its masks folded in.
        options (list of dict): The other arguments of :func:`~pyg_stgcn.models.create_model`,
            ``name`` and options, of the backbone or of every expert of the assembly.
        classes (list of str): Names of the classes.
        preprocessing (dict): How a raw clip becomes the input, see
            :func:`~pyg_stgcn.recognition.describe`.
        temperature (float): Divides the logits before the softmax. (default: :obj:`1.0`)
        half (bool): Whether weights are kept with half precision, in half the space.
            (default: :obj:`False`)

    Raises:
        InputError: If the file cannot be written, or the options are not those of the model.
    """
    if not isinstance(model, Backbone | Assembly):
        raise InputError(f"{type(model).__name__}: give a backbone or an assembly")
    if any(getattr(part, "is_shrunken", False) for part in model.modules()):
        raise InputError(
            f"{type(model).__name__}: is shrunken; save the model before shrink(), which takes no "
            "more space in this file, or use save_pretrained"
        )
    description = {
        "backbones": [dict(entry) for entry in options],
        "assembly": isinstance(model, Assembly),
        "learned_weights": getattr(model, "expert_factors", None) is not None,
        "skeleton": model.skeleton.to_dict(),
        "classes": list(classes),
        "preprocessing": dict(preprocessing),
        "temperature": check_temperature(temperature),
    }
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    _fill(Path(path), _build(description, model.skeleton), state)
    if half:
        state = {name: _halved(tensor) for name, tensor in state.items()}
    save_sparse(path, state, description, kind="recognizer")


class SavedModel(NamedTuple):
    """The content of a file of :func:`save`.

    Args:
        model: A backbone or an assembly.
        classes: Names of the classes.
        preprocessing: How a raw clip becomes the input.
        temperature: Divides the logits before the softmax.
    """

    model: nn.Module
    classes: list[str]
    preprocessing: dict[str, Any]
    temperature: float


def read(
    path: str | os.PathLike[str], threads: int | None = None
) -> tuple[ArrayModule, dict[str, Any]]:
    """The model of a file, compiled, and its description, see
    :meth:`~pyg_stgcn.recognition.Recognizer.load`.
    """
    saved = read_model(Path(path))
    try:
        return compiled(*saved[:3], threads, saved.temperature)
    except InputError as error:
        raise InputError(f"{path}: {brief(error)}; {_REMEDY}") from None


def read_model(path: Path) -> SavedModel:
    """The content of a file.

    Raises:
        InputError: It is missing, damaged, or another file.
    """
    state, description = load_sparse(path, kind="recognizer")
    check_entries(description, _DESCRIPTION, path, _REMEDY)
    # Files of earlier versions have none.
    check_entries(description, {"temperature": float}, path, _REMEDY, all_needed=False)
    preprocessing = description["preprocessing"]
    check_entries(preprocessing, _STEPS, path, _REMEDY, "preprocessing.")
    check_entries(preprocessing, _MORE_STEPS, path, _REMEDY, "preprocessing.", all_needed=False)
    if unknown := set(preprocessing) - set(_STEPS) - set(_MORE_STEPS):
        names = ", ".join(map(shown, sorted(unknown)))
        raise InputError(f"{path}: preprocessing has unknown options {names}; {_REMEDY}")
    state = {
        name: tensor.float() if tensor.dtype == torch.float16 else tensor
        for name, tensor in state.items()
    }
    num_experts = len(description["backbones"]) if description["assembly"] else 0
    try:
        skeleton = Skeleton.from_dict(description["skeleton"])
    except InputError as error:
        raise InputError(f"{path}: skeleton: {brief(error)}; {_REMEDY}") from None
    model = with_weights(lambda: _build(description, skeleton), state, num_experts, path, _REMEDY)
    temperature = description.get("temperature", 1.0)
    return SavedModel(model, description["classes"], preprocessing, temperature)


def compiled(
    model: nn.Module,
    classes: Sequence[str],
    preprocessing: Mapping[str, Any],
    threads: int | None = None,
    temperature: float = 1.0,
) -> tuple[ArrayModule, dict[str, Any]]:
    """A model in memory, compiled, and its description, see
    :meth:`~pyg_stgcn.recognition.Recognizer.from_model`.
    """
    about = describe(model, classes, preprocessing, temperature)
    return ArrayModule(compile_sparse(model.eval()), threads), about


def _build(description: Mapping[str, Any], skeleton: Skeleton) -> Backbone | Assembly:
    backbones = []
    for entry in description["backbones"]:
        options = dict(entry)
        name = options.pop("name")
        backbones.append(create_model(name, len(description["classes"]), skeleton, **options))
    if description["assembly"]:
        return Assembly(backbones, learned_weights=description["learned_weights"])
    return backbones[0]


def _fill(path: Path, model: nn.Module, state: Mapping[str, Tensor]) -> None:
    try:
        model.load_state_dict(dict(state))
    except RuntimeError as error:
        raise InputError(
            f"{path}: the weights are not those of the model that is described ({error}); give the "
            "options that it was made with"
        ) from None


def _halved(tensor: Tensor) -> Tensor:
    """A weight in half precision; statistics and biases take next to nothing and stay."""
    return tensor.half() if tensor.is_floating_point() and tensor.dim() > 1 else tensor
