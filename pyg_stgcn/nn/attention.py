"""The attention of AAGCN over joints, frames and channels."""

from __future__ import annotations

from torch import Tensor, nn


class STCAttention(nn.Module):
    r"""The attention module of the `"Skeleton-Based Action Recognition with Multi-Stream Adaptive
    Graph Convolutional Networks" <https://arxiv.org/abs/1912.06971>`_ paper.

    Three gates in a row, over joints, frames and channels, each
    :math:`\mathbf{y} \gets \mathbf{y} + \mathbf{y} \odot \mathbf{g}`:

    .. math::
        \mathbf{g}_V &= \sigma(\mathrm{Conv}(\mathrm{mean}_T\, \mathbf{y})) \\
        \mathbf{g}_T &= \sigma(\mathrm{Conv}(\mathrm{mean}_V\, \mathbf{y})) \\
        \mathbf{g}_C &= \sigma(\mathbf{W}_2\, \mathrm{ReLU}(\mathbf{W}_1\,
            \mathrm{mean}_{T,V}\, \mathbf{y}))

    The gates of frames and channels start at one half, their last weights at zero.

    Args:
        channels (int): Channels :math:`C`.
        num_joints (int): Number of joints :math:`V`, which sets the span of the first gate.

    Shapes:
        - **input:** :math:`(P, T, V, C)`
        - **output:** :math:`(P, T, V, C)`
    """

    def __init__(self, channels: int, num_joints: int) -> None:
        super().__init__()
        span = num_joints if num_joints % 2 else num_joints - 1
        squeezed = max(channels // 2, 1)
        self.joint_conv = nn.Conv1d(channels, 1, span, padding=span // 2)
        self.frame_conv = nn.Conv1d(channels, 1, 9, padding=4)
        self.squeeze = nn.Linear(channels, squeezed)
        self.excite = nn.Linear(squeezed, channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new weights."""
        nn.init.xavier_normal_(self.joint_conv.weight)
        nn.init.kaiming_normal_(self.squeeze.weight)
        for layer in (self.frame_conv, self.excite):
            nn.init.zeros_(layer.weight)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Weighs joints, then frames, then channels."""
        gate = self.joint_conv(x.mean(1).transpose(1, 2)).sigmoid()
        x = x * (1 + gate.view(x.size(0), 1, -1, 1))
        gate = self.frame_conv(x.mean(2).transpose(1, 2)).sigmoid()
        x = x * (1 + gate.view(x.size(0), -1, 1, 1))
        gate = self.excite(self.squeeze(x.mean((1, 2))).relu()).sigmoid()
        return x * (1 + gate.view(x.size(0), 1, 1, -1))
