"""The adaptive operations of the engine against their document, in float64."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyg_stgcn.program import FeatureSlot, GraphSlot, Instruction, Network
from tests.reference.program_interpreter import Run

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = REPOSITORY / "pyg_stgcn/engine/src"
KERNELS = REPOSITORY / "pyg_stgcn/runtime/kernels"
#: By their number in the engine, from ``mean_joint`` on.
FIRST = 4
OPS = ("mean_joint", "spread_joint", "similarity", "channel_graph", "group_graph", "attention")

Array = NDArray[Any]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    path = tmp_path_factory.mktemp("parts") / "parts.so"
    files = [Path(__file__).with_name("adaptive_parts.cpp"), *sorted(SOURCES.glob("adaptive*.cpp"))]
    files += [SOURCES / "team.cpp", KERNELS / "kernels_plain.cpp"]
    flags = ["-std=c++17", "-O0", "-shared", "-fPIC", "-pthread", f"-I{SOURCES}", f"-I{KERNELS}"]
    subprocess.run([compiler, *flags, *map(str, files), "-o", str(path)], check=True)
    return ctypes.CDLL(str(path))


class Case:
    """A random operation with its input."""

    def __init__(self, op: str, rng: np.random.Generator) -> None:
        self.op, self.rng, self.threads = op, rng, int(rng.choice([1, 2]))
        self.joints = int(rng.choice([5, 15, 17, 25, 31, 47]))
        self.blocks = -(-(self.joints + 1) // 16)
        self.lanes = 16 * self.blocks
        self.frames, self.halo = int(rng.choice([1, 2, 5, 13])), int(rng.integers(0, 3))
        self.partitions, self.relations = int(rng.integers(1, 4)), int(rng.integers(1, 9))
        self.channels = int(rng.choice([3, 8, 16, 40]))
        if op == "similarity":
            self.channels = 2 * self.partitions * self.relations
        self.arrays, floats = self.weights()
        self.floats = floats * self.joints * self.lanes
        self.x = self.random(self.frames, self.channels, self.joints + (op == "spread_joint"))

    def random(self, *shape: int) -> Array:
        return self.rng.normal(size=shape).astype(np.float32)

    def weights(self) -> tuple[dict[str, Array], int]:
        """The arrays, and the number of graphs of the result."""
        k, r, c = self.partitions, self.relations, self.channels
        kept = np.zeros((k, self.joints, self.lanes), np.float32)
        kept[..., : self.joints] = self.rng.random((k, self.joints, self.joints)) < 0.5

        def graph() -> Array:
            return self.random(*kept.shape) * kept

        relate = {
            "relate_weight": self.random(2 * k * r, c) / 3,
            "relate_bias": self.random(2 * k * r),
        }
        if self.op == "mean_joint":
            return {}, 0
        if self.op == "spread_joint":
            sizes = {"factor": self.lanes, "scale": c, "shift": c}
            return {name: self.random(size) for name, size in sizes.items()}, 0
        if self.op == "similarity":
            return {"prior": graph(), "gate": graph()}, k
        if self.op == "channel_graph":
            out = int(self.rng.choice([1, 4, 6, 19]))
            fixed = np.stack([graph(), kept], 1)
            return {**relate, "fixed": fixed, "refine": self.random(k, out, r + 2)}, k * out
        if self.op == "group_graph":
            names = ("prior", "alpha", "beta")
            return {**relate, **{name: graph() for name in names}, "kept": kept}, k * r
        arrays = {}
        for name, span in (("joint", self.joints), ("frame", 9)):
            arrays |= {f"{name}_taps": self.random(span, c) / 9, f"{name}_bias": self.random(1)}
        for name, rows, columns in (("squeeze", r, c), ("excite", c, r)):
            arrays |= {
                f"{name}_weight": self.random(rows, columns),
                f"{name}_bias": self.random(rows),
            }
        return arrays, 0

    def truth(self) -> Array:
        network = Network(
            self.blocks,
            [FeatureSlot(self.channels), GraphSlot(1)],
            [],
            0,
            np.ones((1, self.joints, self.channels), np.float32),
            np.zeros((1, self.joints, self.channels), np.float32),
        )
        run = Run(network, self.joints, np.zeros((1, self.joints, self.channels)), 0)
        run.slots[0] = self.in_lanes()
        numbers = {"in": 0, "out": 1, "at": 0}
        numbers |= {"partitions": self.partitions, "channels": self.relations}
        arrays = {name: array.astype(float) for name, array in self.arrays.items()}
        getattr(run, self.op)(Instruction(self.op, numbers), **arrays)
        return self.known(run.slots[1 if self.floats else 0])

    def in_lanes(self) -> Array:
        """The input; the lanes after the joints are NaN."""
        full = np.full((self.frames, self.channels, self.lanes), np.nan)
        full[..., : self.x.shape[2]] = self.x
        return full

    def known(self, result: Array) -> Array:
        lanes = self.joints + (not self.floats and "joint" in self.op)
        return result.reshape(-1, self.lanes)[:, :lanes]

    def run(self, library: ctypes.CDLL, kernels: str) -> Array:
        shape = (self.blocks, self.frames + 2 * self.halo, self.channels, 16)
        x, own = np.full(shape, np.nan, np.float32), slice(self.halo, self.halo + self.frames)
        split = (self.frames, self.channels, self.blocks, 16)
        x[:, own] = self.in_lanes().reshape(split).transpose(2, 0, 1, 3)
        graph = np.full(max(self.floats, 1), np.nan, np.float32)
        arrays = [np.ascontiguousarray(array) for array in self.arrays.values()]
        sizes = np.array([array.size for array in arrays] + [0] * 8, np.int64)
        numbers = [FIRST + OPS.index(self.op), self.joints, self.blocks, self.channels, self.frames]
        numbers += [self.halo, self.partitions, self.relations, self.floats, self.threads]
        message = ctypes.create_string_buffer(256)
        refused = library.parts_run(
            address(np.array(numbers, np.int64)),
            kernels.encode(),
            (ctypes.c_void_p * 8)(*(array.ctypes.data for array in arrays)),
            *map(address, (sizes, x, graph)),
            message,
            ctypes.c_size_t(256),
        )
        if refused:
            raise ValueError(message.value.decode())
        assert np.isnan(x[:, : self.halo]).all() and np.isnan(x[:, own.stop :]).all()
        return self.known(graph if self.floats else x[:, own].transpose(1, 2, 0, 3))


def address(array: Array) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


@pytest.mark.parametrize("kernels", ["plain", "avx2", "avx512"])
@pytest.mark.parametrize("op", OPS)
def test_equals_the_document(library: ctypes.CDLL, op: str, kernels: str) -> None:
    bit = {"plain": 0, "avx2": 1, "avx512": 2}[kernels]
    if bit and not library.parts_supported() & bit:
        pytest.skip(f"this machine has no {kernels}")
    for seed in range(12):
        case = Case(op, np.random.default_rng(seed))
        expected = case.truth()
        tolerance = 3e-6 * max(1, float(np.abs(expected).max()))
        np.testing.assert_allclose(case.run(library, kernels), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("op", OPS[1:])
def test_arrays_of_other_sizes_are_refused(library: ctypes.CDLL, op: str) -> None:
    names = Case(op, np.random.default_rng(0)).arrays
    for name in names:
        case = Case(op, np.random.default_rng(0))
        case.arrays[name] = case.arrays[name].ravel()[:-1]
        with pytest.raises(ValueError, match="adaptive operation"):
            case.run(library, "plain")
