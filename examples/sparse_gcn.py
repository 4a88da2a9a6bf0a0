"""A fifth of the weights and 70 % of the edges of a stock PyG network."""

import torch
from torch import Tensor, nn
from torch_geometric.datasets import KarateClub
from torch_geometric.nn import GCN

from pyg_stgcn.sparsity import make_schedule, sparsify, summary


class EdgeWeightedGCN(nn.Module):
    """A GCN that learns how much each edge counts. The name ``edge_weight`` makes it maskable."""

    def __init__(self, in_channels: int, num_classes: int, num_edges: int) -> None:
        super().__init__()
        self.gcn = GCN(in_channels, 32, num_layers=2, out_channels=num_classes)
        self.edge_weight = nn.Parameter(torch.ones(num_edges))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.gcn(x, edge_index, self.edge_weight.abs())


def main(steps: int = 200) -> float:
    """Train on all but ten members of the club; return the accuracy on those ten."""
    torch.manual_seed(0)
    club = KarateClub()[0]
    test = torch.zeros(club.num_nodes, dtype=torch.bool)
    test[torch.randperm(club.num_nodes)[:10]] = True

    model = EdgeWeightedGCN(club.num_features, int(club.y.max()) + 1, club.num_edges)
    schedule = make_schedule("cubic", 0.8, total_steps=steps)
    controller = sparsify(model, 0.8, edge_sparsity=0.3, schedule=schedule)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=5e-4)
    for _ in range(steps):
        optimizer.zero_grad()
        logits = model(club.x, club.edge_index)
        nn.functional.cross_entropy(logits[~test], club.y[~test]).backward()
        optimizer.step()
        controller.step()

    controller.finalize()
    counts = summary(model, edges=True)
    print(f"weights kept: {counts.maskable_kept} of {counts.params_maskable}")
    print(f"edges kept:   {counts.edges_kept} of {counts.edges_maskable}")
    hits = model.eval()(club.x, club.edge_index).argmax(1) == club.y
    return float(hits[test].float().mean())


if __name__ == "__main__":
    print(f"accuracy:     {main():.0%}")
