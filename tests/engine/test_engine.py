"""Clips in the engine, compared with the dense models in float64 and the compiled ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from pyg_stgcn.engine import Engine
from pyg_stgcn.engine.library import library
from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Assembly, Backbone, list_models
from pyg_stgcn.recognition import Recognizer, engine_bytes
from pyg_stgcn.runtime import compile_sparse
from pyg_stgcn.sparsity import sparsify
from tests.reference.small_models import short, varied

pytestmark = pytest.mark.usefixtures("built")

CLASSES = ["sit", "stand", "wave", "walk"]
CLIP = 9
STEPS: dict[str, Any] = {"stream": "joint", "clip_frames": CLIP, "has_score": False}

Floats = NDArray[np.float32]


def engine_of(model: nn.Module, temperature: float = 1.0, **steps: Any) -> Engine:
    return Engine.from_bytes(engine_bytes(model, CLASSES, {**STEPS, **steps}, temperature))


def persons_of(model: Backbone | Assembly, *persons: int) -> tuple[Floats, NDArray[np.int64]]:
    """Random clips of so many persons each."""
    nodes = model.skeleton.num_joints * np.array(persons)
    x = torch.randn(int(nodes.sum()), CLIP, model.in_channels).numpy()
    return x, np.arange(len(persons)).repeat(nodes)


def dense(model: nn.Module, x: Floats, batch: NDArray[np.int64], clips: int) -> NDArray[np.float64]:
    with torch.inference_mode():
        found = model.double()(torch.from_numpy(x).double(), torch.from_numpy(batch), clips)
    model.float()
    return np.asarray(found)


def assert_close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("structure", "num_joints"),
    [("unstructured", 25), ("block8", 17), ("channel", 16), ("2:4", 42)],
)
@pytest.mark.parametrize("name", list_models())
def test_logits_are_those_of_the_model(name: str, structure: str, num_joints: int) -> None:
    torch.manual_seed(num_joints)
    model = short(name, num_joints)
    sparsify(model, 0.5, structure=structure, exclude="head.*", edge_sparsity=0.3)
    engine = engine_of(model)
    x, batch = persons_of(model, 1, 3)
    for frames in (CLIP, 4):
        part = np.ascontiguousarray(x[:, :frames])
        expected = dense(model, part, batch, 2)
        assert_close(engine.logits(part, batch), expected)
        compiled = compile_sparse(model)(torch.from_numpy(part), torch.from_numpy(batch))
        assert_close(compiled.numpy(), expected)


@pytest.mark.parametrize("kernels", ["avx2", "plain"])
@pytest.mark.parametrize("name", ["stgcnpp", "ctrgcn"])
def test_all_instruction_sets_agree(
    name: str, kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    model = short(name, 25)
    x, batch = persons_of(model, 2)
    monkeypatch.setenv("PYG_STGCN_KERNELS", kernels)
    engine = engine_of(model)
    assert engine.kernels in (kernels, "plain", "neon")
    assert_close(engine.logits(x, batch), dense(model, x, batch, 1))


def test_experts_have_their_factors() -> None:
    torch.manual_seed(2)
    model = Assembly([short("stgcn", 17), short("dgstgcn", 17)], learned_weights=True)
    assert model.expert_factors is not None
    with torch.no_grad():
        model.expert_factors.copy_(torch.tensor([0.5, 3.0]))
    x, batch = persons_of(model, 2, 1)
    assert_close(engine_of(model.eval()).logits(x, batch), dense(model, x, batch, 2))


@pytest.fixture(scope="module")
def model() -> Backbone:
    torch.manual_seed(3)
    made = short("stgcn", 17)
    with torch.no_grad():
        made.head.linear.weight.mul_(40)  # Otherwise all classes are almost as probable.
    return made


@pytest.fixture(scope="module")
def engine(model: Backbone) -> Engine:
    return engine_of(model)


def test_features_are_those_of_each_person(model: Backbone, engine: Engine) -> None:
    x, batch = persons_of(model, 3, 1)
    with torch.inference_mode():
        maps = model.double().forward_features(
            torch.from_numpy(x).double(), torch.from_numpy(batch)
        )
    model.float()
    assert_close(engine.features(x, batch), maps.mean((1, 2)).numpy())


def test_clips_of_nobody_are_the_bias(model: Backbone, engine: Engine) -> None:
    x, batch = persons_of(model, 1, 0, 2, 0)
    found = engine.logits(x, batch, 4)
    assert_close(found, dense(model, x, batch, 4))
    assert np.array_equal(found[1], found[3])
    assert engine.logits(x[:0], batch[:0], 2).shape == (2, len(CLASSES))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_spoils_its_own_clip(
    engine: Engine, model: Backbone, bad: float
) -> None:
    x, batch = persons_of(model, 2, 2, 1)
    expected = engine.logits(x, batch)
    x[3 * 17 + 5, CLIP // 2, 1] = bad
    found = engine.logits(x, batch)
    assert np.isnan(found[1]).all()
    assert np.array_equal(found[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("name", ["stgcn", "aagcn", "dgstgcn", "ctrgcn"])
def test_threads_change_no_bit(name: str) -> None:
    torch.manual_seed(4)
    model = short(name, 33)
    content = engine_bytes(model, CLASSES, STEPS)
    x, batch = persons_of(model, 2, 1)
    expected = Engine.from_bytes(content).logits(x, batch)
    with Engine.from_bytes(content, threads=3) as several:
        for _ in range(3):
            assert np.array_equal(several.logits(x, batch), expected)


def test_models_are_independent_of_each_other(model: Backbone) -> None:
    content = engine_bytes(model, CLASSES, STEPS)
    x, batch = persons_of(model, 2)
    engines = [Engine.from_bytes(content) for _ in range(4)]
    expected = [engines[0].logits(x * n, batch) for n in range(4)]

    def ask(number: int) -> bool:
        wanted = expected[number]
        every = (engines[number].logits(x * number, batch) for _ in range(30))
        return all(np.array_equal(found, wanted) for found in every)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(4)))


def raw(model: Backbone, persons: int, frames: int, channels: int) -> Floats:
    """Poses in pixels or metres, some joints missing, and a person who comes later."""
    clip = torch.randn(persons, frames, model.skeleton.num_joints, channels).numpy()
    if model.in_channels == 3 and channels == 4:
        clip[..., 3] = 1
    clip[:, 2, 3] = 0
    clip[-1, : frames // 2] = 0
    return clip


@pytest.mark.parametrize("frames", [5, 40])
@pytest.mark.parametrize("views", [1, 3])
def test_classify_is_the_prediction(model: Backbone, views: int, frames: int) -> None:
    engine = engine_of(model, 1.7)
    recognizer = Recognizer.from_model(model, CLASSES, STEPS, temperature=1.7)
    for persons in (1, 3):
        clip = raw(model, persons, frames, 4)
        expected = recognizer.predict(clip, num_views=views)
        found = engine.classify(clip, num_views=views)
        np.testing.assert_allclose(found, expected.probabilities, atol=1e-5)
        assert engine.predict(clip, num_views=views)[0] == expected.label
    assert found.sum() == pytest.approx(1)


@pytest.mark.parametrize("persons", [None, 2])
def test_classify_in_the_plane_is_the_prediction(persons: int | None) -> None:
    torch.manual_seed(5)
    model = varied(short("stgcnpp", 17, in_channels=3))
    steps = {**STEPS, "has_score": True, "num_persons": persons}
    recognizer = Recognizer.from_model(model, CLASSES, steps)
    engine = engine_of(model, has_score=True, num_persons=persons)
    for seen in (1, 2):
        clip = np.abs(raw(model, seen, 30, 3)) * [40, 30, 0.3]
        expected = recognizer.predict(clip, image_size=(120, 160), num_views=2)
        found = engine.classify(clip, image_size=(120, 160), num_views=2)
        np.testing.assert_allclose(found, expected.probabilities, atol=1e-5)


def test_nobody_has_no_probabilities(engine: Engine) -> None:
    for shape in ((2, 8, 17, 3), (0, 8, 17, 3), (1, 0, 17, 3)):
        assert not engine.classify(np.zeros(shape)).any()
    assert engine.predict(np.zeros((2, 8, 17, 3))) == (None, 0.0)


def test_the_same_clip_has_the_same_answer(model: Backbone, engine: Engine) -> None:
    """Nothing of a clip stays behind in the memory."""
    first, second = raw(model, 2, 12, 3), raw(model, 1, 50, 3)
    expected = engine.classify(first)
    engine.classify(second)
    x, batch = persons_of(model, 1)
    engine.logits(np.full_like(x, np.nan), batch)
    engine.logits(x[:, :3], batch)
    assert np.array_equal(engine.classify(first), expected)


def test_classes_and_sizes_are_those_of_the_file(model: Backbone, engine: Engine) -> None:
    assert engine.classes == CLASSES
    assert engine.clip_frames == CLIP
    assert engine.skeleton["joints"] == list(model.skeleton.joints)
    assert engine.about["preprocessing"]["stream"] == "joint"
    assert engine.is_continual and not engine_of(short("aagcn", 17)).is_continual


def test_errors_name_the_value(model: Backbone, engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        library().open_handle("open", bytes(tmp_path), 1)
    x, batch = persons_of(model, 1)
    with pytest.raises(InputError, match="ascend from 0 to below 1"):
        engine.logits(x, batch + 1, 1)
    with pytest.raises(InputError, match=r"NaN|finite"):
        engine.classify(np.full((1, 4, 17, 3), np.nan))
    diverged = short("stgcn", 17)
    with torch.no_grad():
        diverged.head.linear.bias.fill_(torch.nan)
    with pytest.raises(InputError, match="training has diverged"):
        engine_of(diverged).classify(raw(diverged, 1, 9, 3))
    with pytest.raises(InputError, match="coordinates are too large"):
        engine.classify(raw(model, 1, 9, 3) * 1e38)
    with pytest.raises(InputError, match=r"too large|not finite"):
        engine.classify_features(np.full(engine.features(x).shape[1], np.inf))
