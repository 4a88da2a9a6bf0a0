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

from pyg_stgcn.models import list_models
from pyg_stgcn.program import Program
from pyg_stgcn.runtime.program_compiler import compile_program
from pyg_stgcn.sparsity import sparsify
from tests.reference.small_models import short

INTERPRETER = Path(__file__).parents[1] / "reference/program_interpreter.py"


@pytest.fixture(scope="module")
def interpreter() -> ModuleType:
    spec = importlib.util.spec_from_file_location("program_interpreter", INTERPRETER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
