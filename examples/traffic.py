"""The spatial convolution of ST-GCN outside of skeletons: forecasts for a network of sensors."""

import torch
from torch import Tensor, nn
from torch_geometric.utils import to_undirected

from pyg_stgcn.nn import STGraphConv

SENSORS, HISTORY = 40, 12


def make_traffic(steps: int) -> tuple[Tensor, Tensor]:
    """Waves of traffic that travel from sensor to sensor: ``[steps, SENSORS]``, and the roads."""
    place = torch.rand(SENSORS, 2)
    distance = torch.cdist(place, place)
    nearest = distance.topk(5, largest=False).indices[:, 1:]
    source = torch.arange(SENSORS).repeat_interleave(4)
    roads = to_undirected(torch.stack([source, nearest.flatten()]))
    weight = torch.exp(-8 * distance) * (distance < 0.3)
    weight = weight / weight.sum(1, keepdim=True)
    flow = torch.zeros(steps, SENSORS)
    for step in range(1, steps):
        flow[step] = 0.97 * weight @ flow[step - 1] + 0.4 * torch.randn(SENSORS)
    return flow, roads


class Forecaster(nn.Module):
    """A graph convolution in every time step, then a GRU over time, sensor by sensor."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        # Two types of edges: a sensor's own past, and that of its neighbours.
        self.spatial = STGraphConv(1, hidden, num_partitions=2)
        self.temporal = nn.GRU(hidden, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x: Tensor, edge_index: Tensor, edge_type: Tensor) -> Tensor:
        """Map the history ``[B, HISTORY, SENSORS, 1]`` to the next value ``[B, SENSORS]``."""
        h = self.spatial(x, edge_index, edge_type=edge_type).relu()
        out, _ = self.temporal(h.transpose(1, 2).flatten(0, 1))
        return self.head(out[:, -1]).view(x.size(0), -1)


def main(steps: int = 300) -> tuple[float, float]:
    """Return the mean absolute error of the model, and of 'as it is now', on later traffic."""
    torch.manual_seed(0)
    flow, roads = make_traffic(1200)
    own = torch.arange(SENSORS).repeat(2, 1)
    edge_index = torch.cat([own, roads], dim=1)
    edge_type = (torch.arange(edge_index.size(1)) >= SENSORS).long()

    windows = flow.unfold(0, HISTORY + 1, 1).transpose(1, 2)  # [windows, HISTORY + 1, SENSORS]
    past, following = windows[:, :-1, :, None], windows[:, -1]
    model = Forecaster()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        chosen = torch.randint(900, (32,))
        optimizer.zero_grad()
        loss = (model(past[chosen], edge_index, edge_type) - following[chosen]).abs().mean()
        loss.backward()
        optimizer.step()

    later = slice(950, None)
    with torch.no_grad():
        error = (model(past[later], edge_index, edge_type) - following[later]).abs().mean()
    return float(error), float((past[later, -1, :, 0] - following[later]).abs().mean())


if __name__ == "__main__":
    model_error, naive_error = main()
    print(f"mean absolute error: {model_error:.3f}, of the last value: {naive_error:.3f}")
