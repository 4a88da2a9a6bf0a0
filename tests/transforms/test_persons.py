from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.transforms import PadPersons


def test_second_person_is_zero_and_has_its_own_bones(clips: SimpleNamespace) -> None:
    clip = clips.random(persons=1)
    output = PadPersons(2)(clip)
    assert torch.equal(output.x[:25], clip.x)
    assert not output.x[25:].any()
    assert output.x.shape == (50, 12, 3)
    edges = get_skeleton("ntu25").edge_index()
    assert torch.equal(output.edge_index, torch.cat([edges, edges + 25], dim=1))
    assert output.num_persons == 2
    assert clip.num_persons == 1
    assert output.y.tolist() == [3]


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(0, 3))
def test_padding_then_removing_changes_nothing(
    clips: SimpleNamespace, persons: int, more: int
) -> None:
    clip = clips.random(persons=persons, frames=3)
    padded = PadPersons(persons + more)(clip)
    assert padded.num_nodes == 25 * (persons + more)
    restored = PadPersons(persons)(padded)
    assert torch.equal(restored.x, clip.x)
    assert torch.equal(restored.edge_index, clip.edge_index)
    assert restored.num_persons == persons


def test_too_few_persons() -> None:
    with pytest.raises(InputError, match="num_persons: 0 is too few"):
        PadPersons(0)
