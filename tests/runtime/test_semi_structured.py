"""Semi-structured weights: compressed by torch here too; multiplied by it on a GPU only."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.sparse import SparseSemiStructuredTensorCUTLASS
from torch.sparse._semi_structured_conversions import (
    sparse_semi_structured_from_dense_cutlass,
    sparse_semi_structured_to_dense_cutlass,
)

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Backbone, create_model, list_models, random_clips
from pyg_stgcn.models.plain_copy import copy_plain
from pyg_stgcn.profiling.backends import why_not_backend
from pyg_stgcn.runtime import semi_structured
from pyg_stgcn.runtime.semi_structured import FrameMap, convert, why_not_semi_structured
from pyg_stgcn.sparsity import sparsify

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of SparseSemiStructuredTensor")


class Uncompressed(SparseSemiStructuredTensorCUTLASS):
    """torch's compressed weight, multiplied here by what its two parts give back.

    All else is torch's own: which operators it takes, and of which inputs.
    """

    @classmethod
    def from_dense(cls, original_tensor: Tensor, alg_id: int = 0) -> Uncompressed:
        packed, meta = sparse_semi_structured_from_dense_cutlass(original_tensor)
        return cls(original_tensor.shape, packed, meta, None, None, None)

    def _mm(
        self,
        B: Tensor,
        *,
        bias: Tensor | None = None,
        should_transpose_dense: bool = False,
        **kwargs: Any,
    ) -> Tensor:
        assert should_transpose_dense and B.is_contiguous()
        return nn.functional.linear(B, uncompressed(self), bias)


def uncompressed(weight: Uncompressed) -> Tensor:
    """The matrix that torch's two parts of a weight stand for."""
    return sparse_semi_structured_to_dense_cutlass(weight.packed, weight.meta)


def make(name: str, structure: str = "2:4", sparsity: float = 0.5, channels: int = 64) -> Backbone:
    torch.manual_seed(0)
    options = {"num_stages": 2, "inflate_stages": (2,), "down_stages": (2,)}
    model = create_model(name, 5, "coco17", base_channels=channels, **options)
    assert isinstance(model, Backbone)
    sparsify(model, sparsity, structure=structure, exclude="head.*")
    return model.eval()


#: Weights that are converted, in the second of two stages of width 64 and 128.
CONVERTED = {
    "stgcn": {"gcn.conv", "tcn.conv", "residual.conv"},
    "stgcnpp": {"gcn.conv", "gcn.down.linear", "tcn.mix", "residual.conv"},
    "aagcn": {"gcn.conv", "gcn.conv.embed", "tcn.conv", "residual.conv"},
    "ctrgcn": {"gcn.conv.value", "gcn.down.linear", "tcn.branches.reduce", "residual.conv"},
    "dgstgcn": {"gcn.conv.post", "gcn.down.linear", "tcn.mix", "residual.conv"},
}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, torch.float16) for name in list_models()), ("stgcn", torch.bfloat16)],
    ids=str,
)
def test_equals_the_dense_model_in_half_precision(name: str, dtype: torch.dtype) -> None:
    model = make(name)
    plain = copy_plain(model).to(dtype)
    x, *rest = random_clips(model, 2, 2, 12)
    fast = convert(copy_plain(model).to(dtype), Uncompressed)
    with torch.no_grad():
        expected = plain(x.to(dtype), *rest).float()
    # Other orders of summation, in half precision. Without gradients torch takes other ways.
    found = fast(x, *rest)
    with torch.inference_mode():
        torch.testing.assert_close(fast(x, *rest), found, rtol=0.02, atol=0.02)
    assert (found - expected).norm() / expected.norm() < 8 * torch.finfo(dtype).eps
    sparse = [part for part in fast.parts if part.is_sparse]
    assert {part.name.removeprefix("stages.1.") for part in sparse} >= CONVERTED[name]
    for part in sparse:
        assert part.sparsity >= 0.5
        weight = fast.model.get_submodule(part.name).weight
        dense = plain.get_submodule(part.name).weight
        if dense.dim() == 4:
            dense = dense.squeeze(3).permute(0, 2, 1).flatten(1)
        # Compression keeps two of every four inputs: of other groups it would lose weights.
        assert torch.equal(uncompressed(weight), dense)
    head = next(part for part in fast.parts if part.name == "head.linear")
    assert "5 x 128 is no multiple of 32 x 64" in head.reason


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(9, 1, 1), (9, 2, 1), (3, 1, 4), (5, 2, 2), (1, 1, 1)]
)
def test_convolutions_as_linear_maps(kernel: int, stride: int, dilation: int) -> None:
    padding = (kernel - 1) * dilation // 2
    conv = nn.Conv2d(4, 6, (kernel, 1), (stride, 1), (padding, 0), (dilation, 1)).double()
    matrix = conv.weight.squeeze(3).permute(0, 2, 1).flatten(1)
    x = torch.randn(3, 13, 5, 4, dtype=torch.double).permute(0, 3, 1, 2)
    found = FrameMap(conv, nn.Parameter(matrix))(x)
    torch.testing.assert_close(found, conv(x))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_weights_that_cannot_be_converted() -> None:
    with pytest.raises(InputError, match=r"train with structure='2:4' and sparsity=0.5 \(stages.0"):
        convert(copy_plain(make("stgcn", "unstructured", 0.6)).half(), Uncompressed)
    with pytest.raises(InputError, match="is no multiple of 32 x 64"):
        convert(copy_plain(make("stgcn", channels=8)).half(), Uncompressed)


def test_weights_that_are_not_multiplied_as_a_whole() -> None:
    model = copy_plain(make("stgcn")).half()
    conv = model.get_submodule("stages.1.gcn.conv")
    linear = conv._linear
    # As a layer would that multiplies its partitions one by one.
    conv._linear = lambda z: linear(z) + 0 * conv.weight.view(-1)[0]  # type: ignore[assignment]
    parts = {part.name: part for part in convert(model, Uncompressed).parts}
    assert parts["stages.1.gcn.conv"].reason == "its weight is not multiplied as a whole"
    assert parts["stages.1.tcn.conv"].is_sparse


def test_machines_without_the_products() -> None:
    cpu = torch.device("cpu")
    with pytest.raises(InputError, match="semi_structured: needs a CUDA device, not cpu"):
        semi_structured(make("stgcn"))
    assert "choose torch.float16 or torch.bfloat16" in why_not_semi_structured(cpu, torch.float32)
    assert why_not_backend("2:4", cpu) == "needs a CUDA device, not cpu"


def test_gpus_without_sparse_tensor_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    reason = why_not_semi_structured(torch.device("cuda"))
    assert reason == "needs a GPU of compute capability 8.0, such as an A100; Tesla T4 has 7.5"


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", list_models())
def test_on_a_gpu(name: str, dtype: torch.dtype) -> None:
    if reason := why_not_semi_structured(torch.device("cuda")):
        pytest.skip(reason)
    model = make(name).cuda()
    fast = semi_structured(model, dtype)
    assert any(part.is_sparse for part in fast.parts)
    x, *rest = random_clips(model, 2, 2, 12)
    with torch.no_grad():
        expected = copy_plain(model).to(dtype)(x.to(dtype), *rest).float()
    assert (fast(x, *rest) - expected).norm() / expected.norm() < 8 * torch.finfo(dtype).eps
    assert why_not_backend("2:4", torch.device("cuda"), model) == ""
    other = make(name, "unstructured", 0.6).cuda()
    assert "train with structure='2:4'" in why_not_backend("2:4", torch.device("cuda"), other)
