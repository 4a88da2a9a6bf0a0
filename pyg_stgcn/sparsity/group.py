"""Several controllers used as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity.controller import SparsityController
from pyg_stgcn.sparsity.reach import sparsity_of


class ControllerGroup:
    """Controllers of several modules, each with a sparsity of its own, used as one.

    The weights of each module are a pool of their own: its sparsity does not depend on the others.

    Args:
        controllers (sequence of SparsityController): Controllers of different modules, such as the
            experts of an assembly.
        unmasked (int): Number of weights of further, dense modules; they count in :attr:`sparsity`.

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
        """Present fraction of zeros in the masks of all weights; unmasked weights are not zero."""
        masked = [entry for controller in self.controllers for entry in controller.masked]
        masks = [entry.mask for entry in masked if not entry.is_edge]
        numel = sum(mask.numel() for mask in masks)
        return sparsity_of(masks) * numel / (numel + self.unmasked) if numel else 0.0

    @property
    def at_final_sparsity(self) -> bool:
        """Whether all masks have reached their final sparsities."""
        return all(controller.at_final_sparsity for controller in self.controllers)

    def step(self, *optimizers: torch.optim.Optimizer) -> bool:
        """Recompute the masks when an update is due; call it after each ``optimizer.step()``.

        Args:
            *optimizers (torch.optim.Optimizer): See :meth:`SparsityController.step`.

        Returns:
            bool: Whether any masks were updated.
        """
        updated = [controller.step(*optimizers) for controller in self.controllers]
        return any(updated)

    @contextmanager
    def at_target(self) -> Iterator[None]:
        """Context in which the masks have their final sparsities, as for a validation."""
        with ExitStack() as stack:
            for controller in self.controllers:
                stack.enter_context(controller.at_target())
            yield

    def sparsity_gaps(self) -> list[str]:
        """Different lines of all controllers, see :meth:`SparsityController.sparsity_gaps`."""
        lines = [line for part in self.controllers for line in part.sparsity_gaps()]
        return list(dict.fromkeys(lines))

    def apply_pending_update(self) -> None:
        """Update all masks that are behind their schedules."""
        for controller in self.controllers:
            controller.apply_pending_update()

    def finalize(self) -> None:
        """Fold all masks into the weights, see :meth:`SparsityController.finalize`."""
        for controller in self.controllers:
            controller.finalize()

    def state_dict(self) -> dict[str, Any]:
        """State for a resumed training, besides the modules' own state dicts."""
        return {"controllers": [controller.state_dict() for controller in self.controllers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved step. The masks are in the modules' state dicts."""
        for controller, part in zip(self.controllers, state["controllers"], strict=True):
            controller.load_state_dict(part)
