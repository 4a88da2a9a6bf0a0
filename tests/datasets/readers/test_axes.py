from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.datasets import SkeletonArrays
from pyg_stgcn.datasets.readers.axes import axes_hint, likely_axes
from pyg_stgcn.errors import InputError


@pytest.mark.parametrize("persons", [1, 2])
@pytest.mark.parametrize("order", itertools.permutations(range(4)))
def test_the_transpose_that_is_named_mends_the_array(persons: int, order: tuple[int, ...]) -> None:
    """For every order of the axes: the number of frames is known, and the channels are three."""
    right = (persons, 110, 25, 3)
    given = tuple(right[axis] for axis in order)
    axes = likely_axes(given, joints=25, frames=110, last_is_wrong=order[3] != 3)
    if order == (0, 1, 2, 3):
        assert axes is None
        return
    assert axes is not None
    mended = tuple(given[axis] for axis in axes)
    if persons == 2 and mended != right:  # Two persons may be two channels.
        assert mended == (3, 110, 25, 2)
    else:
        assert mended == right


@pytest.mark.parametrize("order", [(1, 0, 2, 3), (0, 2, 1, 3), (3, 1, 2, 0), (0, 1, 3, 2)])
@pytest.mark.parametrize("joints", [None, 17])
def test_common_orders_are_found_without_the_number_of_frames(
    order: tuple[int, ...], joints: int | None
) -> None:
    given = tuple((1, 60, 17, 3)[axis] for axis in order)
    axes = likely_axes(given, joints)
    assert axes is not None
    assert tuple(given[axis] for axis in axes) == (1, 60, 17, 3)
    assert f"array.transpose{axes}" in axes_hint(given, joints)


def test_nothing_is_said_where_no_order_fits() -> None:
    assert axes_hint((7, 8, 9, 10)) == ""
    assert axes_hint((1, 60, 17, 3)) == ""
    assert axes_hint((4, 4)) == ""


def test_an_array_without_the_axis_of_the_persons() -> None:
    assert "array[None]" in axes_hint((60, 17, 3))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((1, 17, 60, 3)), r"has 60 joints, .*\.transpose\(0, 2, 1, 3\)"),
        (np.ones((3, 60, 17, 1)), r"has 1 channels .*\.transpose\(3, 1, 2, 0\)"),
        (np.ones((3, 60, 17, 2)), r"has 2-D joints .*\.transpose\(3, 1, 2, 0\)"),
        (np.ones((1, 60, 3, 17)), r"has 17 channels .*\.transpose\(0, 1, 3, 2\)"),
        (np.ones((60, 17, 3)), r"add the axis of the persons with array\[None\]"),
    ],
)
def test_errors_name_the_likely_order(tmp_path: Any, array: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        SkeletonArrays(tmp_path, [array] * 3, [0, 0, 0], "coco17")
    assert len(str(caught.value)) < 400
