"""A model in the engine."""

from __future__ import annotations

import json
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pyg_stgcn.engine.arrays import (
    Floats,
    Sizes,
    as_floats,
    as_poses,
    as_prepared,
    check_batch,
    check_image_size,
    check_whole,
)
from pyg_stgcn.engine.engine_stream import EngineStream
from pyg_stgcn.engine.handle import Handle
from pyg_stgcn.engine.library import library
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_is_file
from pyg_stgcn.ranges import PROCESSES, VIEWS

#: Name of the model in the folder of an export.
MODEL_FILE = "model.stgcn"
#: The command that writes it.
_REMEDY = "pyg-stgcn export --format engine"


def load(path: str | os.PathLike[str], threads: int = 1) -> Engine:
    """Open the model of ``pyg-stgcn export --format engine``.

    Args:
        path (str or os.PathLike): The file ``model.stgcn``, or its folder.
        threads (int): Threads of a clip. (default: :obj:`1`)

    Raises:
        InputError: If the file is missing or damaged, or the library of the engine is missing.

    Example:
        >>> engine = load("mine/model.stgcn")
        >>> engine.predict(poses)  # [persons, frames, joints, channels]
        ('wave', 0.97)
    """
    try:
        path = Path(os.fsdecode(path))
    except TypeError:
        raise InputError(
            f"path: {type(path).__name__} is no name of a file; give a text or a Path"
        ) from None
    try:
        if path.is_dir() and (path / MODEL_FILE).exists():
            path /= MODEL_FILE
        check_is_file(path)
        path.open("rb").close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}); name a file of the engine") from None
    return _open("open", threads, str(path), os.fsencode(path))


class Engine:
    """A model that maps skeleton clips to probabilities; see :func:`load` and :meth:`from_bytes`.

    Several threads may use it, one after the other; for parallel work give each thread a model or a
    stream of its own. Close it with :meth:`close` or as a context manager; it is closed at
    the latest when nobody refers to it.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle, self._library = handle, library()
        self._streams: weakref.WeakSet[EngineStream] = weakref.WeakSet()
        count = handle.call
        self._sizes = Sizes(
            count(self._library.num_classes),
            count(self._library.num_joints),
            count(self._library.num_channels),
            count(self._library.num_features),
            count(self._library.clip_frames),
            bool(count(self._library.is_planar)),
        )
        #: Frames of the clips of the training.
        self.clip_frames = self._sizes.clip_frames
        #: Whether streams are exact; those of other models run on a sliding window.
        self.is_continual = bool(count(self._library.is_continual))
        #: Instruction set of the kernels: ``"avx512"``, ``"avx2"``, ``"neon"`` or ``"plain"``.
        self.kernels = handle.text(self._library.kernels)
        #: Names of the classes.
        self.classes = [
            handle.text(self._library.class_name, number)
            for number in range(self._sizes.num_classes)
        ]
        #: The description of the model, as in the metadata of ONNX files.
        self.about: dict[str, Any] = json.loads(handle.text(self._library.about))

    @classmethod
    def from_bytes(cls, content: bytes, threads: int = 1) -> Engine:
        """Open the content of a file.

        Args:
            content (bytes): It is copied.
            threads (int): Threads of a clip. (default: :obj:`1`)

        Raises:
            InputError: If it is damaged or of another version, or the library is missing.
        """
        try:
            whole = bytes(memoryview(content))
        except (TypeError, ValueError):
            raise InputError(
                f"content: {type(content).__name__} is not bytes; give the content of a file, or "
                "its path to pyg_stgcn.engine.load"
            ) from None
        return _open("open_bytes", threads, "content", whole, len(whole))

    @property
    def skeleton(self) -> dict[str, Any]:
        """The skeleton: joints, bones and axes by name."""
        found: dict[str, Any] = self.about["skeleton"]
        return found

    def classify(
        self,
        poses: ArrayLike,
        image_size: tuple[float, float] | None = None,
        num_views: int = 1,
    ) -> Floats:
        """The probabilities of a raw clip.

        Args:
            poses: Joints :math:`(M, T, V, C)`, or :math:`(T, V, C)` of one person. In 3-D the
                channels are x, y, z and perhaps a confidence, in 2-D x and y in pixels and perhaps
                a score from 0 to 1. A missing joint is zero, or has a score of zero.
            image_size (tuple of float, optional): Height and width of the image in pixels, in 2-D.
            num_views (int): Samples of the frames, whose probabilities are averaged.
                (default: :obj:`1`)

        Returns:
            numpy.ndarray: One probability for each class; zeros if nobody is in the clip.

        Raises:
            InputError: If the model cannot read the clip.
        """
        joints = as_poses(poses, "poses", "persons, frames", self._sizes)
        joints = joints[None] if joints.ndim == 3 else joints
        if joints.ndim != 4:
            raise InputError(
                f"poses: shape {joints.shape}; give [persons, frames, joints, channels] or "
                "[frames, joints, channels]"
            )
        height, width = check_image_size(image_size, self._sizes.is_planar)
        views = check_whole(num_views, "num_views", VIEWS)
        probabilities = np.zeros(self._sizes.num_classes, np.float32)
        if joints.size:
            persons, frames, _, channels = joints.shape
            self._handle.call(
                self._library.classify,
                *(joints.ctypes.data, persons, frames, channels, height, width, views),
                probabilities.ctypes.data,
            )
        return probabilities

    def predict(
        self,
        poses: ArrayLike,
        image_size: tuple[float, float] | None = None,
        num_views: int = 1,
    ) -> tuple[str | None, float]:
        """The most probable class of a raw clip, and its probability; see :meth:`classify`.

        Returns:
            tuple: Label and probability; None and 0 if nobody is in the clip.
        """
        probabilities = self.classify(poses, image_size, num_views)
        best = int(probabilities.argmax())
        probability = float(probabilities[best])
        return (self.classes[best] if probability > 0 else None), probability

    def logits(
        self, x: ArrayLike, batch: ArrayLike | None = None, num_clips: int | None = None
    ) -> Floats:
        """The logits of prepared input, as the backbones read it.

        Args:
            x: Shape :math:`(P V, T, C)`.
            batch: The clip of every row, ascending, shape :math:`(P V)` (default: one clip).
            num_clips (int, optional): Number of clips (default: by the last row).

        Returns:
            numpy.ndarray: Shape :math:`(N, \\mathrm{classes})`.

        Raises:
            InputError: If the shapes are not those of the model.
        """
        prepared, num_joints = as_prepared(x, self._sizes), self._sizes.num_joints
        clips, num_clips = check_batch(batch, len(prepared), num_joints, num_clips)
        logits = np.zeros((num_clips, self._sizes.num_classes), np.float32)
        persons = len(prepared) // num_joints
        self._handle.call(
            self._library.logits,
            *(prepared.ctypes.data, clips.ctypes.data, persons, prepared.shape[1], num_clips),
            logits.ctypes.data,
        )
        return logits

    def features(self, x: ArrayLike, batch: ArrayLike | None = None) -> Floats:
        """The features of every person of prepared input, shape :math:`(P, F)`; see
        :meth:`logits`.
        """
        prepared, num_joints = as_prepared(x, self._sizes), self._sizes.num_joints
        clips, _ = check_batch(batch, len(prepared), num_joints, None)
        persons = len(prepared) // num_joints
        features = np.zeros((persons, self._sizes.num_features), np.float32)
        self._handle.call(
            self._library.features,
            *(prepared.ctypes.data, clips.ctypes.data, persons, prepared.shape[1]),
            features.ctypes.data,
        )
        return features

    def classify_features(self, features: ArrayLike) -> Floats:
        """The probabilities of features, such as the mean of those of several streams.

        Args:
            features: Shape :math:`(F)`.

        Raises:
            InputError: If the shape is not that of the model.
        """
        given = as_floats(features, "features")
        if given.shape != (self._sizes.num_features,):
            raise InputError(f"features: shape {given.shape} is not ({self._sizes.num_features},)")
        probabilities = np.zeros(self._sizes.num_classes, np.float32)
        self._handle.call(
            self._library.classify_features, given.ctypes.data, probabilities.ctypes.data
        )
        return probabilities

    def stream(
        self,
        window: int | None = None,
        hop: int | None = None,
        image_size: tuple[float, float] | None = None,
    ) -> EngineStream:
        """Begin a stream, the frames of one person one after another.

        Args:
            window (int, optional): Frames whose features are averaged (default: those of a clip of
                the training).
            hop (int, optional): Frames from one answer to the next, of models without exact
                streams (default: 4).
            image_size (tuple of float, optional): Height and width of the image in pixels, in 2-D.

        Raises:
            InputError: If a number is out of range, or the size of the image is missing.
        """
        with self._handle.lock:
            stream = EngineStream(self._handle, self._sizes, window, hop, image_size)
            self._streams.add(stream)
        return stream

    def close(self) -> None:
        """Close the model and its streams."""
        with self._handle.lock:
            for stream in list(self._streams):
                stream.close()
            self._handle.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        sizes = self._sizes
        return f"Engine({sizes.num_classes} classes, {sizes.num_joints} joints, {self.kernels})"


def _open(function: str, threads: int, name: str, *source: Any) -> Engine:
    functions = library()
    check_whole(threads, "threads", PROCESSES)
    try:
        address = functions.open_handle(function, *source, threads)
    except InputError as error:
        reason = str(error).removeprefix(f"{name}: ")
        if _REMEDY not in reason:
            reason = f"{reason}; write it again with '{_REMEDY}'"
        raise InputError(f"{name}: {reason}") from None
    return Engine(Handle(address, functions.close, functions.error, "the engine"))
