"""Own backbones and layers: compiled if all layers are known, else dense with a warning."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from pyg_stgcn.models import STGCN, create_model, random_clips, registry
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.nn import TemporalConv
from pyg_stgcn.runtime import SparseBackbone, compile_sparse
from pyg_stgcn.runtime.supported import unsupported
from pyg_stgcn.sparsity import sparsify

pytestmark = pytest.mark.usefixtures("native")


class Doubled(nn.Linear):
    """A layer with weights of its own kind."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Softened(TemporalConv):
    """A temporal convolution with another forward pass than its base."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).tanh()


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a backbone registered by a user."""
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))

    @registry.register_model
    class Soft(STGCN):
        """ST-GCN with another temporal half in its third stage."""

        def __init__(self, num_classes: int, skeleton: str, base_channels: int = 8) -> None:
            super().__init__(num_classes, skeleton, base_channels=base_channels)
            channels = self.stages[2].tcn.conv.out_channels
            self.stages[2].tcn = Softened(channels, channels)

    return "soft"


def make(name: str) -> Backbone:
    torch.manual_seed(0)
    model = create_model(name, 5, "coco17", base_channels=8)
    assert isinstance(model, Backbone)
    sparsify(model, 0.9, exclude="head.*").finalize()
    return model.eval()


def same_outputs(compiled: nn.Module, model: Backbone | Assembly) -> None:
    clips = random_clips(model, 2, 2, 12)
    with torch.no_grad():
        torch.testing.assert_close(compiled(*clips), model(*clips), rtol=1e-4, atol=1e-5)


def test_an_own_backbone_with_an_own_layer(name: str) -> None:
    model = make(name)
    with pytest.warns(UserWarning, match=r"Soft\.stages\.2\.tcn .* Softened") as caught:
        compiled = compile_sparse(model)
    assert len(caught) == 1
    assert not isinstance(compiled, SparseBackbone)
    same_outputs(compiled, model)


def test_an_own_backbone_of_known_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))

    @registry.register_model
    class Narrow(STGCN):
        """ST-GCN with other defaults."""

    model = make("narrow")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled = compile_sparse(model)
    assert isinstance(compiled, SparseBackbone)
    same_outputs(compiled, model)


def test_an_own_forward_pass_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))

    @registry.register_model
    class Louder(STGCN):
        """ST-GCN with logits ten times as large."""

        def forward(self, *args: Tensor) -> Tensor:
            return 10 * super().forward(*args)

    model = make("louder")
    with pytest.warns(UserWarning, match=r"Louder\.forward"):
        compiled = compile_sparse(model)
    same_outputs(compiled, model)


def test_one_warning_for_an_assembly(name: str) -> None:
    model = Assembly([make("stgcn"), make(name), make(name)]).eval()
    with pytest.warns(UserWarning, match=r"Softened, and 1 more") as caught:
        compiled = compile_sparse(model)
    assert len(caught) == 1
    assert isinstance(compiled.experts[0], SparseBackbone)
    same_outputs(compiled, model)


def test_a_pruned_own_layer_of_another_model() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), Doubled(64, 64))
    with torch.no_grad():
        model[2].weight[4:] = 0
    with pytest.warns(UserWarning, match=r"Sequential\.2 .* Doubled"):
        compiled = compile_sparse(model)
    x = torch.randn(3, 64)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x))


@pytest.mark.parametrize(
    ("place", "layer"),
    [
        ("stages.2.gcn.norm", nn.Identity()),
        ("stages.2.tcn", nn.Conv2d(8, 8, 1)),
        ("stages.2.gcn.conv", nn.Linear(8, 8)),
        ("stages.2", nn.Identity()),
        ("data_norm", nn.Identity()),
    ],
)
def test_known_layers_in_other_places(place: str, layer: nn.Module) -> None:
    model = create_model("stgcn", 5, "coco17", base_channels=8)
    assert isinstance(model, Backbone) and not unsupported(model)
    parent, _, child = place.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)
    assert place in unsupported(model)
