"""Division of recordings into training and validation, class by class, groups together."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.text import count

logger = logging.getLogger(__name__)

#: Classes that a warning names.
_NAMED = 5


def groups_of(
    recordings: Sequence[str], labels: Sequence[str | None], split_by: str | None
) -> list[str]:
    """The group of every clip: what a regular expression finds, or the recording itself.

    Args:
        recordings: Names of the recordings of the clips.
        labels: Names of their classes. A folder with this name is not searched.
        split_by: The regular expression; if it has a group in brackets, that one counts.

    Raises:
        InputError: If it finds nothing in a name, or the same in all of them.
    """
    if split_by is None:
        return list(recordings)
    found = {
        name: re.search(split_by, "/".join(part for part in name.split("/") if part != label))
        for name, label in dict(zip(recordings, labels, strict=True)).items()
    }
    without = sorted(name for name, match in found.items() if match is None)
    if without:
        raise InputError(
            f"split_by: {split_by!r} finds no group in {count(len(without), 'name')} of "
            f"{len(found):,}, such as {', '.join(map(repr, without[:3]))}; correct the expression"
        )
    groups = {
        name: next((part for part in match.groups() if part is not None), match[0])
        for name, match in found.items()
        if match is not None
    }
    if len(set(groups.values())) < 2:
        name, group = next(iter(groups.items()))
        raise InputError(
            f"split_by: {split_by!r} finds the same group {group!r} in all names, such as "
            f"{name!r}; a split needs two groups or more"
        )
    return [groups[name] for name in recordings]


def warn_of_one_sided(
    labels: Sequence[int], chosen: NDArray[np.bool_], classes: Sequence[str]
) -> None:
    """Log a warning of classes that are only in one part of a split."""
    for part, of in (("training", ~chosen), ("validation", chosen)):
        there = set(np.asarray(labels)[of].tolist())
        missing = [name for number, name in enumerate(classes) if number not in there]
        if missing:
            shown = ", ".join(map(repr, missing[:_NAMED]))
            logger.warning(
                "the split leaves %s without %s clips (%s%s): a class needs two recordings or "
                "groups; add recordings, or divide them by other groups",
                count(len(missing), "class"),
                part,
                shown,
                ", ..." if len(missing) > _NAMED else "",
            )


def choose_validation(
    labels: Sequence[int], groups: Sequence[str], fraction: float, seed: int
) -> NDArray[np.bool_]:
    """Choose clips for validation at random, so that each class has about the wanted fraction.

    Groups are taken in random order, as long as each brings the numbers of clips by class closer to
    those wanted. A class of two groups or more has at least one clip wanted.

    Args:
        labels: Class numbers of the clips; negative ones do not count.
        groups: Groups of the clips.
        fraction: Wanted fraction of the clips of a class, in (0, 1).
        seed: Seed of the order.

    Shapes:
        - **output:** :math:`(N)`

    Raises:
        InputError: If there are fewer than two groups.
    """
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise InputError("split: there is a single recording or group; add recordings")
    known = np.asarray(labels) >= 0
    table = np.zeros((len(names), max(max(labels, default=0), 0) + 1))
    np.add.at(table, (group_of[known], np.asarray(labels)[known]), 1)
    wanted = np.floor(fraction * table.sum(axis=0) + 0.5)
    # Something of every class stays for training.
    smallest = np.where(table > 0, table, np.inf).min(axis=0)
    wanted = np.clip(wanted, 1, np.maximum(table.sum(axis=0) - smallest, 0))
    order = np.random.default_rng(seed).permutation(len(names))
    chosen: list[int] = []
    missing = wanted
    for group in order[:-1]:
        if _size(missing - table[group]) < _size(missing):
            chosen.append(group)
            missing = missing - table[group]
    if not chosen:
        # Every group is larger than what is wanted.
        chosen.append(min(order, key=lambda group: _size(wanted - table[group])))
    return np.isin(group_of, chosen)


def _size(missing: NDArray[np.float64]) -> float:
    return float(np.square(missing).sum())
