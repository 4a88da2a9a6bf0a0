from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import (
    STGCN,
    Backbone,
    create_model,
    list_models,
    register_model,
    registry,
)
from pyg_stgcn.models.blocks import Block, SpatialUnit, Stage
from pyg_stgcn.nn import MSTCN
from pyg_stgcn.sparsity import masked_parameters, sparsify


def test_lists_and_makes_models() -> None:
    assert list_models() == ["aagcn", "ctrgcn", "dgstgcn", "stgcn", "stgcnpp"]
    model = create_model("stgcn", 5, "coco17", base_channels=4, graph="uniform")
    assert isinstance(model, STGCN)
    assert model.num_features == 16
    assert model.stages[0].gcn.adjacency.num_partitions == 1


@pytest.mark.parametrize("name", list_models())
def test_options_are_explicit_and_documented(name: str) -> None:
    factory = type(create_model(name, 5, "coco17", base_channels=4))
    for part in (factory, Backbone):
        parameters = inspect.signature(part).parameters.values()
        assert [entry.name for entry in parameters][:2] == ["num_classes", "skeleton"]
        options = [entry for entry in parameters if entry.kind is entry.KEYWORD_ONLY]
        assert all(
            f"        {entry.name} (" in f"{part.__doc__}{Backbone.__doc__}" for entry in options
        )
        for entry in options:
            create_model(name, 5, "coco17", **{"base_channels": 4, entry.name: entry.default})


def test_unknown_model_suggests_one() -> None:
    with pytest.raises(
        InputError, match=r"'st-gcn'.*did you mean 'stgcn'\?.*choose one of .*stgcn"
    ):
        create_model("st-gcn", 5, "coco17")


def test_unknown_option_names_the_valid_ones() -> None:
    with pytest.raises(
        InputError, match=r"base_chanels: .*did you mean 'base_channels'\?.*in_channels, base_chan"
    ):
        create_model("stgcn", 5, "coco17", base_chanels=4)
    with pytest.raises(InputError) as error:
        create_model("stgcn", 5, "coco17", a=1)
    assert "num_classes" not in str(error.value)


def test_unknown_skeleton_and_partition() -> None:
    with pytest.raises(InputError, match="coco71"):
        create_model("stgcn", 5, "coco71")
    with pytest.raises(InputError, match="spatail"):
        create_model("stgcn", 5, "coco17", graph="spatail")


def test_a_name_is_registered_once() -> None:
    def stgcn() -> STGCN:
        raise AssertionError

    with pytest.raises(ValueError, match="'stgcn' is already registered"):
        register_model(stgcn)


class Averaged(nn.Module):
    """A layer of a user: a linear map of the neighbours' mean, on dense graphs only."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels))

    def forward(self, x: Tensor, dense_adj: Tensor) -> Tensor:
        num_joints = x.size(-2)
        graph = dense_adj.view(num_joints, -1, num_joints).mean(1)
        return graph @ x @ self.weight.t()


def test_a_backbone_of_a_user_with_a_layer_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))

    @register_model
    class Own(Backbone):
        """A backbone of a user."""

        def make_block(self, stage: Stage) -> Block:
            conv = Averaged(stage.in_channels, stage.out_channels)
            gcn = SpatialUnit(conv, stage.graph, "init")  # type: ignore[arg-type]
            return Block(stage, gcn, MSTCN(stage.out_channels, stage.stride))

    model = create_model("own", 5, "coco17", base_channels=8, person_slots=2)
    sparsify(model, 0.8, exclude="head.*")
    x, batch = torch.randn(3 * 17, 8, 3), torch.tensor([0, 0, 1]).repeat_interleave(17)
    model(x, batch, 2).square().sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    masked = {entry.name: entry for entry in masked_parameters(model)}
    assert "stages.3.gcn.conv.weight" in masked
    for entry in masked.values():
        assert not getattr(entry.owner, entry.attribute)[~entry.mask].any()
    with pytest.raises(InputError, match=r"tcn_dropuot: .*did you mean 'tcn_dropout'"):
        create_model("own", 5, "coco17", tcn_dropuot=0.1)
