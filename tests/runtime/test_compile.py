"""Compiled models, compared with the dense ones in double precision."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import create_model, list_models, random_clips
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.runtime import SparseBackbone, compile_sparse, kernels
from pyg_stgcn.runtime.compiler import _is_slower
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.sparsity import sparsify

NATIVE = pytest.mark.skipif(kernels() is None, reason="the kernels are not compiled here")


@pytest.fixture(autouse=True, scope="module")
def compiled_however_slow() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "pyg_stgcn.runtime.compiler._is_slower", lambda compiled, model, example: False
        )
        yield


def chain(num_joints: int) -> Skeleton:
    return Skeleton(
        name="chain",
        joints=tuple(map(str, range(num_joints))),
        bones=tuple((v, v - 1) for v in range(1, num_joints)),
        center=num_joints // 2,
    )


def trained(model: nn.Module, sparsity: float = 0.0, structure: str = "single") -> Backbone:
    """Prunes a model, and gives it the factors and statistics of a trained one."""
    assert isinstance(model, Backbone)
    prune(model, sparsity, structure)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("alpha", "beta", "joint_factor")):
                parameter.uniform_(0.1, 0.3)
            if "frame_conv.weight" in name or "excite.weight" in name:
                parameter.normal_(std=0.1)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(std=0.1)
                module.momentum = 1.0
        # With wrong statistics, activations and rounding errors grow; fewer frames would not reach
        # the last stages. Pruning makes some channels constant, with a deviation of almost zero.
        model.train()(*batch_of(model, (2, 2), 12))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_var.clamp_(min=0.1)
    return model.eval()


def prune(model: nn.Module, sparsity: float, structure: str) -> None:
    """Prunes all weights but the classifier's, in single zeros or blocks of eight outputs."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() < 2 or name.startswith("head"):
                continue
            if structure == "single":
                kept = torch.rand_like(weight) >= sparsity
            else:
                blocks = torch.rand(-(-weight.size(0) // 8), *weight.shape[1:]) >= sparsity
                kept = blocks.repeat_interleave(8, 0)[: weight.size(0)]
            weight.mul_(kept)


Clips = tuple[Tensor, Tensor, int]


def batch_of(model: Backbone, persons: Sequence[int], frames: int) -> Clips:
    nodes = model.skeleton.num_joints * torch.tensor(persons)
    x = torch.randn(int(nodes.sum()), frames, model.in_channels)
    return x, torch.arange(len(persons)).repeat_interleave(nodes), len(persons)


def check(model: Backbone, batch: Clips, compiled: nn.Module | None = None) -> Tensor:
    """Compares the logits of a compiled model with the dense one's in double precision."""
    found = (compile_sparse(model) if compiled is None else compiled)(*batch)
    exact = copy.deepcopy(model).double()
    with torch.no_grad():
        expected = exact(batch[0].double(), *batch[1:])
    assert found.dtype == torch.float32
    assert not found.requires_grad
    scale = float(expected.abs().max()) if expected.numel() else 1.0
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4 * scale)
    return found


@pytest.fixture(params=list_models())
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize(
    ("structure", "sparsity"),
    [("single", 0.0), ("single", 0.5), ("single", 0.95), ("single", 1.0), ("blocks", 0.8)],
)
def test_the_same_outputs(name: str, structure: str, sparsity: float) -> None:
    model = trained(create_model(name, 5, "ntu25", base_channels=16), sparsity, structure)
    check(model, batch_of(model, (2, 1), 21))


@pytest.mark.parametrize("name", ["aagcn", "ctrgcn"])
def test_a_person_slot_that_was_never_trained(name: str) -> None:
    model = create_model(name, 5, "ntu25", base_channels=16)
    with torch.no_grad():
        for _ in range(5):
            model(*batch_of(model, (1, 1, 1), 12))
    model.eval()
    assert model.data_norm.trained_slots().tolist() == [0, 0]
    check(model, batch_of(model, (2, 1), 21))


@pytest.mark.parametrize(
    ("num_joints", "frames", "channels", "width", "persons"),
    [
        (10, 1, 1, 4, (1,)),
        (16, 7, 2, 5, (1, 3)),
        (32, 3, 5, 8, (2,)),
        (33, 6, 3, 9, (1, 2)),
        (60, 3, 3, 4, (1,)),
    ],
)
def test_odd_sizes(
    name: str, num_joints: int, frames: int, channels: int, width: int, persons: tuple[int, ...]
) -> None:
    skeleton = chain(num_joints)
    model = create_model(name, 3, skeleton, in_channels=channels, base_channels=width)
    model = trained(model, 0.7)
    check(model, batch_of(model, persons, frames))


def test_no_persons(name: str) -> None:
    model = trained(create_model(name, 3, "coco17", base_channels=4))
    empty, bias = torch.zeros(0, dtype=torch.long), model.head.linear.bias.view(1, 3)
    x, batch, _ = batch_of(model, (1, 1), 4)
    for each in (model, compile_sparse(model)):
        with torch.no_grad():
            assert each(torch.zeros(0, 4, 3), empty).shape == (0, 3)
            assert each(torch.zeros(0, 4, 3)).equal(bias)
            assert each(torch.zeros(0, 4, 3), empty, 2).equal(bias.expand(2, 3))
            assert each(x, 2 * batch, 3)[1:2].equal(bias)
        with pytest.raises(InputError, match="no frames"):
            each(x[:, :0], batch)


@pytest.mark.parametrize("sparsity", [0.5, 1.0])
def test_values_that_are_no_numbers(name: str, sparsity: float) -> None:
    """Nor are the logits of their clip, even where no kept weight reads them."""
    model = trained(create_model(name, 3, "coco17", base_channels=4), sparsity)
    x, batch, _ = batch_of(model, (2, 1), 6)
    compiled = compile_sparse(model)
    expected = compiled(x, batch)
    for value, place in itertools.product((torch.nan, torch.inf), ((0, 0, 0), (33, 5, 1))):
        spoilt = x.clone()
        spoilt[place] = value
        found = compiled(spoilt, batch)
        assert found[0].isnan().all() and found[1].equal(expected[1])


@pytest.mark.parametrize("graph", ["spatial", "random"])
def test_masks_and_edges(name: str, graph: str) -> None:
    model = trained(create_model(name, 3, chain(12), base_channels=8, graph=graph))
    controller = sparsify(model, 0.9, exclude="head.*", edge_sparsity=0.6)
    batch = batch_of(model, (1, 2), 11)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    masked = check(model, batch)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    controller.finalize()
    assert torch.equal(compile_sparse(model)(*batch), masked)


@settings(max_examples=10, deadline=None, phases=[Phase.generate])
@given(
    name=st.sampled_from(list_models()),
    num_joints=st.integers(2, 40),
    frames=st.integers(1, 24),
    width=st.integers(1, 20),
    sparsity=st.floats(0, 1),
    structure=st.sampled_from(["single", "blocks"]),
    persons=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    seed=st.integers(0, 2**31),
)
def test_any_model(
    name: str,
    num_joints: int,
    frames: int,
    width: int,
    sparsity: float,
    structure: str,
    persons: list[int],
    seed: int,
) -> None:
    torch.manual_seed(seed)
    model = create_model(name, 4, chain(num_joints), base_channels=width)
    model = trained(model, sparsity, structure)
    check(model, batch_of(model, persons, frames))


def test_whole_rows_and_columns_gone(name: str) -> None:
    model = trained(create_model(name, 3, "ntu25", base_channels=16))
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if weight.dim() > 1 and not key.startswith("head"):
                weight[1::2] = 0
                weight[:, ::3] = 0
    check(model, batch_of(model, (1, 2), 9))


def test_an_assembly() -> None:
    experts = [
        trained(create_model(name, 3, chain(10), base_channels=4), 0.8)
        for name in ("stgcn", "ctrgcn")
    ]
    assembly = Assembly(experts, learned_weights=True).eval()
    batch = batch_of(experts[0], (1, 2), 6)
    with torch.no_grad():
        torch.testing.assert_close(
            compile_sparse(assembly)(*batch), assembly(*batch), rtol=1e-4, atol=1e-5
        )


@NATIVE
@pytest.mark.parametrize(
    "size", [1, 2**19]
)  # groups of one person a thread, and all persons in one
def test_thread_counts_make_no_difference(
    name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyg_stgcn.runtime.compiled_backbone.AT_ONCE", size)
    model = trained(create_model(name, 3, "ntu25", base_channels=16), 0.9)
    compiled, batch = compile_sparse(model), batch_of(model, (2, 1, 1), 50)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        compiled.threads = 1
        alone = compiled(*batch)
        compiled.threads = 3
        torch.testing.assert_close(compiled(*batch), alone, rtol=1e-6, atol=1e-6)
    finally:
        torch.set_num_threads(threads)


@NATIVE
def test_refuses_what_it_cannot_do(name: str) -> None:
    compiled = compile_sparse(trained(create_model(name, 3, chain(10), base_channels=4)))
    assert isinstance(compiled, SparseBackbone)
    with pytest.raises(InputError, match="cannot be trained"):
        compiled.train()
    with pytest.raises(InputError, match="float64"):
        compiled(torch.zeros(10, 4, 3).double())
    with pytest.raises(InputError, match=r"24 nodes.* no multiple of the 10 joints .* 'chain'"):
        compiled(torch.zeros(24, 4, 3))


def test_other_types_stay_dense(name: str) -> None:
    model = trained(create_model(name, 3, chain(10), base_channels=4)).double()
    compiled, batch = compile_sparse(model), batch_of(model, (2,), 6)
    x = batch[0].double()
    with torch.no_grad():
        torch.testing.assert_close(compiled(x, *batch[1:]), model(x, *batch[1:]))


@NATIVE
def test_features_and_head(name: str) -> None:
    """The features are the means of the maps of the model; the head accepts both."""
    model = trained(create_model(name, 5, "ntu25", base_channels=16), 0.8)
    compiled, clips = compile_sparse(model), batch_of(model, (2, 1), 21)
    with torch.no_grad():
        maps = model.forward_features(*clips)
        features = compiled.forward_features(*clips)
        torch.testing.assert_close(
            features, maps.mean((1, 2), keepdim=True), rtol=1e-4, atol=1e-4 * float(maps.max())
        )
        assert torch.equal(compiled.forward_head(features, *clips[1:]), compiled(*clips))
        pooled = compiled.forward_head(maps, *clips[1:], pre_logits=True)
        expected = model.forward_head(maps, *clips[1:], pre_logits=True)
        torch.testing.assert_close(pooled, expected)
        alone = clips[0][:25]
        torch.testing.assert_close(compiled(alone), compiled(alone, torch.zeros(25).long(), 1))


def short(name: str, **options: Any) -> Backbone:
    """A model of the second and third stage: further ones are alike, and tracing takes long.

    The second doubles the channels and halves the frames. An input as wide as the model leaves the
    first out.
    """
    options = {"in_channels": 4, "num_stages": 3, **options}
    options |= {"inflate_stages": [2], "down_stages": [2]}
    return trained(create_model(name, 3, chain(20), base_channels=4, **options), 0.8)


@NATIVE
@pytest.mark.parametrize("name", ["stgcn", "dgstgcn"])
def test_export_passes_over_the_operators(name: str, tmp_path: Path) -> None:
    model = short(name, in_channels=3, num_stages=2)
    compiled, clips = compile_sparse(model), random_clips(model, 2, 1, 7)
    assert isinstance(compiled, SparseBackbone)
    file = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(compiled, clips), file)
    exported = torch.export.load(file).module()
    torch.testing.assert_close(exported(*clips), compiled(*clips))


@NATIVE
def test_export_for_any_number_of_persons(name: str) -> None:
    compiled = compile_sparse(short(name))
    assert isinstance(compiled, SparseBackbone)
    nodes = 20 * torch.export.Dim("persons", min=2)
    x, batch, _ = random_clips(compiled, 1, 3, 7)
    shapes = ({0: nodes}, {0: nodes})
    exported = torch.export.export(compiled, (x, batch), dynamic_shapes=shapes, strict=True)
    more, batch, _ = random_clips(compiled, 2, 2, 7)
    torch.testing.assert_close(exported.module()(more, batch), compiled(more, batch))


@NATIVE
def test_torch_compile_makes_one_graph_for_any_number_of_frames(name: str) -> None:
    model = short(name)
    compiled = compile_sparse(model)
    assert isinstance(compiled, SparseBackbone)
    traced = torch.compile(compiled, backend="aot_eager", fullgraph=True)
    clips, longer = random_clips(model, 1, 2, 7), random_clips(model, 1, 2, 12)
    torch._dynamo.mark_dynamic(clips[0], 1)
    with torch.no_grad():
        torch.testing.assert_close(traced(*clips), compiled(*clips))
        with torch.compiler.set_stance("fail_on_recompile"):
            torch.testing.assert_close(traced(*longer), compiled(*longer))


@NATIVE
def test_torch_compile_of_a_compiled_model() -> None:
    model = short("stgcn", in_channels=3)
    traced = torch.compile(compile_sparse(model), backend="eager")
    check(model, batch_of(model, (1,), 7), traced)


@NATIVE
def test_state_dict_round_trip(name: str) -> None:
    model = trained(create_model(name, 3, chain(10), base_channels=8), 0.8)
    compiled, batch = compile_sparse(model), batch_of(model, (2,), 6)
    expected = compiled(*batch)
    state = {key: value.clone() for key, value in compiled.state_dict().items()}
    replica = copy.deepcopy(compiled)
    for buffer in replica.buffers():
        if buffer.is_floating_point():
            buffer.zero_()
    replica.load_state_dict(state)
    assert torch.equal(replica(*batch), expected)


@NATIVE
def test_dense_where_that_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[nn.Module] = []

    def is_slower(compiled: nn.Module, model: nn.Module, example: object) -> bool:
        asked.append(compiled)
        return True

    monkeypatch.setattr("pyg_stgcn.runtime.compiler._is_slower", is_slower)
    dense, sparse = (
        trained(create_model("stgcn", 3, chain(10), base_channels=4), sparsity)
        for sparsity in (0.2, 0.8)
    )
    assert isinstance(compile_sparse(sparse), SparseBackbone) and not asked
    found, batch = compile_sparse(dense), batch_of(dense, (2, 1), 5)
    assert isinstance(asked[0], SparseBackbone) and not isinstance(found, SparseBackbone)
    with torch.no_grad():
        torch.testing.assert_close(found(*batch), dense(*batch))


@NATIVE
@pytest.mark.parametrize("first_seconds", [3.0, 1.0])
def test_the_faster_of_two(monkeypatch: pytest.MonkeyPatch, first_seconds: float) -> None:
    """The clock is replaced: the dense model takes two seconds."""
    model = trained(create_model("stgcn", 3, chain(10), base_channels=4))
    clock = itertools.accumulate(itertools.cycle([0.0, first_seconds, 0.0, 2.0]))
    monkeypatch.setattr("pyg_stgcn.runtime.compiler.time.perf_counter", lambda: next(clock))
    example = batch_of(model, (2,), 5)
    assert _is_slower(SparseBackbone(model), model, example) == (first_seconds > 2)


@NATIVE
def test_timing_draws_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyg_stgcn.runtime.compiler._is_slower", _is_slower)
    model = trained(create_model("stgcn", 3, chain(10), base_channels=4))
    torch.manual_seed(0)
    compile_sparse(model)
    following = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(following, torch.rand(3))
