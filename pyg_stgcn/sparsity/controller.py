"""Puts masks on a module and moves them along a schedule."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity.allocation import MIN_DENSITY
from pyg_stgcn.sparsity.mask import add_mask, fold_mask, masked_parameters
from pyg_stgcn.sparsity.methods import METHODS
from pyg_stgcn.sparsity.plan import check_plan
from pyg_stgcn.sparsity.reach import explain_miss, share_of_zeros
from pyg_stgcn.sparsity.schedule import Schedule, SparsitySchedule, rescale
from pyg_stgcn.sparsity.select import Pattern, select_parameters
from pyg_stgcn.sparsity.threshold import choose_masks

#: Share of the kept weights that dynamic methods put up for replacement at first (RigL).
DROP_FRACTION = 0.3


class SparsityController:
    """Recomputes the masks of a module, once per optimiser step.

    :func:`sparsify` makes one. Made directly, it takes charge of the masks that a module already
    has (a deep copy, say) and leaves them as they are until the next :meth:`step`.

    Args:
        module (torch.nn.Module): A module with masks.
        sparsity (float, optional): Final share of zeros over all masked weights. ``None``: the
            masks stay as they are.
        edge_sparsity (float): The same over all masked edge weights, a pool of its own.
        schedule (callable, optional): Sparsity of the weights after so many optimiser steps; edges
            follow the same course, scaled (default: ``sparsity`` throughout).
        allocation (str): How many weights each layer loses: ``"global"``, whatever lies below one
            threshold; ``"uniform"``, all the same share; ``"erk"``, small layers a smaller share
            (:func:`~pyg_stgcn.sparsity.allocation.erk_densities`). Edge weights likewise.
        min_density (float): What every layer keeps at least, rounded down, as a fraction of what it
            would keep under ``"uniform"``, in [0, 1]. At 0 a layer may lose everything, and two
            such layers in a row get no gradient any more that would bring them back.
        freeze_after (int, optional): Number of steps after which the masks no longer change.
        update_every (int): Optimiser steps from one change of the masks to the next.
        drop_fraction (float): Share of the kept weights that a :class:`DynamicMask` puts up for
            replacement at an update. With :obj:`freeze_after` it falls to zero until then, along a
            cosine.

    Raises:
        InputError: If the module has no masks or an argument is out of range.
    """

    def __init__(
        self,
        module: nn.Module,
        sparsity: float | None = None,
        *,
        edge_sparsity: float = 0.0,
        schedule: Schedule | None = None,
        allocation: str = "erk",
        min_density: float = MIN_DENSITY,
        freeze_after: int | None = None,
        update_every: int = 1,
        drop_fraction: float = DROP_FRACTION,
    ) -> None:
        check_plan(
            sparsity,
            edge_sparsity=edge_sparsity,
            schedule=schedule,
            allocation=allocation,
            min_density=min_density,
            freeze_after=freeze_after,
            update_every=update_every,
            drop_fraction=drop_fraction,
        )
        self.module = module
        self.masked = masked_parameters(module)
        if not self.masked:
            raise InputError(f"{type(module).__name__} has no masks; call sparsify() on it first")
        self.allocation = allocation
        self.min_density = min_density
        self.freeze_after = freeze_after
        self.update_every = update_every
        self.drop_fraction = drop_fraction
        self.num_steps = 0
        target = sparsity or 0.0
        self._sparsity = sparsity
        self._edge_sparsity = float(edge_sparsity)
        self.schedule = schedule or SparsitySchedule("constant", target)
        self.edge_schedule = rescale(self.schedule, target, self._edge_sparsity)
        self._announce_update()

    @property
    def target(self) -> float:
        """Final sparsity of the weights."""
        return self.sparsity if self._sparsity is None else self._sparsity

    @property
    def sparsity(self) -> float:
        """Share of zeros in the masks of the weights, now."""
        return share_of_zeros([entry.mask for entry in self.masked if not entry.is_edge])

    @property
    def edge_sparsity(self) -> float:
        """Share of zeros in the masks of the edge weights, now."""
        return share_of_zeros([entry.mask for entry in self.masked if entry.is_edge])

    @property
    def at_final_sparsity(self) -> bool:
        """Whether the masks have come to their final sparsity.

        Those that change seldom are behind the schedule.
        """
        if self.frozen:
            return True
        last = self.num_steps - self.num_steps % self.update_every
        return math.isclose(self.schedule(last), self.target) and math.isclose(
            self.edge_schedule(last), self._edge_sparsity
        )

    @property
    def frozen(self) -> bool:
        """Whether the masks have stopped changing."""
        if self._sparsity is None:
            return True
        return self.freeze_after is not None and self.num_steps >= self.freeze_after

    def step(self, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Recompute the masks where it is time to; call after each ``optimizer.step()``.

        Args:
            optimizer (torch.optim.Optimizer, optional): Forgets what it has of weights that grow
                (:class:`DynamicMask`), such as their momentum.
        """
        held = self.frozen
        self.num_steps += 1
        # The last update before the masks freeze brings them to the target.
        if not held and (self._is_update(self.num_steps) or self.frozen):
            self.update(optimizer)
        self._announce_update()

    def update(self, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Recompute the masks at the sparsity of the present step."""
        drop_fraction = self._drop_fraction()
        for entry in self.masked:
            entry.parametrization.begin_update(drop_fraction)
        self._apply(self.schedule(self.num_steps), self.edge_schedule(self.num_steps))
        for entry in self.masked:
            entry.parametrization.end_update(entry.weight, optimizer)

    @contextmanager
    def at_target(self) -> Iterator[None]:
        """Within the context the masks stand at their final sparsity, as for a validation."""
        if self.frozen:
            yield
            return
        saved = [entry.mask.clone() for entry in self.masked]
        self._write(self.masks_at_target())
        try:
            yield
        finally:
            self._write(saved)

    def masks_at_target(self) -> list[Tensor]:
        """What the masks would be now at their final sparsity, in the order of :attr:`masked`."""
        if self.frozen:
            return [entry.mask.clone() for entry in self.masked]
        return self._choose(self.target, self._edge_sparsity)

    def sparsity_gaps(self) -> list[str]:
        """Lines that say where the masks at their final sparsity miss it by over half a point.

        Each gives the sparsity asked for, the one reached and the reason: a structure, or edges
        that nodes need. Single weights are pruned to the exact number.
        """
        if self._sparsity is None:
            return []
        masks = dict(
            zip((entry.name for entry in self.masked), self.masks_at_target(), strict=True)
        )
        lines = []
        for is_edge, asked in ((False, self._sparsity), (True, self._edge_sparsity)):
            pool = [entry for entry in self.masked if entry.is_edge is is_edge]
            lines.append(explain_miss(pool, [masks[entry.name] for entry in pool], asked))
        return [line for line in lines if line is not None]

    def apply_pending_update(self) -> None:
        """Bring masks that change seldom up to the present step, as :meth:`finalize` does first."""
        if not self.frozen and not self._is_update(self.num_steps):
            self._apply(self.schedule(self.num_steps), self.edge_schedule(self.num_steps))

    def finalize(self) -> nn.Module:
        """Fold the masks into the weights and return the module, plain and dense again.

        Its state dict is that of the module before :func:`sparsify`, with zeros. Nothing holds
        the zeros any more: further training would revive them.
        """
        self.apply_pending_update()
        for entry in masked_parameters(self.module):
            fold_mask(entry.owner, entry.attribute)
        return self.module

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs besides the module's own state dict."""
        return {"num_steps": self.num_steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved step. The masks come with the module's state dict."""
        self.num_steps = int(state["num_steps"])
        self._announce_update()

    def _is_update(self, step: int) -> bool:
        return step % self.update_every == 0

    def _drop_fraction(self) -> float:
        if self.freeze_after is None:
            return self.drop_fraction
        progress = min(self.num_steps / max(self.freeze_after, 1), 1)
        return self.drop_fraction * (1 + math.cos(math.pi * progress)) / 2

    def _announce_update(self) -> None:
        """Tell the masks whether the next step is the last before an update."""
        before_update = not self.frozen and self._is_update(self.num_steps + 1)
        for entry in self.masked:
            entry.parametrization.before_update = before_update

    def _apply(self, sparsity: float, edge_sparsity: float) -> None:
        self._write(self._choose(sparsity, edge_sparsity))

    def _choose(self, sparsity: float, edge_sparsity: float) -> list[Tensor]:
        chosen: dict[str, Tensor] = {}
        for is_edge, share in ((False, sparsity), (True, edge_sparsity)):
            pool = [entry for entry in self.masked if entry.is_edge is is_edge]
            if pool:
                masks = choose_masks(pool, share, self.allocation, self.min_density)
                chosen |= {entry.name: mask for entry, mask in zip(pool, masks, strict=True)}
        return [chosen[entry.name] for entry in self.masked]

    def _write(self, masks: list[Tensor]) -> None:
        for entry, mask in zip(self.masked, masks, strict=True):
            entry.mask.copy_(mask)


def sparsify(
    module: nn.Module,
    sparsity: float,
    *,
    method: str = "feedback",
    edge_sparsity: float = 0.0,
    schedule: Schedule | None = None,
    include: Pattern | None = None,
    exclude: Pattern = (),
    allocation: str = "erk",
    min_density: float = MIN_DENSITY,
    score_scale: str = "fan_in",
    structure: str = "unstructured",
    freeze_after: int | None = None,
    update_every: int = 1,
    drop_fraction: float = DROP_FRACTION,
    generator: torch.Generator | None = None,
) -> SparsityController:
    """Put masks on the weights of a module, in place.

    Call ``controller.step()`` after each ``optimizer.step()``, and wrap the module for distributed
    training afterwards. With ``method="score"`` make the optimiser afterwards too, so that it has
    the scores (:func:`score_parameters`).

    Args:
        module (torch.nn.Module): Any module, with its weights initialised.
        sparsity (float): Final share of zeros over all masked weights, in [0, 1).
        method (str): What is kept: the largest weights, while pruned ones are trained along
            (``"feedback"``, :class:`FeedbackMask`) or left alone (``"magnitude"``,
            :class:`MagnitudeMask`); those with the highest learned scores (``"score"``,
            :class:`ScoreMask`); a few that are exchanged now and then, the smallest for those of
            largest gradient (``"rigl"``, :class:`RigLMask`) or by lot (``"set"``,
            :class:`SETMask`); or any (``"random"``, :class:`RandomMask`).
        edge_sparsity (float): The same for all edge weights (1-D parameters whose name ends in
            ``edge_weight``), a pool of their own. At 0 they get no masks. Of a module with an
            ``edge_index`` of as many edges, every node keeps the most important edge into it.
        schedule (callable, optional): Sparsity after so many optimiser steps, such as
            :func:`make_schedule` gives (default: ``sparsity`` from the start).
        include (str, sequence of str or callable, optional): Patterns of :mod:`fnmatch` on dotted
            parameter names, or a predicate ``(name, parameter) -> bool`` (default: parameters
            named ``weight`` with two or more dimensions, of all but norms and embeddings).
        exclude (str, sequence of str or callable): The same, for what to leave dense.
        allocation (str): How many weights each layer loses, see :class:`SparsityController`.
        min_density (float): What every layer keeps at least, see :class:`SparsityController`.
        score_scale (str): How magnitudes or scores of different layers compare, see :class:`Mask`.
        structure (str): Which weights are kept or pruned together: none (``"unstructured"``), eight
            consecutive outputs at one input (``"block8"``), all that leads to one output
            (``"channel"``); or ``"2:4"``, which keeps at least two of every four consecutive inputs
            of an output, the same share of all layers, and so reaches a sparsity of 0.5 at most.
            Units are kept or pruned as a whole, to the nearest one in every layer, and every layer
            keeps one at least. Edge weights have no structure.
        freeze_after (int, optional): Number of steps after which the masks no longer change.
        update_every (int): Optimiser steps from one change of the masks to the next. ``"rigl"`` and
            ``"set"`` want about 100.
        drop_fraction (float): For ``"rigl"`` and ``"set"``, see :class:`SparsityController`.
        generator (torch.Generator, optional): Source of first scores and of lots (default: torch's
            own).

    Raises:
        InputError: If an argument is unknown or out of range, nothing is left to mask, a parameter
            is shared, or the module has masks already.
    """
    plan: dict[str, Any] = {
        "edge_sparsity": edge_sparsity,
        "schedule": schedule,
        "allocation": allocation,
        "min_density": min_density,
        "freeze_after": freeze_after,
        "update_every": update_every,
        "drop_fraction": drop_fraction,
    }
    check_plan(sparsity, **plan)
    if method not in METHODS:
        raise InputError(f"method {method!r} is unknown; choose one of {', '.join(METHODS)}")
    if structure == "2:4" and sparsity > 0.5:
        raise InputError(f"structure 2:4 keeps half of the weights, not {1 - sparsity:.4g} of them")
    _refuse_unready(module)
    chosen = select_parameters(module, include, exclude, edges=edge_sparsity > 0)
    if edge_sparsity > 0 and not any(entry.is_edge for entry in chosen):
        raise InputError(
            f"edge_sparsity {edge_sparsity}: include={include!r}, exclude={exclude!r} leave no "
            "edge weights; add '*edge_weight' to include, or ask for none"
        )
    masks = [
        METHODS[method](
            entry.parameter, score_scale, generator, "unstructured" if entry.is_edge else structure
        )
        for entry in chosen
    ]
    for entry, mask in zip(chosen, masks, strict=True):
        add_mask(entry.owner, entry.attribute, mask)
    controller = SparsityController(module, sparsity, **plan)
    controller.update()
    return controller


def _refuse_unready(module: nn.Module) -> None:
    """Raise an error for a module that cannot be given masks as it is."""
    if isinstance(module, DistributedDataParallel | DataParallel):
        raise InputError(
            f"{type(module).__name__} would not see the masks; sparsify the module inside it first"
        )
    if masked_parameters(module):
        raise InputError(
            f"{type(module).__name__} has masks already; finalize() them, or take charge of them "
            f"with SparsityController(module, ...)"
        )
