"""A trained model as a function of two tensors, and the files that other runtimes read of it."""

from __future__ import annotations

import io
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import write_atomically
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.blocks import Block
from pyg_stgcn.nn import Adjacency
from pyg_stgcn.runtime.fold import copy_plain, input_norm

#: Under this name the files hold what else there is to know of the model, as JSON.
DESCRIPTION = "pyg_stgcn"


class PortableModel(nn.Module):
    r"""A trained model without masks, PyG batches and sparse matrices.

    Clips of a batch have the same number of places for persons. Those behind the first
    :obj:`num_persons` do not count, but have to be numbers.

    Args:
        model (Backbone or Assembly): The trained model; it is left as it is.

    Shapes:
        - **x:** :math:`(N, M, T, V, C)`, **num_persons:** at least one of every clip, :math:`(N)`
        - **output:** logits :math:`(N, \mathrm{classes})`

    Raises:
        InputError: If the model is neither a backbone nor an assembly.
    """

    factors: Tensor | None

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if not isinstance(model, Backbone | Assembly):
            raise InputError(f"{type(model).__name__}: give a backbone or an assembly")
        model = copy_plain(model)
        self.skeleton = model.skeleton
        self.in_channels = model.in_channels
        backbones = list(model.experts) if isinstance(model, Assembly) else [model]
        self.experts = nn.ModuleList(_Expert(cast(Backbone, backbone)) for backbone in backbones)
        factors = model.expert_factors if isinstance(model, Assembly) else None
        self.register_buffer("factors", None if factors is None else factors.detach())
        self.head = model.head
        self.eval()

    def forward(self, x: Tensor, num_persons: Tensor) -> Tensor:
        """Maps padded clips to logits."""
        features = torch.stack([expert(x, num_persons) for expert in self.experts])
        if self.factors is not None:
            features = features * self.factors.view(-1, 1, 1)
        logits: Tensor = self.head(features.mean(0))
        return logits


class _Expert(nn.Module):
    """A backbone from padded clips ``[N, M, T, V, C]`` to features ``[N, C']``."""

    scale: Tensor
    shift: Tensor

    def __init__(self, model: Backbone) -> None:
        super().__init__()
        scale, shift = input_norm(model)
        like = next(model.parameters())
        self.register_buffer("scale", scale.to(like))
        self.register_buffer("shift", shift.to(like))
        self.stages = model.stages
        for block in cast(list[Block], list(self.stages)):
            block.gcn.adjacency = cast(Adjacency, _FixedGraph(block.gcn.adjacency))

    def forward(self, x: Tensor, num_persons: Tensor) -> Tensor:
        place = torch.arange(x.size(1), device=x.device)
        slot = place.clamp(max=self.scale.size(0) - 1)
        persons = torch.addcmul(self.shift[slot], self.scale[slot], x).flatten(0, 1)
        for stage in self.stages:
            persons = stage(persons)
        features = persons.mean((1, 2)).unflatten(0, (x.size(0), x.size(1)))
        there = (place < num_persons.view(-1, 1)).to(features)
        return (features * there.unsqueeze(2)).sum(1) / there.sum(1, keepdim=True)


class _FixedGraph(nn.Module):
    """The matrix of a graph that is learnt no more, dense."""

    matrix: Tensor

    def __init__(self, adjacency: Adjacency) -> None:
        super().__init__()
        by_target = adjacency.by_partition().permute(2, 0, 1)
        self.register_buffer("matrix", by_target.flatten(0, 1).contiguous())

    def forward(self) -> Tensor:
        return self.matrix


def missing_packages(*names: str) -> str:
    """Which of some packages are not installed, and what to do about it; empty where all are."""
    missing = [name for name in names if find_spec(name) is None]
    if not missing:
        return ""
    return f"{', '.join(missing)}, not installed here; run 'pip install {' '.join(missing)}'"


def example_input(model: PortableModel, frames: int) -> tuple[Tensor, Tensor]:
    """Two clips of noise with two places for persons."""
    like = next(model.parameters())
    shape = (2, 2, frames, model.skeleton.num_joints, model.in_channels)
    x = torch.randn(shape, dtype=like.dtype, device=like.device)
    return x, torch.tensor([1, 2], device=like.device)


def save_onnx(
    path: str | os.PathLike[str],
    model: nn.Module,
    frames: int,
    description: Mapping[str, Any] | None = None,
) -> None:
    """Write a trained model, zeros and all, for onnxruntime and others that read ONNX.

    The inputs ``x`` and ``num_persons`` and the output ``logits`` are those of
    :class:`PortableModel`; clips and persons may be as many as one likes.

    Args:
        path (str or os.PathLike): File to write; replaced only once the new one is complete.
        model (Backbone or Assembly): The trained model.
        frames (int): Frames of a clip.
        description (dict, optional): What else there is to know; kept as JSON in the file's
            metadata, under ``pyg_stgcn``.

    Raises:
        InputError: If the packages that write ONNX are not installed, or the model is neither a
            backbone nor an assembly.
    """
    if missing := missing_packages("onnx", "onnxscript"):
        raise InputError(f"ONNX files need {missing}")
    portable = PortableModel(model)
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            portable,
            example_input(portable, frames),
            input_names=["x", "num_persons"],
            output_names=["logits"],
            dynamic_shapes=({0: "clips", 1: "persons"}, {0: "clips"}),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    if description is not None:
        program.model.metadata_props[DESCRIPTION] = json.dumps(description)
    write_atomically(Path(path), program.save)


def save_pt2(
    path: str | os.PathLike[str],
    model: nn.Module,
    frames: int,
    description: Mapping[str, Any] | None = None,
) -> None:
    """Write a trained model, zeros and all, for :func:`torch.export.load`.

    What that returns has a ``module()`` that needs nothing of this package; see
    :func:`save_onnx` for its inputs and for the arguments. The description is the extra file
    ``pyg_stgcn``.
    """
    portable = PortableModel(model)
    auto = torch.export.Dim.AUTO
    with torch.no_grad(), _quiet():
        program = torch.export.export(
            portable,
            example_input(portable, frames),
            dynamic_shapes=({0: auto, 1: auto}, {0: auto}),
        )
        extra = {} if description is None else {DESCRIPTION: json.dumps(description)}
        content = io.BytesIO()
        torch.export.save(program, content, extra_files=extra)
    write_atomically(Path(path), lambda file: file.write_bytes(content.getvalue()))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporters have to say of their own insides."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
