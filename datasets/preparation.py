"""From what a reader gives to what the store takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch_geometric.data import Data

from pyg_stgcn.datasets.items import clip_to_data, data_to_clip
from pyg_stgcn.datasets.reading import BadClip, ClipSource, check_clip
from pyg_stgcn.datasets.store import Clip
from pyg_stgcn.errors import InputError

#: One clip in so many may be unusable. With more of them the source, not the clip, is wrong.
CLIPS_PER_BAD_ONE = 100


class Preparation:
    """Checks and transforms the clips of a source, and leaves out the few that cannot be used.

    Args:
        source: What a reader has found.
        pre_transform: Applied to every clip that passes the checks.
        strict: Whether to leave out none.
    """

    def __init__(
        self,
        source: ClipSource,
        pre_transform: Callable[[Data], Data] | None = None,
        strict: bool = False,
    ) -> None:
        self._source = source
        self._pre_transform = pre_transform
        self._strict = strict
        self._edge_index = source.skeleton.edge_index()
        self._total = 0
        #: Why each clip is left out, by name.
        self.skipped: dict[str, str] = {}

    def __iter__(self) -> Iterator[Clip]:
        """The clips that can be used, in order.

        Raises:
            InputError: If a clip cannot be used, and either none may be left out or more than one
                in a hundred have been.
        """
        for clip in self._source.clips:
            self._total += 1
            try:
                prepared = self._prepare(clip)
            except InputError as error:
                self._skip(clip.name, error)
            else:
                yield prepared
        self._check_number(self._total)

    def facts(self) -> dict[str, Any]:
        """What is known after the last clip: the splits, and what was left out."""
        splits = {
            split: [name for name in names if name not in self.skipped]
            for split, names in self._source.splits.items()
        }
        return {"splits": splits, "skipped": self.skipped}

    def _prepare(self, clip: Clip | BadClip) -> Clip:
        if isinstance(clip, BadClip):
            raise InputError(clip.reason)
        clip = check_clip(clip, self._source)
        if self._pre_transform is None:
            return clip
        data = self._pre_transform(clip_to_data(clip, self._edge_index))
        return data_to_clip(data, clip, self._edge_index)

    def _skip(self, name: str, error: InputError) -> None:
        if self._strict:
            raise error
        self.skipped[name] = str(error)
        if self._source.total is not None:
            self._check_number(self._source.total)

    def _check_number(self, total: int) -> None:
        bad = len(self.skipped)
        if bad * CLIPS_PER_BAD_ONE <= total:
            return
        first = next(iter(self.skipped.values()))
        others = f"; {bad - 1} more of {self._total} clips cannot be used" if bad > 1 else ""
        raise InputError(f"{first}{others}")
