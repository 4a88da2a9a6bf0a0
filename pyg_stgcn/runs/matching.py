"""Comparison of data and runs: whether they have the same skeleton and the same classes.

Classes are matched by name, in any order; unknown names are refused. Classes whose names are their
numbers can only be counted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from pyg_stgcn.datasets import SkeletonDataset
from pyg_stgcn.errors import InputError, warn_once
from pyg_stgcn.skeletons import Skeleton

logger = logging.getLogger(__name__)


def class_numbers(
    found: Sequence[str], expected: Sequence[str], what: object, whose: object
) -> list[int]:
    """Number of each class of some data among the expected classes.

    The data may lack some of the expected classes.

    Example:
        >>> class_numbers(["run", "walk"], ["walk", "run", "sit"], "mine.pkl", "the run")
        [1, 0]

    Args:
        found: Class names of the data, in label order.
        expected: Class names to number them by.
        what: Name of the data, for messages.
        whose: Owner of the expected classes, for messages.

    Raises:
        InputError: Some classes of the data are not among the expected classes.
    """
    if list(found) == list(expected):
        return list(range(len(found)))
    if not (_has_names(found) and _has_names(expected)):
        return _numbers_by_count(found, expected, what, whose)
    unknown = [name for name in found if name not in expected]
    if unknown:
        absent = [name for name in expected if name not in found]
        others = f"; it lacks {_list(absent)}" if absent else ""
        raise InputError(
            f"{what}: {_list(unknown)} {'are' if len(unknown) > 1 else 'is'} not among the classes "
            f"of {whose}{others}; name data with the same classes, or rename them"
        )
    if len(found) == len(expected):
        warn_once(logger, f"{what}: has the classes of {whose} in another order, matched by name")
    else:
        warn_once(
            logger,
            f"{what}: has {len(found)} of the {len(expected)} classes of {whose}, matched by name",
        )
    return [list(expected).index(name) for name in found]


def _has_names(classes: Sequence[str]) -> bool:
    return list(classes) != [str(number) for number in range(len(classes))]


def _numbers_by_count(
    found: Sequence[str], expected: Sequence[str], what: object, whose: object
) -> list[int]:
    # Without names, the highest label gives the number of classes, which can be too low.
    enough = len(found) == len(expected) or (len(found) < len(expected) and not _has_names(found))
    if not enough:
        raise InputError(
            f"{what}: has {len(found)} classes, {whose} has {len(expected)}; name data with the "
            "same classes"
        )
    if _has_names(found) or _has_names(expected):
        named, unnamed = (what, whose) if _has_names(found) else (whose, what)
        warn_once(
            logger,
            f"{named} names its classes, {unnamed} has only their numbers: whether they are the "
            "same cannot be checked; name them in the file (meta, classes)",
        )
    return list(range(len(found)))


def same_skeleton(one: Skeleton, other: Skeleton) -> bool:
    """Whether two skeletons are equal except for their names.

    A skeleton that is stored in a pickle has the name of the file.
    """
    return replace(one, name=other.name) == other


def match_dataset(
    dataset: SkeletonDataset,
    skeleton: Skeleton,
    classes: Sequence[str],
    num_channels: int,
    has_score: bool | None,
    what: object,
    whose: object,
) -> SkeletonDataset:
    """A dataset with its labels as numbers of the expected classes.

    Args:
        dataset: The clips.
        skeleton: Expected skeleton.
        classes: Class names to number them by.
        num_channels: Expected channels of a joint.
        has_score: Whether the last channel is the score of a 2-D joint; ``None`` if unknown.
        what: Name of the data, for messages.
        whose: Owner of the expected skeleton and classes, for messages.

    Raises:
        InputError: Skeleton, channels or classes of the data differ from the expected ones.
    """
    if not same_skeleton(dataset.skeleton, skeleton):
        raise InputError(
            f"{what}: its skeleton is not that of {whose}: "
            f"{dataset.skeleton.difference(skeleton)}; name data on the same skeleton"
        )
    if dataset.num_channels != num_channels:
        raise InputError(
            f"{what}: its joints have {dataset.num_channels} channels, those of {whose} "
            f"{num_channels}; name data of the same kind"
        )
    if has_score is not None and dataset.has_score != has_score:
        kinds = ["2-D joints with scores" if score else "3-D joints" for score in (1, 0)]
        ours, theirs = kinds if dataset.has_score else reversed(kinds)
        raise InputError(f"{what}: has {ours}, {whose} has {theirs}; name data of the same kind")
    numbers = class_numbers(dataset.classes, classes, what, whose)
    if dataset.classes == list(classes):
        return dataset
    return dataset.relabelled(classes, numbers)


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:5]))
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
