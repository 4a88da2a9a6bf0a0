"""Persons that are there, and persons that are padded."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_stgcn import create_model, get_skeleton
from pyg_stgcn.models import list_models
from pyg_stgcn.transforms import PadPersons


def clip(persons: int, frames: int = 12) -> Data:
    skeleton = get_skeleton("coco17")
    x = torch.randn(persons * 17, frames, 3, dtype=torch.float64)
    edges = [skeleton.edge_index() + 17 * person for person in range(persons)]
    return Data(x=x, edge_index=torch.cat(edges, dim=1), num_persons=persons)


@pytest.mark.parametrize("name", list_models())
def test_padding_changes_nothing_where_all_persons_are_there(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, 5, "coco17", base_channels=8).double().eval()
    clips = [clip(2) for _ in range(3)]
    padded = [PadPersons(2)(one.clone()) for one in clips]
    expected, found = (
        model(batch.x, batch.batch) for batch in map(Batch.from_data_list, (clips, padded))
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", list_models())
def test_padding_averages_with_a_person_of_zeros(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, 5, "coco17", base_channels=8).double().eval()
    alone = clip(1)
    both = model.forward_features(PadPersons(2)(alone.clone()).x)
    padded = model.forward_head(both, pre_logits=True)
    features = model.forward_head(model.forward_features(alone.x), pre_logits=True)
    by_person = both.mean(dim=(1, 2))
    torch.testing.assert_close(features[0], by_person[0])
    torch.testing.assert_close(padded[0], by_person.mean(0))
    assert not torch.allclose(padded, features)
