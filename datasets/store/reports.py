"""Warnings for those who trust the numbers of a dataset."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from pyg_stgcn.datasets.store.clip_store import ClipStore

logger = logging.getLogger(__name__)


def warn_of_hidden_persons(store: ClipStore) -> None:
    """Warn of clips whose main person is missing in most of the frames."""
    hidden = store.meta["hidden"]
    if hidden:
        logger.warning(
            "%s: in %d of %d clips the main person is missing in most of the frames, which "
            "training drops; check the tracking of persons, see 'datasets info'",
            store.folder,
            hidden,
            len(store),
        )


def warn_of_leaks(folder: Path, leaks: Mapping[str, int]) -> None:
    """Warn of validation clips that are copies of training clips, by the name of the benchmark."""
    for benchmark, number in leaks.items():
        if number:
            logger.warning(
                "%s: %d validation clips of benchmark %s are exact copies of training clips; "
                "leave them out with --drop-leaks (drop_leaks=True)",
                folder,
                number,
                benchmark,
            )
