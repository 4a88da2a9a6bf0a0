"""Masks on a module, and a controller that updates them along a schedule."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity.allocation import MIN_DENSITY
from pyg_stgcn.sparsity.mask import add_mask, fold_mask, masked_parameters
from pyg_stgcn.sparsity.methods import METHODS
from pyg_stgcn.sparsity.plan import check_plan
from pyg_stgcn.sparsity.rankable import check_values, check_weights
from pyg_stgcn.sparsity.reach import explain_miss, sparsity_of
from pyg_stgcn.sparsity.schedule import Schedule, SparsitySchedule, rescale
from pyg_stgcn.sparsity.select import Candidate, Pattern, explain_dense, select_parameters
from pyg_stgcn.sparsity.threshold import choose_masks

#: Fraction of the kept weights that RigL and SET replace at their first updates.
DROP_FRACTION = 0.3


class SparsityController:
    """Updates the masks of a module along a schedule.

    :func:`sparsify` makes one. Made directly, it controls the masks that a module already has, such
    as those of a deep copy, and leaves them unchanged until the next :meth:`step`.

    Args:
        module (torch.nn.Module): A module with masks.
        sparsity (float, optional): Final fraction of zeros over all masked weights (default: the
            masks never change).
        edge_sparsity (float): Final fraction of zeros over all masked edge weights, a pool of its
            own.
        schedule (callable, optional): Sparsity of the weights as a function of the number of
            optimiser steps; that of the edges is proportional (default: always ``sparsity``).
        allocation (str): Sparsity of each layer. ``"global"``: one threshold for all layers;
            ``"uniform"``: the same for all; ``"erk"``: lower for small layers
            (:func:`~pyg_stgcn.sparsity.allocation.erk_densities`). The same for edge weights.
        min_density (float): Least density of a layer, as a fraction of the density of all layers,
            in [0, 1]; the number of weights is rounded down. At 0 a layer may lose all its weights,
            and two such layers in a row get no gradient that could bring weights back.
        freeze_after (int, optional): Number of steps after which the masks no longer change.
        update_every (int): Optimiser steps from one update of the masks to the next.
        drop_fraction (float): Fraction of the kept weights that a :class:`DynamicMask` may replace
            at an update. With ``freeze_after`` it falls to zero along a cosine.

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
        """Present fraction of zeros in the masks of the weights."""
        return sparsity_of([entry.mask for entry in self.masked if not entry.is_edge])

    @property
    def edge_sparsity(self) -> float:
        """Present fraction of zeros in the masks of the edge weights."""
        return sparsity_of([entry.mask for entry in self.masked if entry.is_edge])

    @property
    def at_final_sparsity(self) -> bool:
        """Whether the masks have reached their final sparsity.

        Between updates they are behind the schedule.
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

    def step(self, *optimizers: torch.optim.Optimizer) -> bool:
        """Update the masks when an update is due; call it after each ``optimizer.step()``.

        Args:
            *optimizers (torch.optim.Optimizer): The optimisers. Their state of weights that grow
                (:class:`DynamicMask`), such as their momentum, is set to zero.

        Returns:
            bool: Whether the masks were updated.

        Raises:
            InputError: On a CPU, if a masked weight is NaN or infinite when an update is due; on
                other devices :meth:`check_finite` tells, since they would have to be waited for.
        """
        held = self.frozen
        self.num_steps += 1
        # The last update before the masks freeze brings them to the target.
        due = not held and (self._is_update(self.num_steps) or self.frozen)
        if due:
            self.update(*optimizers)
        self._announce_update()
        return due

    def update(self, *optimizers: torch.optim.Optimizer) -> None:
        """Update the masks to the sparsity of the current step; arguments as for :meth:`step`."""
        drop_fraction = self._drop_fraction()
        for entry in self.masked:
            entry.parametrization.begin_update(drop_fraction)
        self._apply(self.schedule(self.num_steps), self.edge_schedule(self.num_steps))
        for entry in self.masked:
            weight = entry.weight
            owner = next((each for each in optimizers if weight in each.state), None)
            entry.parametrization.end_update(weight, owner)

    def check_finite(self) -> None:
        """Raise an error if a weight or a score, from which masks are chosen, is not finite.

        Raises:
            InputError: Names the parameter.
        """
        if not self.frozen:
            check_weights(self.masked)

    @contextmanager
    def at_target(self) -> Iterator[None]:
        """Context in which the masks have their final sparsity, as for a validation."""
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
        """Present masks for the final sparsity, in the order of :attr:`masked`."""
        if self.frozen:
            return [entry.mask.clone() for entry in self.masked]
        return self._choose(self.target, self._edge_sparsity)

    def sparsity_gaps(self) -> list[str]:
        """One line for each pool whose masks miss their final sparsity by half a percentage point.

        It gives the sparsity asked for, the one reached and the reason: a structure, or edges that
        nodes need. Single weights are pruned to the exact number.

        Raises:
            InputError: See :meth:`check_finite`.
        """
        if self._sparsity is None:
            return []
        self.check_finite()
        masks = dict(
            zip((entry.name for entry in self.masked), self.masks_at_target(), strict=True)
        )
        lines = []
        for is_edge, asked in ((False, self._sparsity), (True, self._edge_sparsity)):
            pool = [entry for entry in self.masked if entry.is_edge is is_edge]
            lines.append(explain_miss(pool, [masks[entry.name] for entry in pool], asked))
        return [line for line in lines if line is not None]

    def apply_pending_update(self) -> None:
        """Update masks that are behind the schedule, as :meth:`finalize` does first."""
        if not self.frozen and not self._is_update(self.num_steps):
            self._apply(self.schedule(self.num_steps), self.edge_schedule(self.num_steps))

    def finalize(self) -> nn.Module:
        """Fold the masks into the weights and return the module without masks.

        Its state dict has the entries of the module before :func:`sparsify`, with zeros. Further
        training would change the zeros.
        """
        self.apply_pending_update()
        for entry in masked_parameters(self.module):
            fold_mask(entry.owner, entry.attribute)
        return self.module

    def state_dict(self) -> dict[str, Any]:
        """State for a resumed training, besides the module's own state dict."""
        return {"num_steps": self.num_steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved step. The masks are in the module's state dict."""
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
            entry.parametrization.announce(before_update)

    def _apply(self, sparsity: float, edge_sparsity: float) -> None:
        self._write(self._choose(sparsity, edge_sparsity))

    def _choose(self, sparsity: float, edge_sparsity: float) -> list[Tensor]:
        chosen: dict[str, Tensor] = {}
        for is_edge, wanted in ((False, sparsity), (True, edge_sparsity)):
            pool = [entry for entry in self.masked if entry.is_edge is is_edge]
            if pool:
                masks = choose_masks(pool, wanted, self.allocation, self.min_density)
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

    Call ``controller.step()`` after each ``optimizer.step()``. Wrap the module for distributed
    training afterwards; with ``method="score"`` make the optimiser afterwards, with the scores
    (:func:`score_parameters`).

    Args:
        module (torch.nn.Module): Any module, with its weights initialised.
        sparsity (float): Final fraction of zeros over all masked weights, in [0, 1).
        method (str): One of :data:`METHODS`: ``"feedback"`` (:class:`FeedbackMask`),
            ``"magnitude"`` (:class:`MagnitudeMask`), ``"score"`` (:class:`ScoreMask`), ``"rigl"``
            (:class:`RigLMask`), ``"set"`` (:class:`SETMask`), ``"random"`` (:class:`RandomMask`),
            or one of your own (:func:`register_method`).
        edge_sparsity (float): Final fraction of zeros over all edge weights (1-D parameters whose
            name ends in ``edge_weight``). At 0 they get no masks. If the module has an
            ``edge_index`` of as many edges, every node keeps the most important edge into it.
        include (str, sequence of str or callable, optional): Patterns of :mod:`fnmatch` on dotted
            parameter names, or a predicate ``(name, parameter) -> bool`` (default: parameters
            named ``weight``, ``weight_...`` or ``..._weight`` with two or more dimensions, of all
            but norms and embeddings; a warning names other matrices).
        exclude (str, sequence of str or callable): The same, for parameters to leave dense.
        score_scale (str): Scale of the importances of different layers, see :class:`Mask`.
        structure (str): Units that are kept or pruned as a whole, see
            :func:`~pyg_stgcn.sparsity.structures.pool_units`: ``"unstructured"``, ``"block8"``,
            ``"channel"``, or ``"2:4"``, whose sparsity is at most 0.5. Every layer keeps one unit
            at least. Edge weights are unstructured.
        generator (torch.Generator, optional): Source of random numbers (default: torch's own).
        schedule, allocation, min_density, freeze_after, update_every, drop_fraction: See
            :class:`SparsityController`. For ``"rigl"`` and ``"set"``, ``update_every`` should be
            about 100.

    Raises:
        InputError: If an argument is unknown or out of range, no parameter is chosen, a parameter
            is shared or not finite, or the module has masks already.

    Example:
        >>> controller = sparsify(model, 0.9, schedule=make_schedule("cubic", 0.9, 1000))
        >>> for x, y in loader:
        ...     optimizer.zero_grad()
        ...     cross_entropy(model(x), y).backward()
        ...     optimizer.step()
        ...     controller.step(optimizer)
        >>> model = controller.finalize()
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
    chosen = _select(module, include, exclude, edge_sparsity)
    check_values({entry.name: entry.parameter for entry in chosen})
    structures = ["unstructured" if entry.is_edge else structure for entry in chosen]
    masks = [
        METHODS[method](entry.parameter, score_scale, generator, own)
        for entry, own in zip(chosen, structures, strict=True)
    ]
    for entry, mask in zip(chosen, masks, strict=True):
        add_mask(entry.owner, entry.attribute, mask)
    controller = SparsityController(module, sparsity, **plan)
    controller.update()
    return controller


def _select(
    module: nn.Module, include: Pattern | None, exclude: Pattern, edge_sparsity: float
) -> list[Candidate]:
    """Choose the parameters to mask, edge weights too if some of them are to be pruned."""
    chosen = select_parameters(module, include, exclude, edges=edge_sparsity > 0)
    for line in explain_dense(module, exclude, chosen) if include is None else ():
        warnings.warn(line, stacklevel=3)
    if edge_sparsity > 0 and not any(entry.is_edge for entry in chosen):
        raise InputError(
            f"edge_sparsity {edge_sparsity}: include={include!r}, exclude={exclude!r} choose no "
            "edge weights; add '*edge_weight' to include, or give no edge_sparsity"
        )
    return chosen


def _refuse_unready(module: nn.Module) -> None:
    """Raise an error for a wrapped module and for one that has masks already."""
    if isinstance(module, DistributedDataParallel | DataParallel):
        raise InputError(
            f"{type(module).__name__} would not find the masks; sparsify the module inside it first"
        )
    averages = [name for name, part in module.named_modules() if isinstance(part, AveragedModel)]
    if averages:
        raise InputError(
            f"{averages[0] or type(module).__name__}: an average inside the module, whose weights "
            "would be pruned apart from those that it averages; make it after sparsify()"
        )
    if masked_parameters(module):
        raise InputError(
            f"{type(module).__name__} has masks already; finalize() them, or control them with "
            "SparsityController(module, ...)"
        )
