"""Several backbones that are trained as one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.nn import ClassifierHead

#: What the experts of an assembly must have in common.
_COMMON = ("skeleton", "in_channels", "num_classes", "num_features")


class Assembly(nn.Module):
    r"""The multi-level sparsity assembly, from the `"Are Spatial-Temporal Graph Convolution
    Networks for Human Action Recognition Over-Parameterized?" <https://arxiv.org/abs/2505.10679>`_
    paper.

    Several experts, each a complete backbone with a graph and weights of its own, see the same
    clips. A shared classifier reads the mean of their features,

    .. math::
        \bar{\mathbf{h}} = \frac{1}{E} \sum_e a_e \mathbf{h}_e,

    where :math:`a_e = 1` unless learned. (The paper takes the mean of the feature maps and pools it
    then. Pooling is linear, so that is the same.) Each expert's own classifier judges it alone; it
    serves the training, and takes no part in the prediction. A single expert has no second
    classifier: its own is the shared one.

    How sparse the experts are is not the assembly's business: mask each of
    :obj:`assembly.experts`.

    Args:
        experts (sequence of Backbone): At least one. They may be of different kinds if they agree
            in skeleton, channels, classes and number of features.
        learned_weights (bool): If set to :obj:`True`, the factors :math:`a_e` are learned.
            (default: :obj:`False`)

    Shapes:
        - **input:** a :class:`~torch_geometric.data.Data` or a
          :class:`~torch_geometric.data.Batch` with **x** :math:`(P V, T, C)`, the joints of a
          person together, and **num_persons**
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
        """Draws new weights (and new random graphs) and forgets the statistics."""
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

    def forward(self, batch: Data | Batch) -> Tensor:
        """Maps a batch to the logits of the shared classifier."""
        return self.head(self.forward_features(batch))

    def forward_features(self, batch: Data | Batch) -> Tensor:
        """Maps a batch to the mean of the experts' features, shape :math:`(N, C')`."""
        return self.mean_features(self.expert_features(batch))

    def forward_all(self, batch: Data | Batch) -> tuple[Tensor, list[Tensor]]:
        """Maps a batch to the logits of the shared classifier, and those of each expert's own.

        A single expert has none of its own.
        """
        features = self.expert_features(batch)
        return self.head(self.mean_features(features)), self.expert_logits(features)

    def expert_features(self, batch: Data | Batch) -> Tensor:
        """Maps a batch to the features of every expert, shape :math:`(E, N, C')`."""
        return torch.stack([expert.forward_features(batch) for expert in self._backbones])

    def expert_logits(self, features: Tensor) -> list[Tensor]:
        """Maps the features of all experts to the logits of each one's own classifier."""
        if self.shared_head is None:
            return []
        parts = zip(self._backbones, features, strict=True)
        return [expert.head(part) for expert, part in parts]

    def mean_features(self, features: Tensor, members: Sequence[int] | None = None) -> Tensor:
        r"""The mean of the features of some experts, with their factors where these are learned.

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
