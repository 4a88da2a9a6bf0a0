"""From features to classes."""

from __future__ import annotations

from torch import Tensor, nn


class ClassifierHead(nn.Module):
    r"""Dropout and one linear map whose weights start small, :math:`\mathcal{N}(0, 0.01^2)`.

    Args:
        in_channels (int): Channels :math:`C` of the features.
        num_classes (int): Number of classes.
        dropout (float): Probability of dropping a feature. (default: :obj:`0.0`)

    Shapes:
        - **input:** :math:`(N, C)`
        - **output:** :math:`(N, \mathrm{classes})`
    """

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(in_channels, num_classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new weights; biases start at zero."""
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps features to logits."""
        return self.linear(self.dropout(x))
