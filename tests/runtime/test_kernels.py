"""The kernels: under sanitizers, against plain loops, and errors of the operators."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pyg_stgcn.runtime.compiled_backbone import STEPS
from pyg_stgcn.runtime.instructions import Slots, SparseConv
from pyg_stgcn.runtime.program_builder import ProgramBuilder
from pyg_stgcn.runtime.single import sparse_conv

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "pyg_stgcn" / "runtime" / "kernels"
KERNELS = sorted([*SOURCES.glob("kernels_*.cpp"), *SOURCES.glob("gradients_*.cpp")])


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_no_undefined_behaviour(tmp_path: Path) -> None:
    program = tmp_path / "sanitize"
    flags = ["-std=c++17", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = [HERE / "sanitize.cpp", *KERNELS]
    command = ["g++", *flags, f"-I{SOURCES}", *map(str, sources), "-o", str(program)]
    built = subprocess.run([*command, "-w"], capture_output=True, text=True)
    if "cannot find -lasan" in built.stderr or "cannot find -lubsan" in built.stderr:
        pytest.skip("g++ has no sanitizers here")
    assert built.returncode == 0, built.stderr
    # Sanitizers do not accept a preloaded library.
    environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    ran = subprocess.run([program], capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "plain" in ran.stdout or "neon" in ran.stdout


@pytest.mark.skipif(
    shutil.which("aarch64-linux-gnu-g++") is None or shutil.which("qemu-aarch64") is None,
    reason="needs aarch64-linux-gnu-g++ and qemu-aarch64",
)
def test_neon_in_an_emulator(tmp_path: Path) -> None:
    program = tmp_path / "neon"
    sources = [HERE / "sanitize.cpp", *KERNELS]
    flags = ["-std=c++17", "-O2", "-static", "-w", f"-I{SOURCES}"]
    command = ["aarch64-linux-gnu-g++", *flags, *map(str, sources), "-o", str(program)]
    subprocess.run(command, check=True)
    ran = subprocess.run(["qemu-aarch64", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.split() == ["neon"]


@pytest.mark.usefixtures("native")
def test_another_instruction_set_can_be_chosen(tmp_path: Path) -> None:
    torch.manual_seed(0)
    conv = sparse_conv(torch.randn(16, 3, 9) * (torch.rand(16, 3, 9) < 0.2), torch.randn(16))
    x = features(2, 11, 21, 9)
    torch.save((conv.arguments(x), conv(x)), tmp_path / "expected.pt")
    code = """
import sys, torch
from pyg_stgcn.runtime.native import kernels
arguments, expected = torch.load(sys.argv[1], weights_only=True)
torch.testing.assert_close(torch.ops.pyg_stgcn.conv(*arguments, None, 0, 16), expected)
print(kernels())
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "expected.pt")],
        env={**os.environ, "PYG_STGCN_KERNELS": "plain"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.strip() in ("plain", "neon")


def features(*shape: int) -> Tensor:
    return torch.ops.pyg_stgcn.pack(torch.randn(shape), 1)


@pytest.mark.usefixtures("native")
def test_pack_and_unpack() -> None:
    x = torch.randn(2, 5, 3, 17).permute(0, 2, 3, 1)
    packed = torch.ops.pyg_stgcn.pack(x, 2)
    assert packed.shape == (2, 2, 7, 5, 16)
    assert torch.equal(torch.ops.pyg_stgcn.unpack(packed, 2, 17), x)
    assert packed.sum() == pytest.approx(float(x.sum()), abs=1e-3)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": torch.tensor([1 << 20], dtype=torch.int32)}, "offsets: from .* outside"),
        ({"offsets": torch.tensor([-16], dtype=torch.int32)}, "offsets: from -16"),
        ({"starts": torch.tensor([0, 2], dtype=torch.int32)}, "starts: does not begin"),
        ({"values": torch.zeros(1, dtype=torch.float64)}, "values: expected 1 contiguous float32"),
        ({"bias": torch.zeros(3)}, "bias: expected 1"),
        ({"x": torch.zeros(1, 1, 6, 4, 15)}, r"x: expected \[persons, blocks"),
        ({"frames": 7}, "stride, frames: 1, 7 in an input of 6 frames"),
        ({"residual": torch.zeros(1, 1, 2, 1, 16)}, "residual: .* does not fit"),
        ({"channels": 0}, "out: .* does not fit 1 channels"),
    ],
)
def test_wrong_arguments_are_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "x": features(1, 4, 3, 2),
        "starts": torch.tensor([0, 1], dtype=torch.int32),
        "offsets": torch.tensor([16], dtype=torch.int32),
        "values": torch.ones(1),
        "bias": torch.zeros(1),
        "groups": 1,
        "block": 1,
        "stride": 1,
        "frames": 6,
        "relu": False,
        "residual": None,
        "pad": 0,
        "channels": 1,
    }
    out = torch.ops.pyg_stgcn.conv(**arguments)
    assert torch.equal(out[:, :, :, 0], arguments["x"][:, :, :, 1])
    with pytest.raises(RuntimeError, match=message):
        torch.ops.pyg_stgcn.conv(**{**arguments, **change})


@pytest.mark.usefixtures("native")
def test_operators_can_be_traced() -> None:
    conv = sparse_conv(torch.randn(8, 3, 4), torch.randn(8), padding=1, relu=True)
    x = features(2, 7, 20, 4)
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    arguments = (*conv.arguments(x), None, 0, 8)
    torch.library.opcheck(torch.ops.pyg_stgcn.conv.default, arguments, test_utils=checks)
    arguments = (*conv.arguments(x), conv(x), 0, 0, True)
    torch.library.opcheck(torch.ops.pyg_stgcn.conv_into.default, arguments, test_utils=checks)
    exported = torch.export.export(conv, (x,)).module()
    assert torch.equal(exported(x), conv(x))
    graph = [torch.randn(1, 20, 32), torch.randn(1, 20, 32)]
    for op, arguments in (
        ("pack", (torch.randn(1, 2, 3, 4), 1)),
        ("unpack", (x, 1, 20)),
        ("make_graph", ("similarity", x, 1, 20, graph, 1, 2, 1, 1)),
        ("change_", ("mean_joint", x.clone(), 0, 20, [])),
    ):
        torch.library.opcheck(
            getattr(torch.ops.pyg_stgcn, op).default, arguments, test_utils=checks
        )


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("density", [1.0, 0.1, 0.0])
@pytest.mark.parametrize("channels", [20, 150])  # one group, and three
def test_a_residual_can_give_up_its_place(density: float, channels: int) -> None:
    weight = torch.randn(16, 3, channels) * (torch.rand(16, 3, channels) < density)
    builder = ProgramBuilder(20, 2, channels)
    builder.conv(0, weight, torch.randn(16), padding=1, relu=True, residual=builder.features(16))
    conv = SparseConv(builder.instructions[0], builder.slots)
    x, residual = features(2, 7, 20, channels), torch.randn(2, 2, 7, 16, 16)
    apart: Slots = [x, residual.clone(), None]
    conv.run(apart)
    assert torch.equal(apart[1], residual)
    conv.takes_residual(builder.slots)
    inside: Slots = [x, residual, None]
    conv.run(inside)
    assert inside[2] is residual
    assert torch.equal(inside[2], apart[2])


@pytest.mark.usefixtures("native")
def test_an_input_cannot_give_up_its_place() -> None:
    conv = sparse_conv(torch.randn(4, 1, 4), torch.randn(4))
    x = features(1, 7, 20, 4)
    with pytest.raises(RuntimeError, match="out: is the input"):
        torch.ops.pyg_stgcn.conv_into(*conv.arguments(x), x, 0, 0, True)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(("density", "rows", "passes"), [(1.0, 16, 2), (1.0, 9, 2), (0.1, 9, 1)])
@pytest.mark.parametrize("num_joints", [13, 25, 40])
@pytest.mark.parametrize("own_graphs", [False, True])
def test_graph_convolutions_in_one_pass_and_in_two(
    density: float, rows: int, passes: int, num_joints: int, own_graphs: bool
) -> None:
    partitions, channels, lanes = 3, 200, -(-num_joints // 16) * 16
    weight = torch.randn(rows, partitions, channels) * (
        torch.rand(rows, partitions, channels) < density
    )
    shape = (partitions, num_joints, num_joints)
    graph = torch.randn(shape) * (torch.rand(shape) < 0.2)
    bias, row_bias = torch.randn(rows, num_joints), torch.randn(rows, partitions)
    builder = ProgramBuilder(num_joints, lanes // 16, channels)
    added, own = builder.features(rows), builder.graph(partitions) if own_graphs else -1
    out = builder.graph_conv(0, weight, bias, graph, row_bias, residual=added, factors=own)
    builder.widen(out, 1)
    assert len(builder.instructions) == passes
    x, residual = torch.randn(2, 7, num_joints, channels), torch.randn(2, 7, num_joints, rows)
    slots: Slots = [None] * len(builder.slots)
    slots[0], slots[added] = (torch.ops.pyg_stgcn.pack(each, 0) for each in (x, residual))
    graphs = graph.expand(2, *shape)
    if own_graphs:
        graphs = graph * torch.rand(2, *shape)
        slots[own] = builder.in_lanes(graphs).flatten(2).unsqueeze(2)
    for instruction in builder.instructions:
        STEPS[instruction.op](instruction, builder.slots, num_joints).run(slots)
    mapped = torch.einsum("okc,ptvc->ptvok", weight.double(), x.double()) + row_bias
    exact = torch.einsum("ptvok,pkvw->ptwo", mapped, graphs.double()) + bias.t() + residual
    unpacked = torch.ops.pyg_stgcn.unpack(slots[out], 1, num_joints)
    torch.testing.assert_close(unpacked.double(), exact.relu(), rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("native")
def test_a_convolution_reads_a_part_of_a_wider_halo() -> None:
    weight = torch.randn(8, 3, 4)
    conv = sparse_conv(weight, torch.randn(8), padding=1)
    builder = ProgramBuilder(20, 2, 4)
    builder.conv(0, weight, conv.bias, padding=1)
    builder.widen(0, 3)
    wider = SparseConv(builder.instructions[0], builder.slots)
    x = torch.randn(2, 7, 20, 4)
    found, expected = (
        torch.ops.pyg_stgcn.unpack(each(torch.ops.pyg_stgcn.pack(x, halo)), 0, 20)
        for each, halo in ((wider, 3), (conv, 1))
    )
    assert torch.equal(found, expected)
