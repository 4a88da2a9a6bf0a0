"""Training, validation and other clips that the options of a run name."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyg_stgcn.datasets import DATASETS, SkeletonDataset, SkeletonPickle
from pyg_stgcn.datasets.store.dividing import copies_across, divide_by_class
from pyg_stgcn.errors import InputError, warn_once
from pyg_stgcn.runs.matching import match_dataset
from pyg_stgcn.runs.paths import DEFAULT_ROOT, check_dataset, is_file
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.text import count

if TYPE_CHECKING:
    from pyg_stgcn.runs.options import TrainOptions

logger = logging.getLogger(__name__)


def open_dataset(config: TrainOptions, split: str, **options: Any) -> SkeletonDataset:
    """Open the dataset that the options name.

    Args:
        config: The options of the run.
        split: ``"train"``, ``"val"``, ``"test"``, ``"all"``, or the name of a split of the data.
        **options: Further options of the dataset, such as ``benchmark``.

    Raises:
        InputError: There is no such dataset, file, benchmark or split, it cannot be read, or the
            options ``val_split`` and ``val`` do not fit it.
    """
    if split not in ("train", "val"):
        return _open_source(config, split, **options)
    if config.data.val_split is None and config.data.val is None:
        return _all_labelled(_open_source(config, split, **options), config, split)
    train = _clips_without_validation(config, options)
    if config.data.val_split is not None:
        kept, held = divide_by_class(train, config.data.val_split)
        return kept if split == "train" else held
    return train if split == "train" else _open_validation_file(config, train)


def is_prepared(config: TrainOptions) -> bool:
    """Whether the data can be opened without a download and without a long preparation."""
    dataset, root = config.data.dataset, config.data.root or DEFAULT_ROOT
    if is_file(dataset):
        return Path(dataset).exists()
    return dataset in DATASETS and (Path(root) / "processed" / DATASETS[dataset].name).is_dir()


def _all_labelled(dataset: SkeletonDataset, config: TrainOptions, split: str) -> SkeletonDataset:
    """The dataset if all its clips have a label, as training and evaluation need it."""
    missing = int((dataset.labels < 0).sum())
    if missing:
        raise InputError(
            f"{config.data.dataset}: {missing} of the {len(dataset)} {split} clips have no label, "
            f"the first is {dataset.names[int(np.argmin(dataset.labels))]!r}; label them, or name "
            "other clips for validation with val_split=0.2 or val='FILE.pkl'"
        )
    return dataset


def _clips_without_validation(config: TrainOptions, options: dict[str, Any]) -> SkeletonDataset:
    """Training clips of data without validation clips: a split, or all clips without splits."""
    option = "val" if config.data.val_split is None else "val_split"
    everything = _open_source(config, "all", **options)
    if everything.benchmark is None:
        if everything.splits:
            raise InputError(
                f"{option}: none of the splits of {config.data.dataset} "
                f"({', '.join(everything.splits)}) is called 'train', which names the clips to "
                "train on; add a split 'train'"
            )
        return labelled_clips(everything, config.data.dataset)
    own = everything.validation_split(everything.benchmark)
    if own is not None:
        raise InputError(
            f"{option}: {config.data.dataset} has validation clips of its own, the split {own!r}; "
            "leave the option out, or rename the split to 'test' to keep it for tests"
        )
    return _open_source(config, "train", **options)


def _open_validation_file(config: TrainOptions, train: SkeletonDataset) -> SkeletonDataset:
    """Validation clips of another pickle, with labels as in the training clips."""
    assert config.data.val is not None
    # A store in the same folder would replace that of a file of the same name.
    place: dict[str, Any] = {"root": None, "source": None, "val": None, "benchmark": None}
    other = config.replace(dataset=config.data.val, **place)
    found = open_other_file(other, None, train.skeleton)
    found = match_dataset(
        found,
        train.skeleton,
        train.classes,
        train.num_channels,
        train.has_score,
        f"val {config.data.val}",
        config.data.dataset,
    )
    found = labelled_clips(found, config.data.val)
    copied = copies_across(found, train)
    if copied.any():
        left_out = config.data.drop_leaks
        remedy = " and left out" if left_out else "; leave them out with drop_leaks=True"
        warn_once(
            logger,
            f"{config.data.val}: {copied.sum()} of its {len(found)} clips are exact copies of "
            f"training clips{remedy}",
        )
    if config.data.drop_leaks:
        if copied.all():
            raise InputError(
                f"val {config.data.val}: all clips are copies of training clips; name another file"
            )
        found = found.copy(np.flatnonzero(~copied))
    return found


def open_other_file(
    config: TrainOptions, split: str | None, skeleton: Skeleton | None
) -> SkeletonDataset:
    """Open clips of data that a run was not started with.

    Args:
        config: Options that name the data, and the benchmark if it is not the first.
        split: Name of the split (default: ``"val"``; ``"all"`` of data without splits).
        skeleton: Skeleton for a pickle without one.

    Raises:
        InputError: The data cannot be read, or have no such split.
    """
    options = {"default_skeleton": skeleton} if is_file(config.data.dataset) else {}
    everything = _open_source(config, "all", **options)
    if split is None:
        split = "val" if everything.splits else "all"
    return _open_source(config, split, **options)


def labelled_clips(dataset: SkeletonDataset, what: object) -> SkeletonDataset:
    """The clips that have a label.

    Raises:
        InputError: No clip has a label.
    """
    labelled = dataset.labels >= 0
    if not labelled.any():
        raise InputError(f"{what}: no clip has a label; label them, or name other clips")
    if labelled.all():
        return dataset
    warn_once(logger, f"{what}: {count((~labelled).sum(), 'clip')} without a label left out")
    return dataset.copy(np.flatnonzero(labelled))


def _open_source(config: TrainOptions, split: str, **options: Any) -> SkeletonDataset:
    options = {
        "benchmark": config.data.benchmark,
        "split": split,
        "strict": config.data.strict,
        "drop_leaks": config.data.drop_leaks,
        "skip_bad": config.data.skip_bad,
        "per_person": config.data.per_person,
        **options,
    }
    if config.data.dataset in DATASETS:
        if config.data.skeleton is not None:
            raise InputError(
                f"skeleton {config.data.skeleton}: {config.data.dataset} has its own skeleton; "
                "leave the option out"
            )
        root = config.data.root or DEFAULT_ROOT
        return DATASETS[config.data.dataset](root, source=config.data.source, **options)
    check_dataset(config.data.dataset)
    path = Path(config.data.dataset)
    if config.data.source is not None:
        raise InputError(
            f"source {config.data.source}: {path} is a file itself; leave the option out"
        )
    return SkeletonPickle(path, root=config.data.root, skeleton=config.data.skeleton, **options)
