"""The reference implementation: padded persons, channels first, ``Conv2d``, ``einsum``.

Written plainly after the papers, with the names of PYSKL's weights, so that
:func:`pyg_stgcn.models.pyskl_state_dict` and published files fit. For comparisons only.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from pyg_stgcn.skeletons import get_skeleton

BASE, STAGES, GROWING = 64, range(1, 11), (5, 8)


def conv1x1(channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out_channels, 1, (stride, 1))


def temporal_conv(
    channels: int, out_channels: int, kernel: int, stride: int = 1, dilation: int = 1
) -> nn.Conv2d:
    padding = ((kernel - 1) * dilation // 2, 0)
    return nn.Conv2d(
        channels, out_channels, (kernel, 1), (stride, 1), padding, dilation=(dilation, 1)
    )


def projection(channels: int, out_channels: int) -> nn.Module:
    """The residual path of a spatial unit."""
    if channels == out_channels:
        return nn.Identity()
    return nn.Sequential(conv1x1(channels, out_channels), nn.BatchNorm2d(out_channels))


class UnitTCN(nn.Module):
    """A convolution over time, with or without batch norm."""

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: int = 9,
        stride: int = 1,
        dilation: int = 1,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.conv = temporal_conv(channels, out_channels, kernel, stride, dilation)
        self.bn = nn.BatchNorm2d(out_channels) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class UnitGCN(nn.Module):
    """ST-GCN and ST-GCN++: map to K partitions, then sum over the neighbours in each."""

    def __init__(
        self, channels: int, out_channels: int, graph: Tensor, fixed: bool, residual: bool
    ) -> None:
        super().__init__()
        if fixed:
            self.register_buffer("A", graph.clone())
            self.PA = nn.Parameter(torch.ones_like(graph))
        else:
            self.A = nn.Parameter(graph.clone())
            self.PA = None
        self.conv = conv1x1(channels, len(graph) * out_channels)
        self.bn = nn.BatchNorm2d(out_channels)
        self.down = projection(channels, out_channels) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        graph = self.A if self.PA is None else self.A * self.PA
        parts = self.conv(x).unflatten(1, (len(graph), -1))
        out = self.bn(torch.einsum("bkctv,kvw->bctw", parts, graph))
        return torch.relu(out if self.down is None else out + self.down(x))


class UnitAAGCN(nn.Module):
    """AAGCN: the graph plus the similarity of joints, then three attentions."""

    def __init__(self, channels: int, out_channels: int, graph: Tensor) -> None:
        super().__init__()
        self.A = nn.Parameter(graph.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        embedded = out_channels // 4
        for name, width in (("conv_a", embedded), ("conv_b", embedded), ("conv_d", out_channels)):
            self.add_module(name, nn.ModuleList(conv1x1(channels, width) for _ in graph))
        num_joints = graph.size(1)
        span = num_joints - 1 + num_joints % 2
        self.conv_ta = nn.Conv1d(out_channels, 1, 9, padding=4)
        self.conv_sa = nn.Conv1d(out_channels, 1, span, padding=(span - 1) // 2)
        self.fc1c = nn.Linear(out_channels, out_channels // 2)
        self.fc2c = nn.Linear(out_channels // 2, out_channels)
        self.bn = nn.BatchNorm2d(out_channels)
        self.down = projection(channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        total = 0
        for graph, conv_a, conv_b, conv_d in zip(
            self.A, self.conv_a, self.conv_b, self.conv_d, strict=True
        ):
            a = conv_a(x).permute(0, 3, 1, 2).flatten(2)
            similarity = torch.tanh(a @ conv_b(x).flatten(1, 2) / a.size(-1))
            summed = x.flatten(1, 2) @ (graph + self.alpha * similarity)
            total = total + conv_d(summed.view_as(x))
        y = torch.relu(self.bn(total) + self.down(x))
        y = y * self.conv_sa(y.mean(2)).sigmoid().unsqueeze(2) + y
        y = y * self.conv_ta(y.mean(3)).sigmoid().unsqueeze(3) + y
        gate = self.fc2c(self.fc1c(y.mean((2, 3))).relu()).sigmoid()
        return y * gate[..., None, None] + y


class CTRPart(nn.Module):
    """One partition of CTR-GCN: a graph for every channel."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        relation = 8 if channels <= 16 else channels // 8
        self.conv1 = conv1x1(channels, relation)
        self.conv2 = conv1x1(channels, relation)
        self.conv3 = conv1x1(channels, out_channels)
        self.conv4 = conv1x1(relation, out_channels)

    def forward(self, x: Tensor, graph: Tensor, alpha: Tensor) -> Tensor:
        p, q = self.conv1(x).mean(2), self.conv2(x).mean(2)
        refined = self.conv4(torch.tanh(p.unsqueeze(-1) - q.unsqueeze(-2))) * alpha + graph
        return torch.einsum("bcuv,bctu->bctv", refined, self.conv3(x))


class UnitCTRGCN(nn.Module):
    """CTR-GCN: the sum of its partitions."""

    def __init__(self, channels: int, out_channels: int, graph: Tensor) -> None:
        super().__init__()
        self.A = nn.Parameter(graph.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.convs = nn.ModuleList(CTRPart(channels, out_channels) for _ in graph)
        self.bn = nn.BatchNorm2d(out_channels)
        self.down = projection(channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        total = 0
        for part, graph in zip(self.convs, self.A, strict=True):
            total = total + part(x, graph, self.alpha)
        return torch.relu(self.bn(total) + self.down(x))


class UnitDGGCN(nn.Module):
    """DG-STGCN: eight groups of channels, each with a graph per channel and one per group."""

    def __init__(self, channels: int, out_channels: int, graph: Tensor) -> None:
        super().__init__()
        self.A = nn.Parameter(graph.clone())
        self.alpha = nn.Parameter(torch.zeros(len(graph)))
        self.beta = nn.Parameter(torch.zeros(len(graph)))
        width = len(graph) * (out_channels // 8)
        self.pre = nn.Sequential(conv1x1(channels, width), nn.BatchNorm2d(width), nn.ReLU())
        self.conv1 = conv1x1(channels, width)
        self.conv2 = conv1x1(channels, width)
        self.post = conv1x1(width, out_channels)
        self.bn = nn.BatchNorm2d(out_channels)
        self.down = projection(channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        groups = (len(self.A), -1)
        features = self.pre(x).unflatten(1, groups)
        mean = x.mean(2, keepdim=True)
        p = self.conv1(mean).squeeze(2).unflatten(1, groups)
        q = self.conv2(mean).squeeze(2).unflatten(1, groups)
        channelwise = torch.tanh(p.unsqueeze(-1) - q.unsqueeze(-2))
        groupwise = torch.einsum("bkcu,bkcv->bkuv", p, q).softmax(-2).unsqueeze(2)
        graph = self.alpha[0] * channelwise + self.beta[0] * groupwise + self.A.unsqueeze(1)
        out = torch.einsum("bkctv,bkcvw->bkctw", features, graph).flatten(1, 2)
        return torch.relu(self.bn(self.post(out)) + self.down(x))


class MSTCN(nn.Module):
    """Six branches over time, of ST-GCN++ and, with the mean joint beside the others, DG-STGCN."""

    def __init__(self, channels: int, stride: int, mean_joint: bool) -> None:
        super().__init__()
        width = channels // 6
        widths = [channels - 5 * width, *[width] * 5]
        branches: list[nn.Module] = []
        for dilation, q in enumerate(widths[:4], start=1):
            conv = UnitTCN(q, q, 3, stride, dilation, norm=False)
            branches.append(nn.Sequential(*self._start(channels, q), conv))
        pool = nn.MaxPool2d((3, 1), (stride, 1), (1, 0))
        branches.append(nn.Sequential(*self._start(channels, width), pool))
        branches.append(conv1x1(channels, width, stride))
        self.branches = nn.ModuleList(branches)
        self.transform = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), conv1x1(channels, channels)
        )
        self.bn = nn.BatchNorm2d(channels)
        self.add_coeff = nn.Parameter(torch.zeros(25)) if mean_joint else None

    @staticmethod
    def _start(channels: int, width: int) -> Iterable[nn.Module]:
        return conv1x1(channels, width), nn.BatchNorm2d(width), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        num_joints = x.size(-1)
        if self.add_coeff is not None:
            x = torch.cat([x, x.mean(-1, keepdim=True)], -1)
        out = torch.cat([branch(x) for branch in self.branches], 1)
        if self.add_coeff is not None:
            mean = torch.einsum("nct,v->nctv", out[..., num_joints], self.add_coeff[:num_joints])
            out = out[..., :num_joints] + mean
        return self.bn(self.transform(out))


class CTRTCN(nn.Module):
    """The four branches over time of CTR-GCN."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        width = channels // 4
        branches: list[nn.Module] = []
        for dilation in (1, 2):
            conv = UnitTCN(width, width, 5, stride, dilation)
            branches.append(nn.Sequential(*MSTCN._start(channels, width), conv))
        pool = nn.MaxPool2d((3, 1), (stride, 1), (1, 0))
        start = MSTCN._start(channels, width)
        branches.append(nn.Sequential(*start, pool, nn.BatchNorm2d(width)))
        rest = channels - 3 * width
        branches.append(nn.Sequential(conv1x1(channels, rest, stride), nn.BatchNorm2d(rest)))
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1).relu()


class Block(nn.Module):
    """One stage. CTR-GCN has other names for its two halves."""

    def __init__(
        self, gcn: nn.Module, tcn: nn.Module, residual: nn.Module | None, suffix: str
    ) -> None:
        super().__init__()
        self.halves = (f"gcn{suffix}", f"tcn{suffix}")
        for name, half in zip(self.halves, (gcn, tcn), strict=True):
            self.add_module(name, half)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        gcn, tcn = (getattr(self, name) for name in self.halves)
        out = tcn(gcn(x))
        return torch.relu(out if self.residual is None else out + self.residual(x))


def make_block(
    model: str, channels: int, out_channels: int, stride: int, graph: Tensor, fixed: bool
) -> Block:
    if model in ("stgcn", "stgcnpp"):
        gcn: nn.Module = UnitGCN(channels, out_channels, graph, fixed, model == "stgcnpp")
    else:
        unit = {"aagcn": UnitAAGCN, "ctrgcn": UnitCTRGCN, "dgstgcn": UnitDGGCN}[model]
        gcn = unit(channels, out_channels, graph)
    if model in ("stgcn", "aagcn"):
        tcn: nn.Module = UnitTCN(out_channels, out_channels, stride=stride)
    elif model == "ctrgcn":
        tcn = CTRTCN(out_channels, stride)
    else:
        tcn = MSTCN(out_channels, stride, mean_joint=model == "dgstgcn")
    residual: nn.Module | None = nn.Identity()
    if channels == 3:
        residual = None
    elif channels != out_channels:
        residual = UnitTCN(channels, out_channels, 1, stride)
    return Block(gcn, tcn, residual, "1" if model == "ctrgcn" else "")


class ReferenceBackbone(nn.Module):
    """From clips ``[N, M, T, V, C]`` to features ``[N, C']``."""

    def __init__(self, model: str, skeleton: str, graph: str, width: int = BASE) -> None:
        super().__init__()
        start = get_skeleton(skeleton).graph(graph, 8 if model == "dgstgcn" else 3).dense()
        self.per_person = model in ("aagcn", "ctrgcn")
        if self.per_person:
            self.register_buffer("A", start.clone())
        num_features = start.size(1) * 3 * (2 if self.per_person else 1)
        self.data_bn = nn.BatchNorm1d(num_features)
        blocks, channels = [], 3
        fixed = model == "stgcn" and graph != "random"
        for stage in STAGES:
            out_channels = width * 2 ** sum(stage >= other for other in GROWING)
            stride = 2 if stage in GROWING else 1
            blocks.append(make_block(model, channels, out_channels, stride, start, fixed))
            channels = out_channels
        self.name = "net" if model == "ctrgcn" else "gcn"
        self.add_module(self.name, nn.ModuleList(blocks))
        self.num_features = channels

    def forward(self, x: Tensor) -> Tensor:
        n, m, t, v, c = x.shape
        x = x.permute(0, 1, 3, 4, 2).contiguous()
        together = (n, m * v * c, t) if self.per_person else (n * m, v * c, t)
        x = self.data_bn(x.view(together)).view(n * m, v, c, t)
        x = x.permute(0, 2, 3, 1).contiguous()
        for block in getattr(self, self.name):
            x = block(x)
        return x.mean((2, 3)).view(n, m, -1).mean(1)


class ReferenceModel(nn.Module):
    """Backbone and classifier: clips ``[N, M, T, V, C]`` to logits ``[N, num_classes]``."""

    def __init__(
        self, model: str, num_classes: int, skeleton: str, graph: str, width: int = BASE
    ) -> None:
        super().__init__()
        self.backbone = ReferenceBackbone(model, skeleton, graph, width)
        self.cls_head = nn.ModuleDict(
            {"fc_cls": nn.Linear(self.backbone.num_features, num_classes)}
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.cls_head["fc_cls"](self.backbone(x))
