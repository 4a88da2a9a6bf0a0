from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pyg_stgcn import sparsity
from pyg_stgcn.checked import is_of_type
from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.options import METHODS, OPTIONS, DataOptions, OptimOptions, TrainOptions
from pyg_stgcn.runs.options_table import options_table
from pyg_stgcn.runs.recipe import describe_recipe
from pyg_stgcn.sparsity.allocation import ALLOCATIONS


def test_maskable_parameters_by_name() -> None:
    assert TrainOptions.of(dataset="a").maskable == {
        "include": None,
        "exclude": ("head.*",),
        "edges": False,
    }
    config = TrainOptions.of(dataset="a", include="a.*,b.*", exclude="", edge_sparsity=0.5)
    assert config.maskable == {"include": ("a.*", "b.*"), "exclude": (), "edges": True}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, r"^method 'magic': not one of the choices feedback, magnitude"),
        ({"recipe": "large"}, r"^recipe 'large': not one of the choices auto, small, published"),
        ({"sparsity": 1.0}, r"^sparsity 1\.0: out of range; choose from \[0, 1\)"),
        ({"val": "a.pkl", "val_split": 0.2}, "^val_split and val exclude each other"),
        ({"freeze_backbone": True}, "^freeze_backbone: needs weights"),
        ({"redraw": True}, "^redraw: needs a ticket"),
        ({"ticket": "a", "sparsity": 0.5}, "^ticket a: has its own masks .* leave sparsity out"),
        ({"ticket": "a", "exclude": "x"}, "^ticket a: has its own masks .* leave exclude out"),
        ({"save_epoch": 3, "epochs": 3}, "^save_epoch 3: the run has 3 epochs"),
        ({"save_epoch": 3, "sparsity": 0.5}, "^save_epoch: keeps weights of a dense network"),
        ({"balanced_sampler": True, "class_weights": "balanced"}, "^balanced_sampler: "),
        ({"experts": ["stgcn"]}, "^experts: needs levels"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainOptions.of(dataset="a", **options)


def test_parts_of_the_record_are_checked_too() -> None:
    with pytest.raises(InputError, match="batch_size 0"):
        TrainOptions(DataOptions("a"), optim=OptimOptions(batch_size=0))
    with pytest.raises(TypeError, match="there is no option colour"):
        TrainOptions.of(dataset="a", colour=1)


def test_choices_are_those_of_the_library() -> None:
    assert OPTIONS["method"].choices == METHODS
    assert {*METHODS} - {"released"} == {*sparsity.METHODS}
    assert {*OPTIONS["structure"].choices} == {*sparsity.STRUCTURES}
    assert OPTIONS["allocation"].choices == ALLOCATIONS


def test_every_option_has_one_line_of_help() -> None:
    for option in OPTIONS.values():
        assert re.fullmatch(r"[^\n]{5,90}\.", option.help), option.name
        assert (option.default is None) == (option.auto is not None), option.name
        assert (
            option.default is None
            or is_of_type(option.default, option.annotation)
            or (option.name == "dataset")
        )


@pytest.mark.parametrize(
    ("recipe", "clips", "line"),
    [
        ("auto", 431, "recipe: small data (431 clips): width 16, 48 frames, 100 epochs"),
        ("auto", 40_091, "recipe: published (40,091 clips): width 64, 100 frames, 80 epochs"),
        ("published", 431, "recipe: published (431 clips): width 64, 100 frames, 80 epochs"),
        ("small", 40_091, "recipe: small data (40,091 clips): width 16, 48 frames, 100 epochs"),
    ],
)
def test_a_recipe_by_name(recipe: str, clips: int, line: str) -> None:
    options = TrainOptions.of(dataset="a", recipe=recipe).with_recipe(clips, None)
    assert describe_recipe(options, clips) == line


def test_the_documents_hold_the_table() -> None:
    page = Path(__file__).parents[2] / "docs/reference/options.md"
    assert page.read_text(encoding="utf-8") == options_table()
