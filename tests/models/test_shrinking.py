"""Networks without their pruned channels: equal outputs, and smaller files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import (
    Assembly,
    Backbone,
    create_model,
    list_models,
    pyskl_state_dict,
    random_clips,
    shrink,
)
from pyg_stgcn.models.shrinking import has_pruned_channels
from pyg_stgcn.profiling.cost import count_macs
from pyg_stgcn.recognition import save
from pyg_stgcn.runtime import compile_sparse, save_onnx
from pyg_stgcn.sparsity import sparsify

OPTIONS: dict[str, Any] = {"num_stages": 4, "inflate_stages": [3], "down_stages": [3]}
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def trained_like(name: str, skeleton: str = "kinect20", **options: Any) -> Backbone:
    """A model in double precision whose biases, factors and statistics are no special numbers."""
    torch.manual_seed(0)
    model = create_model(name, 5, skeleton, **{"base_channels": 16, **OPTIONS, **options}).double()
    for key, value in model.named_parameters():
        if not key.endswith("edge_weight"):
            value.data += 0.2 * torch.randn_like(value)
    for key, statistic in model.named_buffers():
        if key.endswith("running_var"):
            statistic.uniform_(0.5, 1.5)
        elif key.endswith("running_mean"):
            statistic.normal_(std=0.1)
        elif key.endswith("num_batches_tracked"):
            statistic.fill_(1)
    return model.eval()


def zero_rows(model: nn.Module, fraction: float, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for key, value in model.named_parameters():
        if value.dim() > 1 and "head" not in key:
            value.data[torch.rand(len(value), generator=generator) < fraction] = 0


def zero_channels(model: Backbone) -> None:
    """Zeros for three of every four channels, the same in every layer: residual paths agree."""
    for value in model.stages.parameters():
        if value.dim() > 1 and len(value) % 4 == 0:
            value.data.view(-1, 4, *value.shape[1:])[:, 1:] = 0


@torch.no_grad()
def assert_equal(model: Backbone | Assembly, small: nn.Module) -> None:
    for clips, persons, frames in ((2, 2, 21), (3, 1, 4), (1, 3, 9)):
        inputs = random_clips(model, clips, persons, frames)
        torch.testing.assert_close(small(*inputs), model(*inputs), rtol=1e-10, atol=1e-10)
    empty = random_clips(model, 0, 1, 3)[0]
    torch.testing.assert_close(small(empty, None, 1), model(empty, None, 1))


def num_params(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


@pytest.mark.parametrize("fraction", [0.3, 0.75, 0.99, 1.1])
@pytest.mark.parametrize("name", list_models())
def test_outputs_are_equal_with_random_channels(name: str, fraction: float) -> None:
    model = trained_like(name)
    zero_rows(model, fraction)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    small = shrink(model)
    assert_equal(model, small)
    assert type(small) is type(model) and num_params(small) < num_params(model)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize("name", list_models())
def test_paths_that_agree_in_their_channels_lose_them(name: str) -> None:
    model = trained_like(name)
    zero_channels(model)
    small = shrink(model)
    assert_equal(model, small)
    zero_rows(other := trained_like(name), 0.75)
    assert small.num_features <= 9 < shrink(other).num_features


@pytest.mark.parametrize("name", list_models())
def test_odd_widths_strides_and_single_weights(name: str) -> None:
    options = {"base_channels": 7, "inflate_stages": [2], "down_stages": [2, 4]}
    model = trained_like(name, "coco17", **options)
    zero_rows(model, 0.6, seed=1)
    generator = torch.Generator().manual_seed(2)
    for value in model.stages.parameters():
        if value.dim() > 1:
            value.data[torch.rand(value.shape, generator=generator) < 0.7] = 0
    assert_equal(model, shrink(model))


@pytest.mark.parametrize("name", list_models())
def test_masks_are_applied(name: str) -> None:
    model = trained_like(name)
    sparsify(model, 0.75, allocation="uniform", structure="channel", exclude="head.*")
    assert has_pruned_channels(model)
    assert_equal(model, shrink(model))


def test_a_model_without_pruned_channels_is_copied() -> None:
    model = trained_like("stgcnpp")
    small = shrink(model)
    assert small is not model and not small.is_shrunken and not has_pruned_channels(model)
    assert small.state_dict().keys() == model.state_dict().keys()


def test_experts_of_an_assembly_are_shrunk() -> None:
    model = Assembly([trained_like("stgcn"), trained_like("stgcnpp")]).double().eval()
    zero_rows(model, 0.75)
    small = shrink(model)
    assert_equal(model, small)
    assert num_params(small) < num_params(model) / 2


@pytest.mark.parametrize("name", list_models())
def test_saved_and_loaded(name: str, tmp_path: Path) -> None:
    model = trained_like(name).float()
    zero_rows(model, 0.75)
    small = shrink(model)
    small.save_pretrained(tmp_path)
    again = Backbone.from_pretrained(tmp_path)
    inputs = random_clips(model, 2, 2, 8)
    with torch.no_grad():
        assert torch.equal(again(*inputs), small(*inputs))


def test_shrunken_models_keep_only_what_is_kept() -> None:
    """Every layer of a shrunken ST-GCN costs what its kept channels do."""
    model = trained_like("stgcn")
    zero_channels(model)
    clips = random_clips(model, 1, 1, 8)
    dense = {layer.name: layer.macs for layer in count_macs(model, clips)}
    small = {layer.name: layer.macs for layer in count_macs(shrink(model), clips)}
    assert small["stages.1.tcn.conv"] * 16 == dense["stages.1.tcn.conv"]


def test_shrunken_models_are_not_compiled_for_the_kernels() -> None:
    model = trained_like("stgcn").float()
    zero_rows(model, 0.75)
    with pytest.warns(UserWarning, match="before shrink"):
        compile_sparse(shrink(model))


@pytest.mark.parametrize("name", list_models())
def test_under_autocast_and_in_training(name: str) -> None:
    model = trained_like(name).float()
    zero_rows(model, 0.75)
    small, inputs = shrink(model), random_clips(model, 2, 2, 16)
    expected = model(*inputs).detach()
    with torch.autocast("cpu", torch.bfloat16):
        found = small(*inputs).float()
    assert (found - expected).norm() < 0.05 * expected.norm()
    small.train()(*inputs).square().sum().backward()
    assert all(weight.grad is not None for weight in small.parameters())


def test_other_uses_of_a_shrunken_model_are_errors() -> None:
    model = trained_like("stgcnpp")
    zero_rows(model, 0.75)
    small = shrink(model)
    with pytest.raises(InputError, match="is shrunken, so its weights cannot be drawn again"):
        small.reset_parameters()
    with pytest.raises(InputError, match="PYSKL has no such layers"):
        pyskl_state_dict(small)


def test_shrunken_models_are_compiled_in_one_graph() -> None:
    model = trained_like("stgcn", num_stages=2, inflate_stages=[], down_stages=[]).float()
    zero_rows(model, 0.75)
    inputs = random_clips(model, 2, 1, 8)
    compiled = torch.compile(shrink(model), fullgraph=True, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(*inputs), model(*inputs), rtol=1e-4, atol=1e-4)


def test_sparse_files_are_for_models_before_shrink(tmp_path: Path) -> None:
    model = trained_like("stgcn", num_stages=1, inflate_stages=[], down_stages=[]).float()
    zero_rows(model, 0.75)
    steps = {"stream": "joint", "clip_frames": 8, "has_score": True, "num_persons": 1}
    with pytest.raises(InputError, match="save the model before shrink"):
        save(
            tmp_path / "model.safetensors",
            shrink(model),
            options=[{"name": "stgcn"}],
            classes=list("abcde"),
            preprocessing=steps,
        )
    assert not list(tmp_path.iterdir())


def test_other_models_are_an_error() -> None:
    with pytest.raises(InputError, match="backbone or an assembly"):
        shrink(nn.Linear(2, 2))


def test_unknown_layers_are_an_error() -> None:
    class Other(nn.Module):
        pass

    model = trained_like("stgcn")
    zero_rows(model, 0.75)
    model.stages[1] = Other()
    with pytest.raises(InputError, match=r"stages.1 is of the class Other"):
        shrink(model)


@pytest.mark.cuda
@needs_cuda
@pytest.mark.parametrize("name", list_models())
def test_outputs_are_equal_on_a_gpu(name: str) -> None:
    model = trained_like(name).float()
    zero_rows(model, 0.75)
    inputs: tuple[Tensor, Tensor, int] = random_clips(model, 2, 2, 16)
    with torch.no_grad():
        expected = model(*inputs)
        small = shrink(model.cuda())
        x, batch, clips = inputs[0].cuda(), inputs[1].cuda(), inputs[2]
        torch.testing.assert_close(small(x, batch, clips).cpu(), expected, rtol=1e-3, atol=1e-3)
        half = small.half()(x.half(), batch, clips).float().cpu()
        torch.testing.assert_close(half, expected, rtol=5e-2, atol=5e-2)


def test_onnx_files_give_the_same(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = trained_like("stgcn", num_stages=1, inflate_stages=[], down_stages=[]).float()
    zero_channels(model)
    small, inputs = shrink(model), random_clips(model, 2, 2, 8)
    save_onnx(tmp_path / "small.onnx", small)
    session = onnxruntime.InferenceSession(tmp_path / "small.onnx")
    (logits,) = session.run(None, {"x": inputs[0].numpy(), "batch": inputs[1].numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(logits), model(*inputs), rtol=1e-4, atol=1e-4)
