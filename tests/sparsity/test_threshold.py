from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_stgcn.sparsity.threshold import keep_highest, num_pruned


def test_example() -> None:
    scores = torch.tensor([0.3, -0.1, 0.7, 0.2, 0.5])
    assert num_pruned(0.5, 5) + 1 == 3
    assert keep_highest(scores, 2).tolist() == [True, False, True, False, True]


def test_a_whole_st_gcn() -> None:
    n = 3_052_096
    assert num_pruned(0.95, n) + 1 == 2_899_491
    assert int(keep_highest(torch.randn(n), num_pruned(0.95, n)).sum()) == 152_606


def test_extremes() -> None:
    assert num_pruned(0.0, 1000) == 0
    assert num_pruned(math.nextafter(1, 0), 1000) == 999
    assert num_pruned(0.5, 2) == 0  # round half to even
    assert num_pruned(0.5, 4) == 2


@settings(deadline=None)
@given(
    values=st.lists(
        st.one_of(st.integers(-2, 2), st.floats(-1e3, 1e3, width=32)), min_size=1, max_size=60
    ),
    sparsity=st.floats(0, 1, exclude_max=True),
)
def test_exactly_the_lowest_go_ties_in_order(values: list[float], sparsity: float) -> None:
    pruned = num_pruned(sparsity, len(values))
    order = sorted(range(len(values)), key=lambda i: (values[i], i))
    expected = [True] * len(values)
    for i in order[:pruned]:
        expected[i] = False
    keys = torch.tensor(values, dtype=torch.float32)
    assert keep_highest(keys, pruned).tolist() == expected


@pytest.mark.cuda
def test_same_on_a_cuda_device() -> None:
    keys = torch.randint(-50, 50, (10_000,)).float()
    for pruned in (1, 4_000, 9_999):
        assert keep_highest(keys.cuda(), pruned).cpu().equal(keep_highest(keys, pruned))


def test_nan_counts_as_highest() -> None:
    scores = torch.tensor([math.nan, 1.0, math.nan, 2.0, 0.0])
    assert keep_highest(scores, 2).tolist() == [True, False, True, True, False]
