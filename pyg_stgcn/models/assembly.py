"""Several backbones that are trained as one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.hub_mixin import HubMixin
from pyg_stgcn.nn import ClassifierHead

#: Attributes that the experts of an assembly must have in common.
_COMMON = ("skeleton", "in_channels", "num_classes", "num_features")


class Assembly(HubMixin, nn.Module):
    r"""The multi-level sparsity assembly, from the `"Are Spatial-Temporal Graph Convolution
    Networks for Human Action Recognition Over-Parameterized?" <https://arxiv.org/abs/2505.10679>`_
    paper.

    Several experts, each a complete backbone with a graph and weights of its own, see the same
    clips. A shared classifier reads the mean of their features,

    .. math::
        \bar{\mathbf{h}} = \frac{1}{E} \sum_e a_e \mathbf{h}_e,

    where :math:`a_e = 1` unless learned. (The paper pools the mean of the feature maps.
    Pooling is linear, so both are the same.) Each expert's own classifier sees this expert alone;
    it helps the training and takes no part in the prediction. A single expert has no second
    classifier: its own is the shared one.

    The experts may have different sparsities: mask each of :obj:`assembly.experts`.

    Args:
        experts (sequence of Backbone): At least one. They may be of different kinds if they agree
            in skeleton, channels, classes and number of features.
        learned_weights (bool): If set to :obj:`True`, the factors :math:`a_e` are learned.
            (default: :obj:`False`)

    Shapes:
        - **x:** :math:`(P V, T, C)`, the joints of a person together
        - **batch:** the clip of every node, ascending, :math:`(P V)` *(optional)*
        - **output:** logits of the shared classifier :math:`(N, \mathrm{classes})`

    Raises:
        InputError: If there are no experts, or they do not agree.
    """

    expert_factors: nn.Parameter | None

    def __init__(self, experts: Sequence[Backbone], learned_weights: bool = False) -> None:
        super().__init__()
        _check(experts)
        first = experts[0]
        self.experts = nn.ModuleList(experts)
        self.skeleton = first.skeleton
        self.in_channels = first.in_channels
        self.num_classes = first.num_classes
        self.num_features = first.num_features
        self.shared_head: ClassifierHead | None = None
        if len(experts) > 1:
            self.shared_head = ClassifierHead(self.num_features, self.num_classes, first.dropout)
        self.register_parameter(
            "expert_factors",
            nn.Parameter(torch.ones(len(experts))) if learned_weights else None,
        )

    @property
    def head(self) -> ClassifierHead:
        """The shared classifier."""
        return self._backbones[0].head if self.shared_head is None else self.shared_head

    @property
    def _backbones(self) -> list[Backbone]:
        return cast(list[Backbone], list(self.experts))

    def reset_parameters(self) -> None:
        """Draws new weights (and new random graphs) and resets the statistics."""
        for expert in self._backbones:
            expert.reset_parameters()
        self.head.reset_parameters()
        if self.expert_factors is not None:
            nn.init.ones_(self.expert_factors)

    def reset_classifier(self, num_classes: int) -> None:
        """Puts new, untrained classifiers on the features: the shared one and the experts' own.

        Args:
            num_classes: Number of classes.

        Raises:
            InputError: If it is less than 1.
        """
        for expert in self._backbones:
            expert.reset_classifier(num_classes)
        self.num_classes = num_classes
        if self.shared_head is not None:
            old = self.shared_head
            head = ClassifierHead(self.num_features, num_classes, old.dropout.p)
            self.shared_head = head.to(old.linear.weight).train(self.training)

    def forward(
        self, x: Tensor, batch: Tensor | None = None, batch_size: int | None = None
    ) -> Tensor:
        """Maps clips to the logits of the shared classifier, see :meth:`Backbone.forward`."""
        return self.forward_head(self.forward_features(x, batch, batch_size), batch, batch_size)

    def forward_features(
        self, x: Tensor, batch: Tensor | None = None, batch_size: int | None = None
    ) -> list[Tensor]:
        """Maps clips to the feature maps of their persons, of every expert.

        Experts may differ in the number of frames that they leave, so these are a list.
        """
        return [expert.forward_features(x, batch, batch_size) for expert in self._backbones]

    def forward_head(
        self,
        maps: Sequence[Tensor],
        batch: Tensor | None = None,
        batch_size: int | None = None,
        pre_logits: bool = False,
    ) -> Tensor:
        """Maps the feature maps of all experts to the logits of the shared classifier.

        Args:
            maps (sequence of torch.Tensor): Of all experts, see :meth:`forward_features`.
            batch (torch.Tensor, optional): The clip of every node.
            batch_size (int, optional): The number of clips.
            pre_logits (bool): If set to :obj:`True`, returns the mean of the experts' features,
                shape :math:`(N, C')`, instead of the logits. (default: :obj:`False`)
        """
        features = self.mean_features(self._pool(maps, batch, batch_size))
        return features if pre_logits else self.head(features)

    def forward_all(
        self, x: Tensor, batch: Tensor | None = None, batch_size: int | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Maps clips to the logits of the shared classifier, and those of each expert's own.

        A single expert has none of its own.
        """
        return self.forward_heads(self.forward_features(x, batch, batch_size), batch, batch_size)

    def forward_heads(
        self, maps: Sequence[Tensor], batch: Tensor | None = None, batch_size: int | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Maps the feature maps of all experts to the logits of :meth:`forward_all`."""
        features = self._pool(maps, batch, batch_size)
        return self.head(self.mean_features(features)), self.expert_logits(features)

    def expert_features(
        self, x: Tensor, batch: Tensor | None = None, batch_size: int | None = None
    ) -> Tensor:
        """Maps clips to the features of every expert, shape :math:`(E, N, C')`."""
        return self._pool(self.forward_features(x, batch, batch_size), batch, batch_size)

    def _pool(self, maps: Sequence[Tensor], batch: Tensor | None, batch_size: int | None) -> Tensor:
        return torch.stack(
            [
                expert.forward_head(part, batch, batch_size, pre_logits=True)
                for expert, part in zip(self._backbones, maps, strict=True)
            ]
        )

    def expert_logits(self, features: Tensor) -> list[Tensor]:
        """Maps the features of all experts to the logits of each one's own classifier."""
        if self.shared_head is None:
            return []
        parts = zip(self._backbones, features, strict=True)
        return [expert.head(part) for expert, part in parts]

    def mean_features(self, features: Tensor, members: Sequence[int] | None = None) -> Tensor:
        r"""The mean of the features of some experts, with their factors if these are learned.

        Args:
            features (torch.Tensor): Of all experts.
            members (sequence of int, optional): Experts to take, counted from 0 (default: all).

        Shapes:
            - **features:** :math:`(E, N, C')`
            - **output:** :math:`(N, C')`
        """
        if self.expert_factors is not None:
            features = features * self.expert_factors.view(-1, 1, 1)
        return (features if members is None else features[list(members)]).mean(dim=0)


def _check(experts: Sequence[Backbone]) -> None:
    if not experts:
        raise InputError("experts: none given; an assembly needs at least one backbone")
    for number, expert in enumerate(experts[1:], start=2):
        for name in _COMMON:
            first, other = getattr(experts[0], name), getattr(expert, name)
            if first != other:
                raise InputError(
                    f"experts: expert {number} ({type(expert).__name__}) has {name} {other}, "
                    f"expert 1 ({type(experts[0]).__name__}) has {first}; make all with the same "
                    "skeleton, channels, classes and width"
                )
