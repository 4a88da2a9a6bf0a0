"""Assemblies against means taken by hand, and the counts of the paper's assembly."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import pytest
import torch
from torch import Tensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Assembly, Backbone, create_model

CLASSES = 6
MIXTURE = ("stgcn", "dgstgcn", "ctrgcn")


def make(names: Sequence[str], **options: object) -> list[Backbone]:
    made = [create_model(name, CLASSES, "coco17", base_channels=4, **options) for name in names]
    return cast(list[Backbone], made)


def clips(*persons: int) -> tuple[Tensor, Tensor]:
    nodes = 17 * torch.tensor(persons)
    return torch.randn(int(nodes.sum()), 9, 3), torch.arange(len(persons)).repeat_interleave(nodes)


def features_of(model: Assembly | Backbone, clips: tuple[Tensor, Tensor]) -> Tensor:
    return model.forward_head(model.forward_features(*clips), clips[1], pre_logits=True)


def linear(head: torch.nn.Module, features: Tensor) -> Tensor:
    return features @ head.linear.weight.T + head.linear.bias


def test_the_shared_classifier_reads_the_mean_of_the_features() -> None:
    assembly, batch = Assembly(make(MIXTURE)).eval(), clips(1, 2)
    features = [features_of(expert, batch) for expert in assembly.experts]
    mean = (features[0] + features[1] + features[2]) / 3
    torch.testing.assert_close(features_of(assembly, batch), mean)
    torch.testing.assert_close(assembly(*batch), linear(assembly.head, mean))
    logits, auxiliary = assembly.forward_all(*batch)
    torch.testing.assert_close(logits, assembly(*batch))
    for one, expert, part in zip(auxiliary, assembly.experts, features, strict=True):
        torch.testing.assert_close(one, linear(expert.head, part))
        torch.testing.assert_close(one, expert(*batch))


def test_the_mean_of_pooled_features_is_the_pooled_mean_of_the_maps() -> None:
    assembly, batch = Assembly(make(("stgcnpp", "aagcn"))).eval(), clips(1, 1)
    maps = assembly.forward_features(*batch)
    pooled = ((maps[0] + maps[1]) / 2).mean(dim=(1, 2))
    torch.testing.assert_close(features_of(assembly, batch), pooled)


def test_learned_weights_start_at_one_and_scale_the_features() -> None:
    experts, batch = make(("stgcn", "stgcn")), clips(2, 1)
    plain, weighted = Assembly(experts).eval(), Assembly(experts, learned_weights=True).eval()
    torch.testing.assert_close(features_of(weighted, batch), features_of(plain, batch))
    with torch.no_grad():
        weighted.expert_factors.copy_(torch.tensor([3.0, -0.5]))
    first, second = (features_of(expert, batch) for expert in experts)
    torch.testing.assert_close(features_of(weighted, batch), (3 * first - 0.5 * second) / 2)
    weighted(*batch).square().sum().backward()
    assert weighted.expert_factors.grad.isfinite().all()
    assert (weighted.expert_factors.grad != 0).all()


def test_a_single_expert_is_its_backbone() -> None:
    (backbone,) = make(("stgcn",))
    assembly, batch = Assembly([backbone]), clips(1, 2)
    assert torch.equal(assembly.eval()(*batch), backbone.eval()(*batch))
    logits, auxiliary = assembly.forward_all(*batch)
    assert auxiliary == []
    assert torch.equal(logits, backbone(*batch))
    assert {f"experts.0.{name}" for name in backbone.state_dict()} == assembly.state_dict().keys()


def test_experts_draw_their_own_graphs_and_weights() -> None:
    assembly = Assembly(make(("stgcn",) * 3, graph="random"))
    for one, other in pairwise(assembly.experts):
        for (name, ours), theirs in zip(one.named_parameters(), other.parameters(), strict=True):
            if ours.dim() > 1 or name.endswith("edge_weight"):
                assert not torch.equal(ours, theirs), name


def test_new_weights_and_a_new_classifier() -> None:
    assembly, batch = Assembly(make(("stgcn", "stgcnpp")), learned_weights=True), clips(1, 1)
    before = copy.deepcopy(assembly.state_dict())
    with torch.no_grad():
        assembly.expert_factors.fill_(2)
    assembly.reset_parameters()
    after = assembly.state_dict()
    assert torch.equal(after["expert_factors"], torch.ones(2))
    for name in ("shared_head", "experts.0.head", "experts.1.head"):
        assert not torch.equal(before[f"{name}.linear.weight"], after[f"{name}.linear.weight"])
    assembly.reset_classifier(9)
    logits, auxiliary = assembly.forward_all(*batch)
    assert [part.shape for part in (logits, *auxiliary)] == [(2, 9)] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_channels": 8}, r"expert 2 \(STGCN\) has num_features 32, expert 1 .* has 16"),
        ({"in_channels": 6}, "expert 2 .* has in_channels 6"),
        ({"skeleton": "hand21"}, "expert 2 .* has skeleton"),
        ({"num_classes": 5}, "expert 2 .* has num_classes 5"),
    ],
)
def test_experts_must_agree(options: dict[str, object], message: str) -> None:
    own = {"num_classes": CLASSES, "skeleton": "coco17", "base_channels": 4} | options
    other = create_model("stgcn", **own)
    with pytest.raises(InputError, match=message):
        Assembly([*make(("stgcn",)), cast(Backbone, other)])
    with pytest.raises(InputError, match="at least one"):
        Assembly([])
