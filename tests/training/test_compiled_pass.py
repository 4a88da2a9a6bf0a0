"""One graph for all batches: numbers of persons, clips and steps differ, and masks change."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Assembly, Backbone, create_model, list_models
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.sparsity import METHODS, SparsityController, make_schedule, sparsify
from pyg_stgcn.training import compiled_pass
from pyg_stgcn.training.compiled_pass import CompiledPass

CLASSES, FRAMES = 4, 6
HAND = Skeleton(
    name="hand",
    joints=tuple(f"joint {v}" for v in range(5)),
    bones=((1, 0), (2, 0), (3, 0), (4, 0)),
    center=0,
)
#: Persons of every clip of some batches: more than 16, one and no persons; a single clip.
BATCHES = ([1, 2, 1], [2, 2, 2], [1] * 20, [3, 0], [1], [2], [0], [1, 1])


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Graphs are traced, but not compiled to kernels, which takes long."""
    monkeypatch.setattr(compiled_pass, "BACKEND", "eager")
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "disabled", True)
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def make(name: str, **options: Any) -> Backbone:
    torch.manual_seed(0)
    options = {"num_stages": 2, "inflate_stages": (2,), "down_stages": (2,)} | options
    return create_model(name, CLASSES, HAND, base_channels=4, **options)


class Layers(nn.Module):
    """Two linear maps of persons and their sum over each clip."""

    skeleton = HAND

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(FRAMES * 3, 16)
        self.second = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor, batch: Tensor, batch_size: int) -> Tensor:
        nodes = self.second(self.first(x.flatten(1)).relu())
        return nodes.new_zeros(batch_size, CLASSES).index_add(0, batch, nodes)


def clips(persons: list[int], seed: int = 0) -> tuple[Tensor, Tensor, int]:
    nodes = 5 * torch.tensor(persons)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(int(nodes.sum()), FRAMES, 3, generator=generator)
    return x, torch.arange(len(persons)).repeat_interleave(nodes), len(persons)


def compile_pass(model: Any, persons: int | None = None) -> CompiledPass:
    return CompiledPass(lambda *given: (model(*given), []), model, 3, persons)


def same_step(compiled: Callable[..., Any], model: nn.Module, twin: nn.Module, given: Any) -> None:
    """The logits, gradients and statistics are those of a twin that is not compiled."""
    logits, _ = compiled(*given)
    expected = twin(*given)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    for part, out in ((model, logits), (twin, expected)):
        part.zero_grad()
        cross_entropy(out, torch.arange(len(out), device=out.device) % CLASSES).backward()
    for mine, other in zip(model.parameters(), twin.parameters(), strict=True):
        one, two = (torch.zeros_like(w) if w.grad is None else w.grad for w in (mine, other))
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(model.state_dict(), twin.state_dict(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", list_models())
def test_one_graph_for_all_batches(name: str) -> None:
    model = make(name)
    twin, compiled = copy.deepcopy(model), compile_pass(model)
    for step, persons in enumerate(BATCHES):
        with torch.compiler.set_stance("fail_on_recompile" if step else "default"):
            same_step(compiled, model, twin, clips(persons, step))


def test_a_backbone_of_a_user_in_evaluation() -> None:
    class Twice(type(make("stgcn"))):  # type: ignore[misc]
        def forward_features(self, *given: Any) -> Tensor:
            return 2 * super().forward_features(*given)

    options: dict[str, Any] = {"num_stages": 2, "inflate_stages": (2,), "down_stages": ()}
    model = Twice(CLASSES, HAND, base_channels=4, **options)
    assembly = Assembly([model]).eval()
    compiled = CompiledPass(assembly.forward_all, assembly, 3)
    with torch.inference_mode():
        for step, persons in enumerate(BATCHES):
            given = clips(persons, step)
            with torch.compiler.set_stance("fail_on_recompile" if step else "default"):
                torch.testing.assert_close(compiled(*given), assembly.forward_all(*given))


@pytest.mark.parametrize(
    ("method", "structure"),
    [
        *((method, "unstructured") for method in METHODS),
        ("feedback", "2:4"),
        ("score", "block8"),
        ("rigl", "channel"),
    ],
)
def test_one_graph_while_masks_change(method: str, structure: str) -> None:
    model = Layers()
    options: dict[str, Any] = {"schedule": make_schedule("linear", 0.5, 4), "update_every": 2}
    controller = sparsify(model, 0.5, method=method, structure=structure, **options)
    twin, compiled = copy.deepcopy(model), compile_pass(model)
    both = (controller, SparsityController(twin, 0.5, **options))
    optimizers = [torch.optim.SGD(net.parameters(), 0.1, momentum=0.9) for net in (model, twin)]
    before = copy.deepcopy(model.state_dict())
    for step in range(5):
        with torch.compiler.set_stance("fail_on_recompile" if step else "default"):
            same_step(compiled, model, twin, clips([1, 2, step], step))
        for own, optimizer in zip(both, optimizers, strict=True):
            optimizer.step()
            own.step(optimizer)
    name = "first.parametrizations.weight.0.mask"
    assert not torch.equal(model.state_dict()[name], before[name])


def test_padded_clips_have_a_graph_of_fixed_size() -> None:
    model = make("stgcn")
    twin, compiled = copy.deepcopy(model), compile_pass(model, persons=2)
    for seed, persons in enumerate(([2, 2, 2], [2, 2, 2], [2, 2], [2])):
        with torch.compiler.set_stance("fail_on_recompile" if seed else "default"):
            same_step(compiled, model, twin, clips(persons, seed))


def test_the_first_call_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="pyg_stgcn")
    model = make("stgcn", dropout=0.5)
    compiled = compile_pass(model)
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    compiled._prepare(clips([1, 2, 1])[0])
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(weight.grad is None for weight in model.parameters())
    assert "compiling the training step, which may take a minute" in caplog.text


def test_errors() -> None:
    with pytest.raises(InputError, match=r"compile: batches of a single clip.*batch_size"):
        CompiledPass(lambda *given: (given[0], []), make("stgcn"), 1)

    class Reads(nn.Module):
        skeleton = HAND

        def forward(self, x: Tensor, batch: Tensor, size: int) -> Tensor:
            return x.mean((0, 1)) if x.sum().item() > 0 else x.sum((0, 1))

    with pytest.raises(InputError, match=r"compile: Reads could not .*leave out compile=True"):
        compile_pass(Reads())(*clips([1, 2, 1]))


@pytest.mark.cuda
@pytest.mark.parametrize("persons", [None, 2])
@pytest.mark.parametrize("method", ["feedback", "score", "rigl"])
def test_kernels_and_cuda_graphs(
    monkeypatch: pytest.MonkeyPatch, method: str, persons: int | None
) -> None:
    """With masks that change; of padded clips the steps are CUDA graphs."""
    monkeypatch.setattr(compiled_pass, "BACKEND", "inductor")
    torch._dynamo.utils.counters.clear()
    model = make("stgcn").cuda()
    options: dict[str, Any] = {"schedule": make_schedule("linear", 0.5, 4), "update_every": 2}
    controller = sparsify(model, 0.5, method=method, **options)
    twin, compiled = copy.deepcopy(model), compile_pass(model, persons)
    both = (controller, SparsityController(twin, 0.5, **options))
    optimizers = [torch.optim.SGD(net.parameters(), 0.01, momentum=0.9) for net in (model, twin)]
    for step in range(8):
        given = clips([2, 2, 2] if persons else [1, 2, step], step)
        on_device = tuple(part.cuda() if isinstance(part, Tensor) else part for part in given)
        with torch.compiler.set_stance("fail_on_recompile" if step else "default"):
            same_step(compiled, model, twin, on_device)
        for own, optimizer in zip(both, optimizers, strict=True):
            optimizer.step()
            own.step(optimizer)
    assert torch._dynamo.utils.counters["inductor"]["cudagraph_skips"] == 0
