"""The clips that a run is evaluated on: its own validation clips, or others."""

from __future__ import annotations

import glob
import logging
import os
import re
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyg_stgcn.datasets import SkeletonDataset
from pyg_stgcn.errors import InputError, warn_once
from pyg_stgcn.jsonfile import read_json
from pyg_stgcn.runs.batches import split_held_out
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.matching import match_dataset
from pyg_stgcn.runs.opening import labelled_clips, open_dataset, open_other_file
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.paths import is_file, with_absolute_paths
from pyg_stgcn.runs.run_files import RunFiles
from pyg_stgcn.runs.same_data import are_clips_of, warn_of_changed_clips
from pyg_stgcn.transforms import parse_streams

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationData:
    """The clips to evaluate a run on; by default its own validation clips.

    Args:
        dataset: Other data than those of the run, or their new path: a name from
            :data:`pyg_stgcn.datasets.DATASETS` or the path of a pickle.
        root: Folder of the datasets (default: that of the run).
        source: A local copy of the dataset's archive or raw files.
        skeleton: Built-in name or JSON file; only for pickles.
        benchmark: Pair of splits of the data.
        split: ``"train"``, ``"val"`` or ``"test"`` of the benchmark, ``"all"``, or the name of a
            split of the data (default: ``"val"``; ``"all"`` of a pickle without splits).
    """

    dataset: str | None = None
    root: str | None = None
    source: str | None = None
    skeleton: str | None = None
    benchmark: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class EvaluationClips:
    """Opened clips to evaluate a run on.

    Args:
        run: The run.
        dataset: The clips, with labels in the order of the run's classes.
        config: The run's configuration, except for the data.
        split: Name of the split of the data.
        ending: End of the names of result files; empty for the run's own validation clips.
    """

    run: Run
    dataset: SkeletonDataset
    config: TrainOptions
    split: str
    ending: str

    @property
    def files(self) -> RunFiles:
        """Places of the results, such as ``evaluation-<ending>.json``."""
        run = self.run
        return RunFiles(run.folder, checkpoint=run.checkpoint, data_name=self.ending)

    def labelled(self) -> EvaluationClips:
        """The clips that have a label.

        Raises:
            InputError: No clip has a label.
        """
        name = f"{self.config.data.dataset}, split {self.split!r}"
        return replace(self, dataset=labelled_clips(self.dataset, name))


def open_clips_for(run: Run, data: EvaluationData | None = None) -> EvaluationClips:
    """Open the clips to evaluate a run on.

    Args:
        run: The run.
        data: The clips (default: its own validation clips).

    Raises:
        InputError: The data are missing, or do not fit the run.
    """
    data = data or EvaluationData()
    config = _replace_data(run.config, data)
    if data.dataset is None or _are_data_of(run, config):
        return _open_own(run, config, data)
    unset: dict[str, Any] = {"val": None, "val_split": None, "drop_leaks": False}
    config = config.replace(benchmark=data.benchmark, **unset)
    dataset = _match(run, open_other_file(config, data.split, run.skeleton), config)
    if run.config.data.val is not None and are_clips_of(run, dataset, "val"):
        found = run.config.replace(val=config.data.dataset)
        return _open_own(run, found, replace(data, split="val", benchmark=None))
    if are_clips_of(run, dataset, "train"):
        warn_once(
            logger, f"{config.data.dataset}: these are the clips that {run.folder} was trained on"
        )
    config = config.replace(benchmark=dataset.benchmark)
    ending = _ending(run, config, data.benchmark, dataset.split)
    return EvaluationClips(run, dataset, config, dataset.split, ending)


def open_part(run: Run, config: TrainOptions, split: str) -> SkeletonDataset:
    """Clips of a run's own data, with labels in the order of the run's classes.

    Args:
        run: The run.
        config: Its configuration, with the current path of the data.
        split: ``"train"``, ``"val"``, ``"test"``, ``"all"``, or the name of a split of the data.

    Raises:
        InputError: The data are missing, or do not fit the run.
    """
    try:
        dataset = open_dataset(config, split)
    except InputError as error:
        gone = next((path for path in _files(config) if not Path(path).exists()), None)
        if gone is None:
            raise
        raise InputError(
            f"{gone}: no such file, but {run.folder} was trained on it; if it has moved, give its "
            "new path as the dataset"
        ) from error
    return _match(run, dataset, config)


def _replace_data(config: TrainOptions, data: EvaluationData) -> TrainOptions:
    names = ("dataset", "root", "source", "skeleton")
    given: dict[str, Any] = {
        name: getattr(data, name) for name in names if getattr(data, name) is not None
    }
    if not given:
        return config
    if data.dataset not in (None, config.data.dataset):
        # Options about the data of the run do not hold for other data.
        unset: dict[str, Any] = {"root": None, "source": None}
        given = unset | ({} if is_file(data.dataset) else {"skeleton": None}) | given
    return with_absolute_paths(config.replace(**given))


def _are_data_of(run: Run, config: TrainOptions) -> bool:
    """Whether these are the run's own data, under another path."""
    try:
        train = _match(run, open_dataset(config, "train"), config)
        if config.data.hold_out:
            train, _ = split_held_out(train, config.data.hold_out)
    except InputError:  # They do not fit the run, or are too few to hold some out.
        return False
    return are_clips_of(run, train, "train")


def _open_own(run: Run, config: TrainOptions, data: EvaluationData) -> EvaluationClips:
    other_benchmark = data.benchmark not in (None, config.data.benchmark)
    if other_benchmark:
        config = config.replace(benchmark=data.benchmark)
    split = data.split or "val"
    dataset = open_part(run, config, split)
    # Results on similar data must not overwrite those on the data of the run.
    if (
        split == "val"
        and not other_benchmark
        and (data.dataset is None or are_clips_of(run, dataset, "val"))
    ):
        warn_of_changed_clips(run, dataset)
        return EvaluationClips(run, dataset, config, split, "")
    ending = _ending(run, config, data.benchmark, split)
    return EvaluationClips(run, dataset, config, split, ending)


def _files(config: TrainOptions) -> list[str]:
    named = [config.data.val] if config.data.val is not None else []
    return [config.data.dataset, *named] if is_file(config.data.dataset) else named


def _match(run: Run, dataset: SkeletonDataset, config: TrainOptions) -> SkeletonDataset:
    return match_dataset(
        dataset,
        run.skeleton,
        run.classes,
        run.in_channels // len(parse_streams(run.config.data.stream))
        + (not run.config.data.use_score),
        run.metadata["data"].get("has_score"),
        config.data.dataset,
        run.folder,
    )


def _ending(run: Run, config: TrainOptions, benchmark: str | None, split: str) -> str:
    parts = [Path(config.data.dataset).stem, *([] if benchmark is None else [benchmark]), split]
    ending = "-".join(re.sub(r"[^\w.]+", "_", part) for part in parts)
    # Another data file of the same name, in another folder.
    for path in run.folder.glob(f"*-{glob.escape(ending)}.json"):
        if _dataset_of(path) not in (None, config.data.dataset):
            return f"{ending}-{zlib.crc32(os.fsencode(config.data.dataset)):08x}"
    return ending


def _dataset_of(path: Path) -> str | None:
    """The data of a result."""
    try:
        content = read_json(path, "evaluate again")
    except InputError:
        return None
    found = content.get("dataset") if isinstance(content, dict) else None
    return found if isinstance(found, str) else None
