"""A run that is about to start: its clips, its complete options and its metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyg_stgcn.datasets import SkeletonDataset
from pyg_stgcn.errors import InputError
from pyg_stgcn.progress import tell
from pyg_stgcn.runs.batches import clip_transform, split_held_out
from pyg_stgcn.runs.class_weights import class_weights
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.opening import open_dataset
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.paths import with_absolute_paths
from pyg_stgcn.runs.processes import is_first_process
from pyg_stgcn.runs.recipe import describe_recipe
from pyg_stgcn.runs.same_data import describe_clips
from pyg_stgcn.runs.software import software_versions
from pyg_stgcn.transforms import parse_streams


def open_clips(config: TrainOptions) -> tuple[SkeletonDataset, SkeletonDataset, TrainOptions]:
    """Open the data of a new run.

    Returns:
        Training clips and validation clips with their transforms, and the complete options.

    Raises:
        InputError: The options contradict each other, or the data cannot be used.
    """
    config = with_absolute_paths(config)
    train = open_dataset(config, "train")
    config = config.with_recipe(len(train), train.benchmark)
    if is_first_process(config.hardware.num_nodes):
        tell(describe_recipe(config, len(train)))
    if config.data.hold_out:
        train, _ = split_held_out(train, config.data.hold_out)
    _check_classes(train, config)
    val = open_dataset(config, "val")
    train.transform = clip_transform(config, train, train=True, num_views=1)
    val.transform = clip_transform(config, val, train=False, num_views=1)
    return train, val, config


def _check_classes(clips: SkeletonDataset, config: TrainOptions) -> None:
    found = set(clips.labels.tolist())
    if len(found) < 2:
        names = ", ".join(repr(clips.classes[label]) for label in found)
        raise InputError(
            f"{config.data.dataset}: all {len(clips)} training clips are of one class ({names}); a "
            "classifier needs two classes or more, add clips of another one"
        )


def describe_run(
    folder: Path, train: SkeletonDataset, val: SkeletonDataset, config: TrainOptions
) -> Run:
    """A run that has not started; arguments as from :func:`open_clips`."""
    num_channels = train.num_channels - (not config.data.use_score)
    in_channels = num_channels * len(parse_streams(config.data.stream))
    metadata: dict[str, Any] = {
        "data": {
            "skeleton": train.skeleton.to_dict(),
            "classes": list(train.classes),
            "in_channels": in_channels,
            "has_score": train.has_score,
            "train_clips": len(train),
            "val_clips": len(val),
            "train": describe_clips(train),
            "val": describe_clips(val),
        },
        "versions": software_versions(),
    }
    if config.optim.class_weights is not None:
        metadata["class_weights"] = class_weights(
            config.optim.class_weights, train.labels, train.classes
        )
    return Run(folder, config, train.skeleton, list(train.classes), in_channels, metadata)
