"""Times the backbones, and the adaptive graph convolutions against the reference.

    python benchmarks/backbones.py --threads 1

For every model: milliseconds per clip of two persons. For every adaptive graph convolution: the
reference implementation (channels first, one convolution per partition, ``einsum`` over the joints)
and ours, on 8 persons. Medians, forward / forward and backward.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from spatial_conv import forward_and_train
from torch import Tensor, nn

from pyg_stgcn.models import create_model, list_models, random_clips
from pyg_stgcn.nn import AAGraphConv, CTRGraphConv, DGGraphConv

V, PERSONS = 25, 8


class Reference(nn.Module):
    """The base of the reference implementations: K graphs, and 1x1 convolutions by name."""

    def __init__(self, channels: int, num_partitions: int, **widths: tuple[int, int]) -> None:
        super().__init__()
        self.graph = nn.Parameter(torch.rand(num_partitions, V, V))
        for name, (inside, outside) in widths.items():
            convs = [nn.Conv2d(inside, outside, 1) for _ in range(num_partitions)]
            setattr(self, name, nn.ModuleList(convs))


class ReferenceAAGCN(Reference):
    def __init__(self, channels: int) -> None:
        embedded = (channels, channels // 4)
        super().__init__(channels, 3, a=embedded, b=embedded, d=(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        out = []
        for conv_a, conv_b, conv_d, graph in zip(self.a, self.b, self.d, self.graph, strict=True):
            a = conv_a(x).permute(0, 3, 1, 2).flatten(2)
            similarity = (a @ conv_b(x).flatten(1, 2) / a.size(-1)).tanh()
            out.append(conv_d((x.flatten(1, 2) @ (graph + similarity)).view_as(x)))
        return sum(out)


class ReferenceCTRGCN(Reference):
    def __init__(self, channels: int) -> None:
        relation = (channels, channels // 8)
        wide, back = (channels, channels), (channels // 8, channels)
        super().__init__(channels, 3, p=relation, q=relation, u=wide, r=back)

    def forward(self, x: Tensor) -> Tensor:
        out = []
        for p, q, u, r, graph in zip(self.p, self.q, self.u, self.r, self.graph, strict=True):
            relation = (p(x).mean(-2).unsqueeze(-1) - q(x).mean(-2).unsqueeze(-2)).tanh()
            out.append(torch.einsum("ncuv,nctu->nctv", r(relation) + graph, u(x)))
        return sum(out)


class ReferenceDGSTGCN(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.graph = nn.Parameter(torch.rand(8, 1, V, V))
        self.pre = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.p, self.q, self.post = (nn.Conv2d(channels, channels, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(-2, keepdim=True)
        p, q = (conv(mean).squeeze(2).unflatten(1, (8, -1)) for conv in (self.p, self.q))
        score = torch.einsum("nkcu,nkcv->nkuv", p, q).softmax(-2)
        graph = self.graph + (p.unsqueeze(-1) - q.unsqueeze(-2)).tanh() + score.unsqueeze(2)
        h = self.pre(x).unflatten(1, (8, -1))
        return self.post(torch.einsum("nkctv,nkcvw->nkctw", h, graph).flatten(1, 2))


CONVS: dict[str, tuple[Callable[[int], nn.Module], type, int]] = {
    "AAGCN": (ReferenceAAGCN, AAGraphConv, 3),
    "CTR-GCN": (ReferenceCTRGCN, CTRGraphConv, 3),
    "DG-STGCN": (ReferenceDGSTGCN, DGGraphConv, 8),
}


def compare_convs(rounds: int) -> None:
    """Prints the times of every adaptive graph convolution and its reference."""
    for name, (make_reference, make_ours, num_partitions) in CONVS.items():
        for channels, frames in ((64, 100), (256, 25)):
            x = torch.randn(PERSONS, channels, frames, V, requires_grad=True)
            last = x.detach().permute(0, 2, 3, 1).contiguous().requires_grad_()
            reference, ours = (
                make_reference(channels),
                make_ours(channels, channels, num_partitions),
            )
            prior = torch.rand(V * num_partitions, V, requires_grad=True)
            times = forward_and_train(
                {
                    "reference": (lambda u=reference, x=x: u(x), [x, *reference.parameters()]),
                    "ours": (
                        lambda o=ours, x=last, p=prior: o(x, dense_adj=p),
                        [last, prior, *ours.parameters()],
                    ),
                },
                rounds,
            )
            print(name, f"C={channels} T={frames}", *_shown(times), sep="  ")


def time_models(rounds: int, clips: int = 4) -> None:
    """Prints the milliseconds per clip of every model."""
    for name in list_models():
        model = create_model(name, 60, "ntu25")
        batch = random_clips(model, clips, 2, 100)
        runs = {name: (lambda m=model, b=batch: m(*b), [*model.parameters()])}
        times = forward_and_train(runs, rounds)
        per_clip = {name: (times[name][0] / clips, times[name][1] / clips)}
        print(*_shown(per_clip))


def _shown(times: dict[str, tuple[float, float]]) -> list[str]:
    return [f"{name}: {forward:.0f} / {both:.0f}" for name, (forward, both) in times.items()]


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    time_models(arguments.rounds)
    compare_convs(arguments.rounds)


if __name__ == "__main__":
    main()
