from __future__ import annotations

import math
from types import UnionType
from typing import Any, get_args, get_origin

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.ranges import BATCH, Range, whole
from pyg_stgcn.runs.options import OPTIONS, TrainOptions

TRAINING = {name: option.allowed for name, option in OPTIONS.items() if option.allowed}
#: None of them is in any range.
NEVER = [math.nan, math.inf, -math.inf, -1, -1.0, 1e30, -1e30, 5 * 10**400, "3", True]


def is_numeric(annotation: Any) -> bool:
    return bool(kinds(annotation) & {int, float, list[int], list[float]})


def kinds(annotation: Any) -> set[Any]:
    return set(get_args(annotation)) if get_origin(annotation) is UnionType else {annotation}


def is_list(name: str) -> bool:
    return any(get_origin(kind) is list for kind in kinds(OPTIONS[name].annotation))


def test_every_number_of_a_training_has_a_range() -> None:
    numbers = {name for name, option in OPTIONS.items() if is_numeric(option.annotation)}
    # Those of augmentations are checked by their transforms.
    assert numbers == set(TRAINING)
    for name, allowed in TRAINING.items():
        assert allowed.whole == bool(kinds(OPTIONS[name].annotation) & {int, list[int]}), name
        assert math.isfinite(allowed.low) and math.isfinite(allowed.high)


@pytest.mark.parametrize("name", TRAINING)
def test_trainings_refuse_numbers_out_of_range(name: str) -> None:
    allowed = TRAINING[name]
    wrong = [*NEVER, allowed.high * 1.01 + 1, allowed.high if allowed.high_open else -0.001]
    wrong += [0] if allowed.low_open or allowed.low > 0 else []
    wrong += [0.5, 2.0] if allowed.whole else []
    for value in wrong:
        given = [value] if is_list(name) else value
        with pytest.raises(InputError, match=f"{name} .*out of range; choose from"):
            TrainOptions.of(dataset="data", **{name: given})
        with pytest.raises(InputError, match=name):
            TrainOptions.of(dataset="data").replace(**{name: given})


@pytest.mark.parametrize("name", TRAINING)
def test_trainings_take_both_ends_of_a_range(name: str) -> None:
    allowed = TRAINING[name]
    kind = int if allowed.whole else float
    low = math.nextafter(allowed.low, 1) if allowed.low_open else allowed.low
    high = math.nextafter(allowed.high, 0) if allowed.high_open else allowed.high
    for value in (kind(low), kind(high)):
        given = [value] if is_list(name) else value
        assert TrainOptions.of(dataset="data", **{name: given}).flat()[name] == given


@pytest.mark.parametrize("batch_size", [1, BATCH.high])
@pytest.mark.parametrize("clips", [1, 4_999, 5_000, 10**6])
def test_what_recipes_fill_in_is_in_range(batch_size: int, clips: int) -> None:
    for method in ("feedback", "score", "released", "rigl"):
        config = TrainOptions.of(dataset="data", batch_size=batch_size, method=method)
        assert config.with_recipe(clips, None).optim.lr


def test_a_list_is_checked_number_by_number() -> None:
    with pytest.raises(InputError, match=r"levels 1\.2: out of range"):
        TrainOptions.of(dataset="data", levels=[0.5, 1.2])


@pytest.mark.parametrize("devices", ["0", "5000000000", "9" * 5_000])
def test_nobody_has_so_many_devices(devices: str) -> None:
    with pytest.raises(InputError, match=r"devices .*out of range"):
        TrainOptions.of(dataset="data", devices=devices)
    assert TrainOptions.of(dataset="data", devices="2").hardware.devices == "2"


def test_numbers_of_numpy_are_numbers() -> None:
    assert np.float32(0.5) in Range(0, 1) and np.int64(3) in whole(1, 3)
    assert np.float64("nan") not in Range(0, 1) and np.float64(3) not in whole(1, 3)


def test_ranges_are_told_as_they_are() -> None:
    assert str(Range(0, 1, high_open=True)) == "[0, 1)"
    assert str(Range(0, 1, low_open=True)) == "(0, 1]"
    assert str(whole(1, 20)) == "whole numbers from 1 to 20"
