import pytest
import torch
from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import kept_weights, masked_parameters, report, sparsify, summary


class TwoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, (2, 1))
        self.norm = nn.BatchNorm2d(4)
        self.edge_weight = nn.Parameter(torch.ones(5))
        self.head = nn.Linear(4, 2)


def masked_by_hand() -> TwoLayers:
    model = TwoLayers()
    sparsify(model, 0.0, edge_sparsity=0.5)
    masks = {entry.name: entry.mask for entry in masked_parameters(model)}
    masks["conv.weight"].fill_(False)
    masks["conv.weight"][0, 1, :, 0] = True
    masks["conv.weight"][2, 1, 0, 0] = True
    masks["head.weight"].fill_(False)
    masks["edge_weight"].fill_(True)
    masks["edge_weight"][:2] = False
    return model


def test_counts_of_masks() -> None:
    edge, conv, head = report(masked_by_hand())
    assert (conv.name, conv.shape, conv.numel, conv.kept) == ("conv.weight", (4, 3, 2, 1), 24, 3)
    assert (conv.dead_rows, conv.dead_cols, conv.empty) == (2, 2, False)
    assert conv.sparsity == 1 - 3 / 24
    assert (head.name, head.kept, head.dead_rows, head.dead_cols) == ("head.weight", 0, 2, 4)
    assert head.empty
    assert head.sparsity == 1
    assert (edge.name, edge.kept, edge.dead_rows, edge.dead_cols) == ("edge_weight", 3, 0, 0)
    assert edge.is_edge


def test_totals_leave_scores_out() -> None:
    totals = summary(masked_by_hand())
    # 24 + 4 convolution, 8 norm, 5 edges, 8 + 2 head
    assert totals.params_total == 51
    assert (totals.params_maskable, totals.maskable_kept) == (32, 3)
    assert (totals.edges_maskable, totals.edges_kept) == (5, 3)
    assert totals.params_kept == 51 - 29 - 2
    assert totals.sparsity == 1 - 3 / 32
    assert totals.edge_sparsity == 2 / 5
    assert totals.params_kept_fraction == 20 / 51


def test_folded_module_reports_its_zeros() -> None:
    model = TwoLayers()
    controller = sparsify(model, 0.7, exclude="head.*", edge_sparsity=0.4)
    layers, totals = report(model), summary(model)
    controller.finalize()
    assert report(model, exclude="head.*", edges=True) == layers
    assert summary(model, exclude="head.*", edges=True) == totals
    assert [layer.name for layer in report(model)] == ["conv.weight", "head.weight"]
    assert report(model, include="head.weight")[0].kept == 8


def test_given_masks_count_and_not_the_zeros() -> None:
    masked = masked_by_hand()
    masks = kept_weights(masked)
    # As a file may give them: in any order.
    given = dict(reversed(masks.items()))
    plain = TwoLayers()
    nn.init.zeros_(plain.head.weight)
    nn.init.zeros_(plain.conv.weight)
    assert report(plain, given) == report(masked)
    assert summary(plain, given) == summary(masked)
    assert list(kept_weights(plain, given)) == list(masks)
    # Dense networks have none.
    assert report(plain, {}) == report(plain)
    assert [layer.kept for layer in report(plain)] == [0, 0]


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"tail.weight": torch.ones(2, 4, dtype=torch.bool)}, "no weight of this name"),
        ({"head.weight": torch.ones(2, 4)}, "needs torch.bool"),
        ({"head.weight": torch.ones(2, 3, dtype=torch.bool)}, r"of shape \(2, 4\)"),
    ],
)
def test_masks_of_another_module_are_refused(masks: dict[str, torch.Tensor], message: str) -> None:
    for count in (kept_weights, report, summary):
        with pytest.raises(InputError, match=message):
            count(TwoLayers(), masks)
