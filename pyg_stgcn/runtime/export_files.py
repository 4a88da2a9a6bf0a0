"""Files of a trained model for other runtimes: ONNX, and PT2 of :mod:`torch.export`."""

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
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as shape_config

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_place, write_atomically
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.plain_copy import copy_plain

#: Name of the JSON with the description in the files' metadata.
DESCRIPTION = "pyg_stgcn"
#: Frames of the clips for tracing; the files accept others.
_FRAMES = 16


def missing_packages(*names: str) -> str:
    """Names the packages that are not installed, and the remedy; empty if all are."""
    missing = [name for name in names if find_spec(name) is None]
    if not missing:
        return ""
    return f"{', '.join(missing)}, not installed here; run 'pip install {' '.join(missing)}'"


def save_onnx(
    path: str | os.PathLike[str],
    model: nn.Module,
    description: Mapping[str, Any] | None = None,
) -> None:
    """Write a trained model, with its zeros, as ONNX, for onnxruntime and others.

    The inputs are those of the model: ``x [P*V, T, C]`` and ``batch [P*V]``, the clip of every node
    in ascending order, int64. The output is ``logits [N, classes]``. Numbers of clips, persons and
    frames may vary from call to call.

    Args:
        path (str or os.PathLike): File to write; replaced only once the new one is complete.
        model (Backbone or Assembly): The trained model, with masks or without.
        description (dict, optional): Metadata; kept as JSON in the file under ``pyg_stgcn``.

    Raises:
        InputError: If the packages that write ONNX are not installed, the folder of the file does
            not exist, or the model is neither a backbone nor an assembly.

    Example:
        >>> save_onnx("model.onnx", model)
        >>> session = onnxruntime.InferenceSession("model.onnx")
        >>> (logits,) = session.run(None, {"x": x.numpy(), "batch": batch.numpy()})
    """
    if missing := missing_packages("onnx", "onnxscript"):
        raise InputError(f"ONNX files need {missing}")
    check_place(Path(path))
    with torch.no_grad(), _quiet():
        # The exporter of ONNX would trace twice, and print the program of the failed first try.
        program = torch.onnx.export(
            _trace(model),
            input_names=["x", "batch"],
            output_names=["logits"],
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    # The exporter keeps paths of this machine with every node, several times as long as the graph.
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    ClearMetadataAndDocStringPass()(program.model)
    if description is not None:
        program.model.metadata_props[DESCRIPTION] = json.dumps(description)
    write_atomically(Path(path), program.save)


def save_pt2(
    path: str | os.PathLike[str],
    model: nn.Module,
    description: Mapping[str, Any] | None = None,
) -> None:
    """Write a trained model, with its zeros, for :func:`torch.export.load`.

    The ``module()`` of the loaded program needs nothing of this package. See :func:`save_onnx` for
    its inputs and for the arguments; clips need at least three frames, and those
    of a CTR-GCN at least two persons together. The description is the extra file ``pyg_stgcn``.

    Example:
        >>> save_pt2("model.pt2", model)
        >>> logits = torch.export.load("model.pt2").module()(x, batch)
    """
    check_place(Path(path))
    with torch.no_grad(), _quiet():
        program = _trace(model)
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # It holds paths of this machine.
        extra = {} if description is None else {DESCRIPTION: json.dumps(description)}
        content = io.BytesIO()
        torch.export.save(program, content, extra_files=extra)
    write_atomically(Path(path), lambda file: file.write_bytes(content.getvalue()))


def _trace(model: nn.Module) -> ExportedProgram:
    """The program of the model without masks, for any number of clips, persons and frames."""
    if not isinstance(model, Backbone | Assembly):
        raise InputError(f"{type(model).__name__}: give a backbone or an assembly")
    plain = copy_plain(model)
    like, num_joints = next(plain.parameters()), model.skeleton.num_joints
    x = torch.randn(3 * num_joints, _FRAMES, model.in_channels).to(like)
    batch = torch.tensor([0, 1, 1], device=like.device).repeat_interleave(num_joints)
    nodes = num_joints * Dim("persons", min=1)
    # Without the two settings the file would refuse a single person.
    with shape_config.patch(  # type: ignore[attr-defined]
        backed_size_oblivious=True
    ):
        return torch.export.export(
            plain,
            (x, batch),
            dynamic_shapes=({0: nodes, 1: Dim.AUTO}, {0: nodes}),
            strict=True,
            prefer_deferred_runtime_asserts_over_guards=True,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides the messages of the exporters about their own internals."""
    loggers = [
        logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnx_ir", "onnxscript")
    ]
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
