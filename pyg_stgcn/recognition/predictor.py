"""From raw poses to named predictions."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError, warn_once
from pyg_stgcn.recognition.calibration import softmax
from pyg_stgcn.recognition.pose_files import PoseOptions, clips_of_path
from pyg_stgcn.recognition.prediction import Prediction
from pyg_stgcn.recognition.prepare import ClipError, to_input
from pyg_stgcn.recognition.raw_clips import CheckedClip, as_list, read_clip
from pyg_stgcn.skeletons import Skeleton

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

#: Maps ``x [P*V, T, C]``, ``batch [P*V]`` and the number of clips to logits ``[N, classes]``.
ArrayModel = Callable[[NDArray[np.float32], NDArray[np.int64], int], NDArray[np.float32]]
#: Persons, counted in every view, that go through the model at once.
_PERSONS_AT_ONCE = 128
_ENGINE_SUFFIX = ".stgcn"
_ONE_BY_ONE = (
    "the model was trained on single persons, but a clip shows several, who get one answer "
    "together; per_person=True gives one to each"
)


class _Input(NamedTuple):
    """The input of a model for all views of a clip, the persons of the clip, and its name."""

    x: NDArray[np.float32]
    num_persons: int
    where: str


@dataclass(frozen=True)
class Recognizer:
    """A trained model that reads raw poses.

    :meth:`load` reads the file of ``pyg-stgcn export``, :meth:`from_pretrained` a folder or the
    Hugging Face Hub, :meth:`from_model` takes a model in memory.

    Args:
        model (callable): Maps arrays ``x``, ``batch`` and the number of clips to logits.
        about (dict): The description of the model, see
            :func:`~pyg_stgcn.recognition.describe`.
        trained_per_person (bool): Whether every training clip was a single person. If so, the log
            has a warning when several persons get one answer. Only runs tell it, exported files
            do not.

    Example:
        >>> recognizer = Recognizer.load("mine.safetensors")
        >>> found = recognizer.predict(poses)  # [persons, frames, joints, channels]
        >>> found.label, found.probability
        ('wave', 0.97)
        >>> recognizer.predict("hand.json").label
        'wave'
    """

    model: ArrayModel
    about: dict[str, Any]
    trained_per_person: bool = False

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, threads: int | None = None) -> Recognizer:
        """Read and compile a model that ``pyg-stgcn export`` or
        :func:`~pyg_stgcn.recognition.save` wrote.

        Args:
            path (str or os.PathLike): The file; ``model.stgcn`` of ``--format engine`` runs in the
                :mod:`engine <pyg_stgcn.engine>`, by default in one thread.
            threads (int, optional): Threads of a pass (default: one for small models, for others
                the cores that this process may use).

        Raises:
            InputError: If the file is missing, damaged, of another kind or of another version.
        """
        if Path(path).suffix == _ENGINE_SUFFIX:
            from pyg_stgcn.engine import load

            engine = load(path, threads or 1)
            return cls(engine.logits, engine.about)
        from pyg_stgcn.recognition.model_file import read

        return cls(*read(path, threads))

    @classmethod
    def from_pretrained(
        cls, source: str | os.PathLike[str], *, threads: int | None = None, **download: Any
    ) -> Recognizer:
        """Read and compile a model of a folder or of the Hugging Face Hub.

        Args:
            source (str or os.PathLike): A folder that
                :meth:`~pyg_stgcn.models.Backbone.save_pretrained` wrote with the classes and the
                preprocessing of the model, or a repository such as ``"user/gestures"``.
            threads (int, optional): See :meth:`load`.
            **download: See :meth:`~pyg_stgcn.models.Backbone.from_pretrained`.

        Raises:
            InputError: If it cannot be fetched or read, or does not say classes and preprocessing.
        """
        from pyg_stgcn.models.hub import fetch_folder, read_folder

        folder = fetch_folder(source, **download)
        model, config = read_folder(folder)
        for name in ("classes", "preprocessing"):
            if config[name] is None:
                raise InputError(
                    f"{folder}: does not say the {name} of the model; write it again with "
                    f"save_pretrained(..., {name}=...), or give it to Recognizer.from_model"
                )
        return cls.from_model(model, config["classes"], config["preprocessing"], threads=threads)

    @classmethod
    def from_model(
        cls,
        model: nn.Module,
        classes: Sequence[str],
        preprocessing: Mapping[str, Any],
        *,
        threads: int | None = None,
        temperature: float = 1.0,
    ) -> Recognizer:
        """Compile a trained model in memory, such as that of a run.

        Args:
            model (Backbone or Assembly): The trained model, on a CPU.
            classes (sequence of str): Names of the classes.
            preprocessing (dict): See :func:`~pyg_stgcn.recognition.describe`.
            threads (int, optional): See :meth:`load`.
            temperature (float): Divides the logits before the softmax. (default: :obj:`1.0`)

        Example:
            >>> run = Run.open("runs/mine")
            >>> Recognizer.from_model(run.load_model(), run.classes, run.preprocessing)
        """
        from pyg_stgcn.recognition.model_file import compiled

        return cls(*compiled(model, classes, preprocessing, threads, temperature))

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return list(self.about["classes"])

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of the clips."""
        return Skeleton.from_dict(self.about["skeleton"])

    def predict(
        self,
        clips: Any,
        *,
        num_views: int = 1,
        image_size: tuple[float, float] | None = None,
        per_person: bool = False,
    ) -> Any:
        """Recognise the action of every clip.

        A clip with several persons gets one answer, the mean of their features: the models are
        trained in this way. In 3-D all persons are seen relative to the one who is there for the
        longest time. A person without any joint does not count.

        Args:
            clips: A clip, or several of any lengths and numbers of persons:

                - an array or tensor :math:`(M, T, V, C)`, or :math:`(T, V, C)` of one person. In
                  3-D the channels are x, y, z and perhaps a confidence, in 2-D x and y in pixels
                  and perhaps a score from 0 to 1. A missing joint is zero, or has a score of zero.
                - an item of a dataset of this package, opened without transform
                - the path of a pose file or video, or a
                  :class:`~pyg_stgcn.poses.pose_clip.PoseClip`
                - a list of these, a dataset, an array :math:`(N, M, T, V, C)`, or the path of a
                  folder of recordings
            num_views (int): Samples of the frames of a clip, whose probabilities are averaged.
                (default: :obj:`1`)
            image_size (tuple of float, optional): Height and width of the image in pixels, for
                arrays of 2-D joints, and for pose files that do not say it.
            per_person (bool): If set to :obj:`True`, every person is a clip of their own, as if
                alone and as long as they are seen, and each clip gets a list of predictions, one
                for each of its :math:`M` persons. (default: :obj:`False`)

        Returns:
            Prediction or list: The :class:`Prediction` of the clip (a list of them with
            :obj:`per_person`); for several clips, or a path with several recordings, a list of
            these.

        Raises:
            InputError: If a clip does not fit the model, has a joint that is NaN or infinite, or
                is in other units than the clips of the training; or a path cannot be read.
        """
        if num_views < 1:
            raise InputError(f"num_views: {num_views} is too few; give at least 1")
        if isinstance(clips, str | os.PathLike):
            read = clips_of_path(clips, self.about, PoseOptions(image_size=image_size))
            found = self.predict(read, num_views=num_views, per_person=per_person)
            return found[0] if len(found) == 1 else found
        several, is_single = as_list(clips)
        counts: list[int] = []

        def parts() -> Iterator[CheckedClip]:
            for number, clip in enumerate(several):
                found = read_clip(clip, number, self.about, image_size)
                counts.append(len(found.joints) if per_person else 1)
                if self.trained_per_person and not per_person and _num_persons(found) > 1:
                    warn_once(logger, _ONE_BY_ONE)
                yield from _by_person(found) if per_person else [found]

        answers = list(self._answer(parts(), num_views))
        if per_person:
            remaining = iter(answers)
            grouped = [list(islice(remaining, count)) for count in counts]
            return grouped[0] if is_single else grouped
        return answers[0] if is_single else answers

    def _answer(self, clips: Iterable[CheckedClip], num_views: int) -> Iterator[Prediction]:
        """Predict the clips in groups of a bounded number of persons."""
        group: list[_Input] = []
        rows = _PERSONS_AT_ONCE * len(self.about["skeleton"]["joints"])
        for clip in clips:
            try:
                x, _ = to_input(
                    clip.joints,
                    clip.present,
                    self.about,
                    num_views=num_views,
                    image_size=clip.image_size,
                )
            except ClipError as error:
                raise InputError(f"{clip.where}: {error}") from None
            group.append(_Input(x, _num_persons(clip), clip.where))
            if sum(len(given.x) for given in group) >= rows:
                yield from self._run(group, num_views)
                group = []
        yield from self._run(group, num_views)

    def _run(self, group: list[_Input], num_views: int) -> Iterator[Prediction]:
        sizes = np.array([len(given.x) // num_views for given in group if len(given.x)], np.int64)
        found: Iterator[NDArray[np.float32]] = iter(())
        if len(sizes):
            x = np.concatenate([given.x for given in group])
            batch = np.repeat(np.arange(len(sizes) * num_views), sizes.repeat(num_views))
            logits = self.model(x, batch, len(sizes) * num_views)
            temperature = self.about.get("temperature", 1.0)
            found = iter(_mean_probabilities(logits, num_views, temperature))
        classes = self.about["classes"]
        for given in group:
            if not len(given.x):
                yield Prediction(None, 0.0, np.zeros(len(classes), np.float32), 0)
                continue
            probabilities = next(found)
            if not np.isfinite(probabilities).all():
                raise InputError(
                    f"{given.where}: the model gives probabilities that are not numbers; correct "
                    "the coordinates if they are huge, else train it again with a lower learning "
                    "rate: its training has diverged"
                )
            best = int(probabilities.argmax())
            yield Prediction(
                classes[best], float(probabilities[best]), probabilities, given.num_persons
            )


def _num_persons(clip: CheckedClip) -> int:
    """Number of persons that have any joint."""
    return int(clip.present.any(axis=(1, 2)).sum())


def _by_person(clip: CheckedClip) -> Iterator[CheckedClip]:
    """Each person from the first frame to the last that shows them, as in a training on persons."""
    for person, present in enumerate(clip.present):
        seen = np.flatnonzero(present.any(axis=1))
        frames = slice(seen[0], seen[-1] + 1) if len(seen) else slice(None)
        part = slice(person, person + 1), frames
        yield clip._replace(
            joints=clip.joints[part],
            present=clip.present[part],
            where=f"{clip.where}, person {person}",
        )


def _mean_probabilities(
    logits: NDArray[np.float32], num_views: int, temperature: float
) -> NDArray[np.float32]:
    """The mean of the probabilities over the views of every clip, ``[N, classes]``."""
    mean = softmax(logits, temperature).reshape(-1, num_views, logits.shape[-1]).mean(axis=1)
    return mean.astype(np.float32)
