"""Normalisation of the data on its way into a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_stgcn.nn.device_path import few_launches


def normalize_rows(norm: nn.BatchNorm1d, rows: Tensor) -> Tensor:
    """Normalise the rows of a batch, also in training a single one, which has no variance.

    Such a row, of one person in one frame, is normalised by the running statistics, which do not
    change.

    Shapes:
        - **rows:** :math:`(R, C)`
        - **output:** :math:`(R, C)`
    """
    # A subclass shares its statistics with other processes, which have further rows.
    if norm.training and len(rows) == 1 and type(norm) is nn.BatchNorm1d:
        return F.batch_norm(
            rows, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
        )
    return cast(Tensor, norm(rows))


def person_positions(num_persons: int, batch: Tensor | None, device: torch.device) -> Tensor:
    """The number of each person within its clip, counted from 0, shape :math:`(P)`.

    Args:
        num_persons: The number of persons :math:`P`.
        batch: The clip of every person, ascending; all belong to one clip if it is not given.
        device: The device of the result.
    """
    positions = torch.arange(num_persons, device=device)
    if batch is None:
        return positions
    # Persons of earlier clips, by pairs: ONNX has no search.
    return positions - (batch.unsqueeze(1) > batch).sum(1)


class PersonNorm(nn.Module):
    r"""A batch norm per person slot, joint and channel.

    The reference implementation pads every clip to the same number of persons and normalises
    person, joint and channel together (``MVC``). Here no clip is padded: the first person of a clip
    is normalised by the first slot, the second by the second, and persons after the last slot by
    the last. The statistics of a slot are those of its persons; if every clip is padded to the
    number of slots, they are those of the reference implementation.

    In evaluation a slot that has never seen a person, as after a training on single persons, is
    replaced by the last one before it that has: it has no statistics.

    Args:
        num_features (int): Joints times channels, :math:`V C`.
        num_slots (int): Number of person slots. (default: :obj:`2`)

    Shapes:
        - **x:** :math:`(P, T, V, C)`, **batch:** :math:`(P)`
        - **output:** :math:`(P, T, V, C)`
    """

    def __init__(self, num_features: int, num_slots: int = 2) -> None:
        super().__init__()
        self.num_features = num_features
        self.slots = nn.ModuleList(nn.BatchNorm1d(num_features) for _ in range(num_slots))
        #: Sum over all processes, of norms that share their statistics.
        self.total: Callable[[Tensor], Tensor] | None = None

    def reset_parameters(self) -> None:
        """Resets weights, biases and statistics."""
        for norm in self._norms:
            norm.reset_parameters()

    def trained_slots(self) -> Tensor:
        """The slot that replaces each slot in evaluation, shape :math:`(S)`.

        The slot itself, if it or none before it has seen a person; else the last one that has.
        """
        batches = torch.stack(self._of_all("num_batches_tracked"))
        slots = torch.arange(len(self.slots), device=batches.device)
        # Of all pairs of slots: ONNX has no cumulative maximum.
        counts = (batches > 0) & (slots <= slots.unsqueeze(1))
        last = torch.where(counts, slots, -1).amax(1)
        return torch.where(last < 0, slots, last)

    def forward(self, x: Tensor, batch: Tensor | None = None) -> Tensor:
        """Normalises the persons of a batch.

        Args:
            x (torch.Tensor): The persons.
            batch (torch.Tensor, optional): The clip of every person, ascending (default: all
                belong to one clip).
        """
        position = person_positions(x.size(0), batch, x.device)
        slot = position.clamp(max=len(self.slots) - 1)
        if not self.training:
            slot = self.trained_slots()[slot]
        if few_launches(x.device) or torch.compiler.is_compiling() or self.total is not None:
            return self._without_selection(x, slot)
        members = [(slot == number).nonzero().view(-1) for number in range(len(self.slots))]
        normalized = [
            normalize_rows(norm, x[persons].flatten(2).flatten(0, 1))
            for norm, persons in zip(self._norms, members, strict=True)
            if persons.numel()
        ]
        back = torch.cat(members).argsort()
        out = torch.cat(normalized).view(x.shape)[back]
        # Slots without persons get a gradient of zero, as on a GPU: of several processes, each must
        # have one, and weight decay goes on.
        for norm, persons in zip(self._norms, members, strict=True):
            if self.training and not persons.numel():
                out = out + 0 * (norm.weight.sum() + norm.bias.sum())
        return out

    def _without_selection(self, x: Tensor, slot: Tensor) -> Tensor:
        """Normalises without selecting the persons of a slot.

        Their number is a value on the GPU: to wait for it would synchronise, and a traced graph
        does not have it.
        """
        rows = x.flatten(2)
        if self.training:
            mean, variance, centered = self._update(rows, slot)
        else:
            mean, variance = self._stacked("running_mean", "running_var")
            centered = rows - mean[slot].unsqueeze(1)
        weight, bias = self._stacked("weight", "bias")
        scale = weight * (variance + self._norms[0].eps).rsqrt()
        scale, bias = torch.stack([scale, bias])[:, slot].unsqueeze(2)
        return (centered * scale + bias).view(x.shape)

    def _update(self, rows: Tensor, slot: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance of every slot, ``[S, V*C]``, and the rows minus their means.

        Also updates the running statistics.
        """
        slots = torch.arange(len(self.slots), device=slot.device)
        member = (slot.unsqueeze(1) == slots).to(rows.dtype).unsqueeze(2)  # [P, S, 1]
        count = self._total(member.sum(0) * rows.size(1)).clamp(min=1)
        learns = count > 1
        mean = self._total((member * rows.sum(1).unsqueeze(1)).sum(0)) / count
        if rows.size(1) == 1:  # A single row has no variance, see normalize_rows.
            old_mean, old_variance = self._stacked("running_mean", "running_var")
            mean = torch.where(learns, mean, old_mean)
        centered = rows - mean[slot].unsqueeze(1)
        squares = self._total((member * centered.square().sum(1).unsqueeze(1)).sum(0))
        variance = squares / count
        if rows.size(1) == 1:
            variance = torch.where(learns, variance, old_variance)
        self._track(learns, mean, squares / (count - 1).clamp(min=1))
        return mean, variance, centered

    @torch.no_grad()
    def _track(self, learns: Tensor, mean: Tensor, variance: Tensor) -> None:
        """Moves the running statistics of the slots that have learnt something."""
        momentum: float | Tensor | None = self._norms[0].momentum
        if momentum is None:  # The mean of all batches.
            momentum = 1 / (torch.stack(self._of_all("num_batches_tracked")) + 1).unsqueeze(1)
        values = torch.stack([mean, variance]).to(self._of_all("running_mean")[0])
        rates = (learns.to(values) * momentum).unbind()
        running = [*self._of_all("running_mean"), *self._of_all("running_var")]
        torch._foreach_lerp_(running, values.flatten(0, 1).unbind(), [*rates, *rates])
        torch._foreach_add_(self._of_all("num_batches_tracked"), learns.view(-1).unbind())

    def _total(self, values: Tensor) -> Tensor:
        return values if self.total is None else self.total(values)

    def _stacked(self, *names: str) -> Tensor:
        """Tensors of all slots, ``[names, S, V*C]``."""
        return torch.stack([part for name in names for part in self._of_all(name)]).view(
            len(names), len(self.slots), -1
        )

    def _of_all(self, name: str) -> list[Tensor]:
        return [cast(Tensor, getattr(norm, name)) for norm in self._norms]

    @property
    def _norms(self) -> list[nn.BatchNorm1d]:
        return cast(list[nn.BatchNorm1d], list(self.slots))
