"""Several controllers that step together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity.controller import SparsityController
from pyg_stgcn.sparsity.reach import share_of_zeros


class ControllerGroup:
    """The controllers of several modules, each at a sparsity of its own, as one.

    Each module's weights are a pool of their own, so that every one is as sparse as it should be,
    whatever the others are.

    Args:
        controllers (sequence of SparsityController): Of different modules, such as the experts of
            an assembly.
        unmasked (int): Weights of further, dense modules, which count in :attr:`sparsity`.

    Raises:
        InputError: If there are none.
    """

    def __init__(self, controllers: Sequence[SparsityController], unmasked: int = 0) -> None:
        if not controllers:
            raise InputError("controllers: none given; a group needs at least one")
        self.controllers = list(controllers)
        self.unmasked = unmasked

    @property
    def sparsity(self) -> float:
        """Share of zeros in the masks of all weights, now; unmasked ones are none."""
        masked = [entry for controller in self.controllers for entry in controller.masked]
        masks = [entry.mask for entry in masked if not entry.is_edge]
        numel = sum(mask.numel() for mask in masks)
        return share_of_zeros(masks) * numel / (numel + self.unmasked) if numel else 0.0

    @property
    def at_final_sparsity(self) -> bool:
        """Whether the masks of all have come to their final sparsities."""
        return all(controller.at_final_sparsity for controller in self.controllers)

    def step(self, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Recompute the masks where it is time to; call after each ``optimizer.step()``.

        Args:
            optimizer (torch.optim.Optimizer, optional): See :meth:`SparsityController.step`.
        """
        for controller in self.controllers:
            controller.step(optimizer)

    @contextmanager
    def at_target(self) -> Iterator[None]:
        """Within the context the masks stand at their final sparsities, as for a validation."""
        with ExitStack() as stack:
            for controller in self.controllers:
                stack.enter_context(controller.at_target())
            yield

    def sparsity_gaps(self) -> list[str]:
        """Lines of all, see :meth:`SparsityController.sparsity_gaps`, the same one once."""
        lines = [line for part in self.controllers for line in part.sparsity_gaps()]
        return list(dict.fromkeys(lines))

    def apply_pending_update(self) -> None:
        """Bring all masks up to the present step, as :class:`SparsityController` does."""
        for controller in self.controllers:
            controller.apply_pending_update()

    def finalize(self) -> None:
        """Fold the masks of all into the weights, see :meth:`SparsityController.finalize`."""
        for controller in self.controllers:
            controller.finalize()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs besides the modules' own state dicts."""
        return {"controllers": [controller.state_dict() for controller in self.controllers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved step. The masks come with the modules' state dicts."""
        for controller, part in zip(self.controllers, state["controllers"], strict=True):
            controller.load_state_dict(part)
