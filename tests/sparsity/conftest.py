from __future__ import annotations

import pytest
from torch import nn


class _STGCNShapes(nn.Module):
    """The convolutions of a width-64 ST-GCN with three partitions, by stage and kind."""

    def __init__(self) -> None:
        super().__init__()
        widths = [(3, 64), (64, 64), (64, 64), (64, 64), (64, 128), (128, 128), (128, 128)]
        widths += [(128, 256), (256, 256), (256, 256)]
        self.gcn = nn.ModuleList(nn.Conv2d(c, 3 * d, 1) for c, d in widths)
        self.tcn = nn.ModuleList(nn.Conv2d(d, d, (9, 1)) for _, d in widths)
        self.residual = nn.ModuleList(nn.Conv2d(c, d, 1) for c, d in ((64, 128), (128, 256)))
        self.norms = nn.ModuleList(nn.BatchNorm2d(d) for _, d in widths)


@pytest.fixture
def stgcn_shapes() -> nn.Module:
    return _STGCNShapes()
