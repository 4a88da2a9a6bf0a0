"""Comparison of data with the data that a run was started with."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pyg_stgcn.datasets import SkeletonDataset
from pyg_stgcn.errors import InputError, warn_once
from pyg_stgcn.runs.config_file import load_config
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.matching import same_skeleton
from pyg_stgcn.skeletons import Skeleton

logger = logging.getLogger(__name__)


def describe_clips(dataset: SkeletonDataset) -> dict[str, str]:
    """Checksums of the names and class names of clips, and of their coordinates.

    The numbers of the classes do not matter.
    """
    digest = hashlib.sha256()
    for name, label in zip(dataset.names, dataset.labels.tolist(), strict=True):
        # With their lengths, different names cannot join to the same text.
        text = f"{name}\n{dataset.classes[label] if label >= 0 else ''}\n".encode()
        digest.update(len(text).to_bytes(8, "big") + text)
    coordinates = hashlib.sha256(dataset.checksums.astype("<u4").tobytes())
    return {"clips": digest.hexdigest(), "coordinates": coordinates.hexdigest()}


def are_clips_of(run: Run, dataset: SkeletonDataset, part: str) -> bool:
    """Whether clips have the names, classes and order of the clips that a run was started with.

    Args:
        run: The run.
        dataset: The clips.
        part: ``"train"`` or ``"val"``.
    """
    recorded = _recorded(run.metadata["data"], part)
    return bool(recorded) and recorded["clips"] == describe_clips(dataset)["clips"]


def warn_of_changed_clips(run: Run, dataset: SkeletonDataset) -> None:
    """Log a warning if validation clips differ from those that a run was started with."""
    recorded, found = _recorded(run.metadata["data"], "val"), describe_clips(dataset)
    if recorded in ({}, found):
        return
    what = "coordinates" if found["clips"] == recorded["clips"] else "names or classes"
    warn_once(
        logger,
        f"{run.config.data.dataset}: has changed since {run.folder} was trained: the {what} of the "
        f"{len(dataset)} validation clips are different",
    )


def check_same_data(run: Run) -> None:
    """Check that a resumed run has the data that it was started with.

    Changed coordinates alone only log a warning.

    Args:
        run: With metadata of the current data; its folder holds those of the start.

    Raises:
        InputError: The classes, the skeleton or the clips have changed.
    """
    if not run.is_started:
        return
    then, now = load_config(run.config_file)[1].get("data", {}), run.metadata["data"]
    change = find_change(then, now)
    if change is not None:
        raise InputError(
            f"{run.config.data.dataset}: since the run in {run.folder} was started, "
            f"{change}; restore "
            "the data to resume it, or start again in another folder"
        )
    for part in ("train", "val"):
        if _recorded(then, part) not in ({}, now[part]):
            warn_once(
                logger,
                f"{run.config.data.dataset}: coordinates of the {part} clips have changed "
                "since the run "
                f"in {run.folder} was started",
            )


def find_change(then: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """First difference between the data of two runs, except for coordinates.

    Args:
        then: Metadata of the data of a run; earlier versions recorded less.
        now: Metadata of other data.

    Returns:
        A clause for a message; :obj:`None` if nothing differs.
    """
    both = then.keys() & now.keys()
    if "classes" in both and then["classes"] != now["classes"]:
        return _describe_classes(then["classes"], now["classes"])
    if "skeleton" in both:
        old, new = (Skeleton.from_dict(data["skeleton"]) for data in (then, now))
        if not same_skeleton(old, new):
            return f"the skeleton has changed: {new.difference(old)}"
    for part in ("train", "val"):
        count = f"{part}_clips"
        if count in both and then[count] != now[count]:
            return f"the number of {part} clips has changed from {then[count]} to {now[count]}"
        one, other = (_recorded(data, part).get("clips") for data in (then, now))
        if None not in (one, other) and one != other:
            return f"the names, classes or order of the {part} clips have changed"
    return None


def _describe_classes(then: Sequence[str], now: Sequence[str]) -> str:
    same = sorted(then) == sorted(now)
    pairs = enumerate(zip([*then, None], [*now, None], strict=False))
    number, (old, new) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
    kind = "the order of the classes has" if same else "the classes have"
    return f"{kind} changed (class {number} was {old!r}, now {new!r})"


def _recorded(data: Mapping[str, Any], part: str) -> dict[str, str]:
    """Checksums of the clips of a run; empty for runs of earlier versions."""
    found = data.get(part)
    return found if isinstance(found, dict) and {"clips", "coordinates"} <= found.keys() else {}
