from __future__ import annotations

import inspect

import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import (
    STGCN,
    Backbone,
    create_model,
    list_models,
    register_model,
)


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
