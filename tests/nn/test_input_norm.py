from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from pyg_stgcn.nn import PersonNorm
from pyg_stgcn.nn.input_norm import normalize_rows, person_positions

T, V, C = 5, 4, 3


def make(num_slots: int = 2) -> PersonNorm:
    norm = PersonNorm(V * C, num_slots).double()
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    return norm


def features(num_persons: int) -> Tensor:
    return torch.randn(num_persons, T, V, C, dtype=torch.float64)


def test_equals_the_published_norm_where_nobody_is_missing() -> None:
    norm, x = make(), features(6)
    published = nn.BatchNorm1d(2 * V * C).double()
    with torch.no_grad():
        for name in ("weight", "bias"):
            joined = torch.cat([getattr(slot, name) for slot in norm.slots])
            getattr(published, name).copy_(joined)
    # [N, M, T, V, C] to [N, M*V*C, T]
    samples = x.view(3, 2, T, V, C)
    for training in (True, True, False):
        norm.train(training)
        published.train(training)
        flat = published(samples.permute(0, 1, 3, 4, 2).reshape(3, -1, T))
        expected = flat.view(3, 2, V, C, T).permute(0, 1, 4, 2, 3).reshape(x.shape)
        out = norm(x, torch.tensor([0, 0, 1, 1, 2, 2]))
        torch.testing.assert_close(out, expected)
    for name in ("running_mean", "running_var"):
        joined = torch.cat([getattr(slot, name) for slot in norm.slots])
        torch.testing.assert_close(joined, getattr(published, name))


def test_persons_are_normalised_by_their_place_in_the_sample() -> None:
    norm, x = make().eval(), features(7)
    out = norm(x, torch.tensor([0, 1, 1, 1, 1, 2, 2]))
    first, second = (slot(x.view(-1, V * C)).view(x.shape) for slot in norm.slots)
    is_first = torch.tensor([1, 1, 0, 0, 0, 1, 0]).bool()[:, None, None, None]
    torch.testing.assert_close(out, torch.where(is_first, first, second))


def test_an_empty_slot_learns_nothing() -> None:
    norm = make()
    norm(features(3), torch.tensor([0, 1, 2]))
    first, second = norm.slots
    assert first.running_mean.any()
    assert not second.running_mean.any()
    assert int(second.num_batches_tracked) == 0


def single_persons(num_slots: int = 2) -> PersonNorm:
    """A norm that has been trained on samples of one person."""
    norm = make(num_slots)
    for _ in range(3):
        norm(4 + features(5), torch.arange(5))
    return norm.eval()


def test_persons_of_a_slot_that_was_never_trained_are_normalised_by_the_last_that_was() -> None:
    norm = single_persons(num_slots=3)
    assert norm.trained_slots().tolist() == [0, 0, 0]
    x = features(7)
    torch.testing.assert_close(
        norm(x, torch.tensor([0, 1, 1, 1, 1, 2, 2])), norm.slots[0](x.view(-1, V * C)).view(x.shape)
    )
    norm.train()(features(4), torch.tensor([0, 0, 1, 1]))
    assert norm.trained_slots().tolist() == [0, 1, 1]
    norm.eval()
    first, second = (slot(x.view(-1, V * C)).view(x.shape) for slot in norm.slots[:2])
    out = norm(x, torch.tensor([0, 1, 1, 1, 1, 2, 2]))
    assert torch.equal(out[[0, 1, 5]], first[[0, 1, 5]])
    assert torch.equal(out[[2, 3, 4, 6]], second[[2, 3, 4, 6]])


def test_in_training_every_slot_learns_for_itself() -> None:
    norm = single_persons().train()
    second = norm.slots[1]
    norm(features(4), torch.tensor([0, 0, 1, 1]))
    assert int(second.num_batches_tracked) == 1


def test_statistics_that_were_loaded_stay() -> None:
    """Statistics of a file without counters, and statistics of slots that were all trained."""
    norm = make().eval()
    assert norm.trained_slots().tolist() == [0, 1]
    norm.train()(features(4), torch.tensor([0, 0, 1, 1]))
    other = make()
    other.load_state_dict(norm.state_dict())
    assert other.trained_slots().tolist() == [0, 1]


def test_a_single_row_is_normalised_by_what_is_known() -> None:
    norm, x = make(), features(5)
    norm(x, torch.tensor([0, 0, 1, 1, 2]))
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    pose = x[:2, :1]  # A sample of two persons in one frame: one row a slot, without a variance.
    out = norm(pose, torch.tensor([0, 0]))
    torch.testing.assert_close(out, norm.eval()(pose, torch.tensor([0, 0])))
    for name, value in norm.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_rows_are_those_of_a_batch_norm_where_it_works(rows: int) -> None:
    x = torch.randn(rows, 3)
    ours, theirs = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    out = normalize_rows(ours, x)
    if rows > 1:
        assert torch.equal(out, theirs(x))
        assert torch.equal(ours.running_var, theirs.running_var)
    else:
        with pytest.raises(ValueError, match="more than 1 value"):
            theirs(x)
        assert torch.equal(out, theirs.eval()(x))


def test_gradients() -> None:
    norm = make().eval()
    x = features(4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: norm(x, torch.tensor([0, 0, 0, 1])), x)


def test_reset_parameters() -> None:
    norm = make()
    norm(features(4), torch.tensor([0, 0, 1, 1]))
    norm.reset_parameters()
    for slot in norm.slots:
        assert torch.equal(slot.weight, torch.ones_like(slot.weight))
        assert not slot.running_mean.any()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("clips", [[0, 0, 1, 2, 2, 2], [0, 1, 2], [0, 0]])
def test_a_gpu_gets_the_same_without_selecting_persons(training: bool, clips: list[int]) -> None:
    norm, batch = make(3).train(training), torch.tensor(clips)
    other = copy.deepcopy(norm)
    x = features(len(clips)) + 2
    if clips == [0, 0]:
        x = x[:, :1]  # A single row a slot.
    slot = person_positions(len(x), batch, x.device).clamp(max=2)
    if not training:
        slot = other.trained_slots()[slot]
    torch.testing.assert_close(other._without_selection(x, slot), norm(x, batch))
    for (name, found), expected in zip(
        other.state_dict().items(), norm.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(found, expected, msg=name)
