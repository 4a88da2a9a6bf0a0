"""Preparation of the clips of a reader for the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch_geometric.data import Data

from pyg_stgcn.datasets.readers.fields import check_distinct
from pyg_stgcn.datasets.readers.image_check import ImageCheck
from pyg_stgcn.datasets.readers.reading import BadClip, ClipSource, check_clip
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.datasets.store.items import clip_to_data, data_to_clip
from pyg_stgcn.datasets.store.present_joints import hidden_fraction
from pyg_stgcn.errors import InputError

#: One clip in so many may be unusable: of a published dataset, and of a user's own data. With more
#: of them the source, not the clip, is wrong.
_CLIPS_PER_BAD_ONE, _OWN_CLIPS_PER_BAD_ONE = 100, 2
#: A clip whose main person is missing in a greater fraction of its frames is worth a warning.
_MAX_HIDDEN = 0.5


class Preparation:
    """Checks and transforms the clips of a source, and leaves out the few that cannot be used.

    Args:
        source: What a reader has found.
        pre_transform: Applied to every clip that passes the checks.
        pre_filter: Decides, before that, which of them to keep.
        strict: Whether to leave out none.
        skip_bad: Whether to leave out any number, as long as one is good.
        name: Name of the source in warnings.
    """

    def __init__(
        self,
        source: ClipSource,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        *,
        strict: bool = False,
        skip_bad: bool = False,
        name: str = "",
    ) -> None:
        # Published class names may occur twice, as one of Gym99 does.
        if source.own:
            check_distinct(source.classes)
        self._source = source
        self._pre_transform = pre_transform
        self._pre_filter = pre_filter
        self._strict = strict
        self._skip_bad = skip_bad
        self._name = name
        self._images = ImageCheck(source.own) if source.has_score else None
        self._edge_index = source.skeleton.edge_index()
        self._total = 0
        #: Why each clip is left out, by name.
        self.skipped: dict[str, str] = {}
        #: Names of the clips that the filter leaves out.
        self._filtered: set[str] = set()
        #: How many clips lose most of their frames in 3-D normalisation.
        self._hidden = 0

    def __iter__(self) -> Iterator[Clip]:
        """The clips that can be used, in order.

        Raises:
            InputError: If a clip cannot be used, and either none may be left out or too many have
                been, or if the coordinates do not fit the sizes of the images.
        """
        for clip in self._source.clips:
            self._total += 1
            try:
                prepared = self._prepare(clip)
            except InputError as error:
                self._skip(clip.name, error)
            else:
                if prepared is not None:
                    yield prepared
        self._check_number(self._total)
        if self._filtered and len(self._filtered) + len(self.skipped) == self._total:
            raise InputError(
                f"pre_filter: keeps none of {len(self._filtered)} clips; it must return True for "
                "those to keep"
            )
        if self._images is not None:
            self._images.finish(self._name)

    def metadata(self) -> dict[str, Any]:
        """Metadata known after the last clip: the splits, the skipped clips, and how many clips
        show their main person in less than half of their frames.
        """
        splits = {
            split: [name for name in names if name not in self.skipped.keys() | self._filtered]
            for split, names in self._source.splits.items()
        }
        return {"splits": splits, "skipped": self.skipped, "hidden": self._hidden}

    def _prepare(self, clip: Clip | BadClip) -> Clip | None:
        """The clip as it is to be stored; ``None`` if it is filtered out."""
        if isinstance(clip, BadClip):
            raise InputError(clip.reason)
        clip = check_clip(clip, self._source)
        if self._images is not None:
            self._images.add(clip)
        if self._pre_filter and not self._pre_filter(clip_to_data(clip, self._edge_index)):
            self._filtered.add(clip.name)
            return None
        assert clip.present is not None
        # Nothing is dropped from clips in the plane.
        if not self._source.has_score and hidden_fraction(clip.present) > _MAX_HIDDEN:
            self._hidden += 1
        if self._pre_transform is None:
            return clip
        data = self._pre_transform(clip_to_data(clip, self._edge_index))
        return data_to_clip(data, clip, self._edge_index)

    def _skip(self, name: str, error: InputError) -> None:
        if self._strict:
            raise error
        self.skipped[name] = str(error)
        # The end of a long source need not be waited for.
        if self._source.total is not None and not self._source.own:
            self._check_number(self._source.total)

    def _check_number(self, total: int) -> None:
        bad = len(self.skipped)
        if bad == 0 or bad <= self._allowed(total):
            return
        first = next(iter(self.skipped.values()))
        others = f"; {bad - 1} more of {self._total} clips cannot be used" if bad > 1 else ""
        # Where no clip is good, leaving out the bad ones is no remedy.
        option = "; leave them out with --skip-bad (skip_bad=True)" if bad < total else ""
        raise InputError(f"{first}{others}{option}")

    def _allowed(self, total: int) -> int:
        if self._skip_bad:
            return total - 1
        return total // (_OWN_CLIPS_PER_BAD_ONE if self._source.own else _CLIPS_PER_BAD_ONE)
