"""Single layers of any model on the kernels."""

from __future__ import annotations

from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_stgcn.runtime.fold import frames_first
from pyg_stgcn.runtime.lanes import LANES
from pyg_stgcn.runtime.layers import SparseConv
from pyg_stgcn.runtime.sparse_weights import cost

Layer = nn.Linear | nn.Conv1d | nn.Conv2d

# Times of sixteen outputs, relative to one weight of the row kernel: one weight of a dense product,
# and one channel converted to the layout of the kernels or back (timed layer by layer, AVX-512).
DENSE_COST = 0.5
PACK_COST = 28.0


def fits(module: nn.Module) -> TypeGuard[Layer]:
    """Tells if the kernels support a layer: its kind, float32, on the CPU."""
    if type(module) is nn.Linear:
        known = True
    elif type(module) is nn.Conv1d:
        known = _is_plain(module)
    elif type(module) is nn.Conv2d:
        over_time = (module.kernel_size[1], module.stride[1], module.padding[1]) == (1, 1, 0)
        known = _is_plain(module) and over_time
    else:
        return False
    weight = module.weight
    return known and weight.device.type == "cpu" and weight.dtype == torch.float32


def is_faster(layer: Layer) -> bool:
    """Tells if the kernels are faster than the dense layer, by their measured costs.

    The time of a sparse layer grows with its kept weights, and with the channels of input and
    output, whose layout it converts; that of a dense layer with all weights, at less time a weight.
    """
    weight, _ = frames_first(layer)
    packing = PACK_COST * (weight.size(0) + weight.size(2))
    return cost(weight) + packing < DENSE_COST * layer.weight.numel()


def sparse_layer(layer: Layer) -> nn.Module:
    """A layer on the kernels with the same inputs and outputs."""
    if isinstance(layer, nn.Linear):
        return SparseLinear(layer)
    return SparseConv1d(layer) if isinstance(layer, nn.Conv1d) else SparseConv2d(layer)


class SparseLinear(nn.Module):
    r"""A linear map.

    Shapes:
        - **input:** :math:`(*, C)`, float32 on the CPU
        - **output:** :math:`(*, C')`
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.conv = SparseConv(*frames_first(layer))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Maps the last dimension."""
        rows = x.reshape(-1, x.size(-1))
        full = F.pad(rows, (0, 0, 0, -rows.size(0) % LANES))
        # Rows in blocks of lanes, block after block as if they were frames.
        packed = torch.ops.pyg_stgcn.pack(full.view(1, -1, LANES, x.size(-1)), 0)
        out = torch.ops.pyg_stgcn.unpack(self.conv(packed), 0, LANES)
        return out.flatten(0, 2)[: rows.size(0)].view(*x.shape[:-1], self.conv.rows)


class SparseConv2d(nn.Module):
    r"""A convolution over the first of two dimensions.

    Shapes:
        - **input:** :math:`(N, C, T, V)` or :math:`(C, T, V)`, float32 on the CPU
        - **output:** :math:`(N, C', T', V)` or :math:`(C', T', V)`
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.conv = _over_time(layer)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Convolves."""
        maps = x if x.dim() == 4 else x.unsqueeze(0)
        packed = torch.ops.pyg_stgcn.pack(maps.permute(0, 2, 3, 1), self.conv.padding)
        out = torch.ops.pyg_stgcn.unpack(self.conv(packed), 0, x.size(-1)).permute(0, 3, 1, 2)
        return out if x.dim() == 4 else out.squeeze(0)


class SparseConv1d(nn.Module):
    r"""A convolution; the samples of a batch lie side by side, as joints do.

    Shapes:
        - **input:** :math:`(N, C, T)` or :math:`(C, T)`, float32 on the CPU
        - **output:** :math:`(N, C', T')` or :math:`(C', T')`
    """

    def __init__(self, layer: nn.Conv1d) -> None:
        super().__init__()
        self.conv = _over_time(layer)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Convolves."""
        maps = x if x.dim() == 3 else x.unsqueeze(0)
        packed = torch.ops.pyg_stgcn.pack(maps.permute(2, 0, 1).unsqueeze(0), self.conv.padding)
        out = torch.ops.pyg_stgcn.unpack(self.conv(packed), 0, maps.size(0))
        out = out.squeeze(0).permute(1, 2, 0)
        return out if x.dim() == 3 else out.squeeze(0)


def _over_time(layer: nn.Conv1d | nn.Conv2d) -> SparseConv:
    padding = int(layer.padding[0])
    weight, bias = frames_first(layer)
    return SparseConv(weight, bias, layer.stride[0], padding)


def _is_plain(layer: nn.Conv1d | nn.Conv2d) -> bool:
    return layer.groups == 1 and layer.padding_mode == "zeros" and isinstance(layer.padding, tuple)
