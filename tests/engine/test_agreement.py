"""The engine, the PyTorch runtime and the dense model in double precision agree."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from pyg_stgcn.engine import Engine
from pyg_stgcn.models import Assembly, create_model, list_models
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.recognition import engine_bytes
from pyg_stgcn.runtime import compile_sparse
from pyg_stgcn.skeletons import Skeleton, get_skeleton
from pyg_stgcn.sparsity import sparsify
from tests.reference.small_models import varied

pytestmark = pytest.mark.usefixtures("built")

CLASSES = ["wave", "Größe", "walk", "sit"]
FRAMES = 12
#: One, two and three blocks of joints; whole blocks, and a lane that is free.
SKELETONS = {
    "chain9": Skeleton(
        name="chain9",
        joints=tuple("abcdefghi"),
        bones=tuple((v, v - 1) for v in range(1, 9)),
        center=4,
    ),
    **{name: get_skeleton(name) for name in ("coco17", "ntu25")},
    "chain42": Skeleton(
        name="chain42",
        joints=tuple(map(str, range(42))),
        bones=tuple((v, v // 2) for v in range(1, 42)),
        center=0,
    ),
}


def small(name: str, skeleton: Skeleton, structure: str) -> Backbone:
    """Three stages, of which the second doubles the channels and halves the frames."""
    torch.manual_seed(len(skeleton.joints))
    sizes = {"base_channels": 8, "num_stages": 3, "inflate_stages": [2], "down_stages": [2]}
    model = create_model(name, len(CLASSES), skeleton, **sizes)
    assert isinstance(model, Backbone)
    varied(model)
    sparsify(model, 0.5, structure=structure, exclude="head.*", edge_sparsity=0.3)
    return model


def input_of(model: Backbone, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three clips of one to three persons."""
    nodes = model.skeleton.num_joints * torch.tensor([2, 1, 3])
    x = torch.randn(int(nodes.sum()), frames, model.in_channels)
    return x, torch.arange(3).repeat_interleave(nodes)


def content(model: nn.Module) -> bytes:
    steps = {"stream": "joint", "clip_frames": FRAMES, "has_score": False}
    return engine_bytes(model, CLASSES, steps)


STRUCTURES = ["unstructured", "block8", "channel", "2:4"]
#: Sets of instructions by the best one of a machine.
AVAILABLE = {"avx512": ["avx512", "avx2", "plain"], "avx2": ["avx2", "plain"]}
#: Every backbone meets every structure and every skeleton, and so does every structure.
CASES = [
    (name, structure, list(SKELETONS)[(i + j) % len(SKELETONS)])
    for i, name in enumerate(list_models())
    for j, structure in enumerate(STRUCTURES)
]


@pytest.mark.parametrize(("name", "structure", "skeleton"), CASES)
def test_all_agree(
    monkeypatch: pytest.MonkeyPatch, name: str, structure: str, skeleton: str
) -> None:
    """All instruction sets of the engine, the runtime of PyTorch and the dense model."""
    model = small(name, SKELETONS[skeleton], structure)
    compiled, file = compile_sparse(model), content(model)
    engines = []
    for kernels in ("avx512", "avx2", "plain"):
        monkeypatch.setenv("PYG_STGCN_KERNELS", kernels)
        engines.append(Engine.from_bytes(file))
    exact = copy.deepcopy(model).double()
    for frames in (FRAMES, 7):
        x, batch = input_of(model, frames)
        with torch.no_grad():
            maps = exact.forward_features(x.double(), batch)
            features, logits = maps.mean((1, 2)).numpy(), exact.forward_head(maps, batch).numpy()
            assert_close(compiled(x, batch), logits)
        for engine in engines:
            assert_close(engine.features(x, batch), features)
            assert_close(engine.logits(x, batch), logits)


def assert_close(found: ArrayLike, expected: NDArray[np.float64]) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


def test_the_kernels_are_those_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    file = content(small("stgcn", SKELETONS["coco17"], "block8"))
    best = Engine.from_bytes(file).kernels
    for wish in ("avx512", "avx2", "neon", "plain"):
        monkeypatch.setenv("PYG_STGCN_KERNELS", wish)
        with Engine.from_bytes(file) as engine:
            assert engine.kernels == (wish if wish in AVAILABLE[best] else AVAILABLE[best][-1])


def test_experts_and_their_weights() -> None:
    skeleton = SKELETONS["coco17"]
    experts = [small(name, skeleton, "unstructured") for name in ("stgcn", "ctrgcn", "aagcn")]
    assembly = Assembly(experts, learned_weights=True).eval()
    with torch.no_grad():
        assembly.expert_factors.copy_(torch.tensor([0.5, 3.0, -1.0]))
    x, batch = input_of(experts[0], FRAMES)
    with Engine.from_bytes(content(assembly), threads=2) as engine, torch.no_grad():
        expected = copy.deepcopy(assembly).double()(x.double(), batch).numpy()
        assert_close(engine.logits(x, batch), expected)
