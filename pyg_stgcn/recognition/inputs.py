"""Inputs of a prediction as a user names them: pose files, folders, videos and datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pyg_stgcn.datasets import NAMES
from pyg_stgcn.datasets.store.lookup import find_clip
from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.recording import Recording
from pyg_stgcn.poses.tracking import track
from pyg_stgcn.progress import with_progress
from pyg_stgcn.recognition.answers import Answer, Piece, answer_pieces
from pyg_stgcn.recognition.dataset_clips import (
    check_kind,
    dataset_and_clip,
    fits,
    item_pieces,
    open_clips,
)
from pyg_stgcn.recognition.pose_files import (
    PoseOptions,
    clips_of,
    fit_to_model,
    list_pose_files,
    open_recordings,
)
from pyg_stgcn.recognition.predictor import Recognizer
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.text import suggestion

if TYPE_CHECKING:
    from pyg_stgcn.datasets import SkeletonDataset


@dataclass(frozen=True)
class Source:
    """A pose file, a folder with the frames of a recording, a video, or a clip of a dataset.

    Args:
        name: Its path, or the names of the dataset and of the clip.
        pieces: Starts to read it, with progress if the argument is true; raises an
            :class:`~pyg_stgcn.errors.InputError` if it cannot be read.
        path: The pose file, folder or video; None for a clip of a dataset.
    """

    name: str
    pieces: Callable[[bool], Iterator[Piece]]
    path: Path | None = None


@dataclass(frozen=True)
class InputReader:
    """Finds and reads inputs for a model.

    Args:
        about: The description of the model, see :func:`~pyg_stgcn.recognition.describe`.
        options: How pose files are read.
        root: Folder of the datasets that have a name.
        source: A local copy of a dataset's archive or raw files.
    """

    about: dict[str, Any]
    options: PoseOptions
    root: str | None = None
    source: str | None = None

    def find(self, words: Sequence[str]) -> list[Source]:
        """All recordings and clips that some words name.

        Args:
            words: Pose files, videos, folders of them, ``DATASET`` or ``DATASET:CLIP``. A pickle
                that is named is a dataset; one in a folder is a pose file.

        Raises:
            InputError: A folder has no pose files, or a dataset cannot be read.
        """
        return [source for word in words for source in self._find(word)]

    def _find(self, word: str) -> Iterator[Source]:
        named = dataset_and_clip(word)
        if named is not None:
            yield from self._of_dataset(*named)
            return
        yield from map(self._of_file, list_pose_files(word))

    def _of_file(self, path: Path) -> Source:
        return Source(str(path), partial(self._read_file, path), path)

    def open_one(self, sources: Sequence[Source]) -> tuple[Recording, Source]:
        """The tracked recording that the only source holds, and the source that reads it again.

        Raises:
            InputError: There are several, or it is no pose file or video, or cannot be read.
        """
        if len(sources) != 1 or (path := sources[0].path) is None:
            what = "a clip of a dataset" if len(sources) == 1 else f"{len(sources)} inputs"
            raise InputError(f"out: draws one pose file or video, not {what}; leave it out")
        recordings = open_recordings(path, self.about, self.options)
        if len(recordings) != 1:
            raise InputError(f"out: draws one recording, but {path} has {len(recordings)}")
        recording = track(recordings[0])
        return recording, Source(str(path), partial(self._read, [recording], path), path)

    def _read_file(self, path: Path, watched: bool) -> Iterator[Piece]:
        return self._read(open_recordings(path, self.about, self.options), path, watched)

    def _read_clip(self, path: Path, name: str, watched: bool) -> Iterator[Piece]:
        recordings = open_recordings(path, self.about, self.options)
        return self._read([one for one in recordings if one.name == name], path, watched)

    def _read(self, recordings: list[Recording], path: Path, watched: bool) -> Iterator[Piece]:
        for recording in recordings:
            shown = _with_progress(recording) if watched else recording
            for clip in clips_of(fit_to_model(shown, self.about), self.options):
                yield Piece.of(clip, path)

    def _open_clips(self, name: str) -> SkeletonDataset:
        options, skeleton = self.options, Skeleton.from_dict(self.about["skeleton"])
        unused: dict[str, Any] = {
            "image_size": options.image_size,
            "max_persons": options.max_persons,
        }
        if name in NAMES:
            unused["skeleton"] = options.skeleton
        for option, value in unused.items():
            if value is not None:
                raise InputError(
                    f"{option}: is for pose files, but {name} is a dataset; leave it out"
                )
        return open_clips(
            name, skeleton, given=options.skeleton, root=self.root, source=self.source
        )

    def _of_dataset(self, name: str, clip: str | None) -> Iterator[Source]:
        dataset = self._open_clips(name)
        skeleton = Skeleton.from_dict(self.about["skeleton"])
        if name not in NAMES and not fits(dataset, skeleton):
            # As a pose file, its joints can be brought into the layout of the model.
            if clip is None:
                yield self._of_file(Path(name))
                return
            wanted = dataset.names[find_clip(dataset, clip)]
            yield Source(f"{name}:{wanted}", partial(self._read_clip, Path(name), wanted))
            return
        check_kind(dataset, self.about, name)
        numbers = range(len(dataset)) if clip is None else [find_clip(dataset, clip)]
        windows, fps = self.options.windows, self.options.fps

        def read(number: int, watched: bool) -> Iterator[Piece]:
            return item_pieces(dataset, number, name, windows, fps)

        for number in numbers:
            yield Source(f"{name}:{dataset.names[number]}", partial(read, number))
        for skipped, reason in dataset.skipped.items() if clip is None else ():
            yield Source(f"{name}:{skipped}", partial(_refuse, f"{name}: {reason}"))


def check_inputs(words: Sequence[str]) -> list[Path]:
    """Check that words name files, folders or datasets, before anything is read.

    Returns:
        The files and folders, also of the clips of pickles, and the names of datasets.

    Raises:
        InputError: A word does not.
    """
    found = []
    for word in words:
        named = dataset_and_clip(word)
        path = Path(word if named is None else named[0])
        found.append(path)
        if path.exists() or (named is not None and named[0] in NAMES):
            continue
        raise InputError(
            f"{path}: there is no such file, folder or dataset{suggestion(str(path), NAMES)}; name "
            "a pose file, a video, a folder of them, or a dataset"
        )
    return found


def _refuse(reason: str, watched: bool) -> NoReturn:
    raise InputError(reason)


def _with_progress(recording: Recording) -> Recording:
    def frames() -> Iterator[Any]:
        description = f"reading {recording.name}, frames"
        return with_progress(recording.frames(), description, recording.num_frames)

    return replace(recording, frames=frames)


@dataclass(frozen=True)
class Answers:
    """The answers to some inputs.

    Args:
        answers: Those to the inputs that could be read, in their order.
        failed: Why the other inputs could not be read, by name.
    """

    answers: list[Answer]
    failed: dict[str, str]


def answer_sources(
    recognizer: Recognizer, sources: Sequence[Source], *, num_views: int, per_person: bool = False
) -> Answers:
    """Recognise all sources. One that cannot be read does not stop the others.

    Args:
        recognizer: The model.
        sources: Of :meth:`InputReader.find`.
        num_views: Samples of the frames of a clip, whose probabilities are averaged.
        per_person: Whether every person gets an answer of their own.
    """
    found = Answers([], {})
    single = len(sources) == 1
    for source in sources if single else with_progress(sources, "predicting, recordings"):
        try:
            pieces = source.pieces(single)
            # Either all answers to a source count, or none.
            found.answers.extend(
                list(answer_pieces(recognizer, pieces, num_views=num_views, per_person=per_person))
            )
        except (InputError, OSError) as error:
            found.failed[source.name] = _reason(error, source)
    return found


def _reason(error: InputError | OSError, source: Source) -> str:
    """The message of an error, without the name of the source before it."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error).removeprefix(f"{source.path or source.name}: ")
