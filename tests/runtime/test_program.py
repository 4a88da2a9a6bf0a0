"""Programs, computed by an interpreter of their document, equal the dense models."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from pyg_stgcn.models import create_model, list_models
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.program import Program
from pyg_stgcn.runtime.program_compiler import compile_program
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.sparsity import sparsify

INTERPRETER = Path(__file__).parents[1] / "reference/program_interpreter.py"


@pytest.fixture(scope="module")
def interpreter() -> ModuleType:
    spec = importlib.util.spec_from_file_location("program_interpreter", INTERPRETER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def chain(num_joints: int) -> Skeleton:
    bones = tuple((v, v - 1) for v in range(1, num_joints))
    names = tuple(map(str, range(num_joints)))
    return Skeleton(name="chain", joints=names, bones=bones, center=num_joints // 2)


def short(name: str, num_joints: int, **options: object) -> Backbone:
    """Three stages, of which the second doubles the channels and halves the frames."""
    sizes = {"base_channels": 8, "num_stages": 3, "inflate_stages": [2], "down_stages": [2]}
    model = create_model(name, 4, chain(num_joints), **{**sizes, **options})
    assert isinstance(model, Backbone)
    return varied(model)


def varied(model: Backbone) -> Backbone:
    """Gives a new model what only training changes."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("alpha", "beta", "joint_factor")):
                parameter.uniform_(0.2, 0.4)
            if "frame_conv.weight" in name or "excite.weight" in name:
                parameter.normal_(std=0.1)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                for tensor in (module.weight, module.running_var):
                    tensor.uniform_(0.5, 1.5)
                for tensor in (module.bias, module.running_mean):
                    tensor.normal_(std=0.2)
    return model.eval()


def check(
    interpreter: ModuleType, model: nn.Module, persons: Sequence[int] = (2, 1), frames: int = 9
) -> Program:
    """Compares a program with the dense model, both in double precision."""
    nodes = model.skeleton.num_joints * torch.tensor(persons)
    x = torch.randn(int(nodes.sum()), frames, model.in_channels, dtype=torch.float64)
    batch = torch.arange(len(persons)).repeat_interleave(nodes)
    program = compile_program(model)
    found = interpreter.logits(program, x.numpy(), batch.numpy(), len(persons))
    with torch.no_grad():
        expected = model.double()(x, batch).numpy()
    # The weights of a program are float32.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * abs(expected).max())
    return program


@pytest.mark.parametrize(
    ("structure", "num_joints"),
    [
        ("unstructured", 15),
        ("block8", 17),
        ("channel", 18),
        ("2:4", 25),
        ("unstructured", 16),
        ("block8", 33),
        ("unstructured", 42),
    ],
)
@pytest.mark.parametrize("name", list_models())
def test_equals_the_dense_model(
    interpreter: ModuleType, name: str, structure: str, num_joints: int
) -> None:
    torch.manual_seed(num_joints)
    model = short(name, num_joints)
    sparsify(model, 0.5, structure=structure, exclude="head.*", edge_sparsity=0.3)
    check(interpreter, model)
