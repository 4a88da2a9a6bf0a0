"""Compiles a trained model into a program."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.blocks import Block
from pyg_stgcn.models.plain_copy import copy_plain, double
from pyg_stgcn.nn import TemporalConv
from pyg_stgcn.program import Network, Program
from pyg_stgcn.runtime.fold import input_norm
from pyg_stgcn.runtime.lanes import num_blocks
from pyg_stgcn.runtime.program_builder import NONE, ProgramBuilder
from pyg_stgcn.runtime.spatial_program import compile_spatial
from pyg_stgcn.runtime.supported import num_lanes, unsupported
from pyg_stgcn.runtime.temporal_program import compile_conv, compile_temporal


def compile_program(model: nn.Module) -> Program:
    """Compiles a trained model into a program, see docs/reference/program.md.

    Batch norms and biases are folded into the weights, ReLU and residual paths into the
    instructions; pruned edges and weights are left out. The model itself does not change.

    Args:
        model (Backbone or Assembly): The trained model, with masks or without.

    Raises:
        InputError: If the kernels cannot run the model.

    Example:
        >>> program = compile_program(model)
        >>> program.networks[0].instructions[0].op
        'graph_conv'
    """
    if not isinstance(model, Backbone | Assembly):
        raise InputError(f"{type(model).__name__}: give a backbone or an assembly")
    if reason := why_no_program(model):
        raise InputError(f"{reason}; export such a model as ONNX, or run it with PyTorch")
    plain = copy_plain(model)
    experts = _experts(plain)
    factors = torch.full((len(experts),), 1 / len(experts), dtype=torch.float64)
    if isinstance(plain, Assembly) and plain.expert_factors is not None:
        factors *= double(plain.expert_factors)
    head = plain.head.linear
    return Program(
        [compile_network(expert) for expert in experts],
        *(double(values).float().numpy() for values in (factors, head.weight, head.bias)),
    )


def why_no_program(model: Backbone | Assembly) -> str:
    """Names the first part of a model that cannot be compiled; empty if all can."""
    return next(filter(None, map(unsupported, _experts(model))), "")


def _experts(model: Backbone | Assembly) -> list[Backbone]:
    return [model] if isinstance(model, Backbone) else cast(list[Backbone], [*model.experts])


def compile_network(model: Backbone) -> Network:
    """Compiles a backbone, its masks folded in, that is not :func:`unsupported`."""
    builder = ProgramBuilder(
        model.skeleton.num_joints, num_blocks(num_lanes(model)), model.in_channels
    )
    x = 0
    for block in cast(list[Block], list(model.stages)):
        x = _compile_block(block, builder, x)
    scale, shift = (part.squeeze(1).float().numpy() for part in input_norm(model))
    return Network(builder.blocks, builder.slots, builder.instructions, x, scale, shift)


def _compile_block(block: Block, builder: ProgramBuilder, x: int) -> int:
    """Compiles a stage; gives its output."""
    out = compile_spatial(block.gcn, builder, x)
    residual = NONE if block.residual is None else x
    if isinstance(block.residual, TemporalConv):
        residual = compile_conv(block.residual, builder, x, relu=False)
    return compile_temporal(block.tcn, builder, out, residual)
