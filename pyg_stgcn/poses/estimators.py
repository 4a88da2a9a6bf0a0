"""Pose estimators: one protocol, and adapters of packages that others maintain."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol
from weakref import finalize

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.movenet import MoveNet
from pyg_stgcn.poses.video_file import Image
from pyg_stgcn.skeletons import Skeleton, get_skeleton
from pyg_stgcn.text import suggestion

#: Most persons that are asked of MediaPipe, as many as MoveNet finds.
_PERSONS = 6
_POSE_LANDMARKER = (
    "https://storage.googleapis.com/mediapipe-models/pose_landmarker/pose_landmarker_full/float16/"
    "latest/pose_landmarker_full.task"
)


class PoseEstimator(Protocol):
    """Finds the persons in one image and their joints.

    Any callable object with a skeleton is one. Frames of a video come in their order.
    """

    @property
    def skeleton(self) -> Skeleton:
        """The joints, in the order of the result."""

    def __call__(self, image: Image, /) -> NDArray[np.float32]:
        """Find the persons in an image.

        Args:
            image: ``[H, W, 3]``, red, green, blue.

        Returns:
            Persons ``[M, V, 3]``: x and y in pixels, and score; 0 where a joint is missing.
        """


@dataclass(frozen=True)
class FunctionEstimator:
    """A pose estimator that is made of a function.

    Args:
        function: Takes an image ``[H, W, 3]`` in red, green, blue; returns persons ``[M, V, 3]``,
            each joint with x, y in pixels and a score.
        skeleton: The joints of its result.

    Example:
        >>> nobody = FunctionEstimator(lambda image: np.zeros((0, 17, 3)), get_skeleton("coco17"))
        >>> nobody(np.zeros((480, 640, 3), np.uint8)).shape
        (0, 17, 3)
    """

    function: Callable[[Image], ArrayLike]
    skeleton: Skeleton

    def __call__(self, image: Image, /) -> NDArray[np.float32]:
        return np.asarray(self.function(image), np.float32)


def rtmlib_estimator(mode: str | None = None) -> FunctionEstimator:
    """RTMPose through rtmlib (https://github.com/Tau-J/rtmlib): the 17 joints of COCO.

    Args:
        mode: ``"lightweight"``, ``"balanced"`` (default) or ``"performance"``.

    Raises:
        InputError: rtmlib is missing, or cannot load its model.
    """
    rtmlib = _import("rtmlib", "rtmlib onnxruntime opencv-python")
    with _loading("rtmlib", mode):
        body = rtmlib.Body(mode=mode or "balanced", backend="onnxruntime", device="cpu")

    def estimate(image: Image) -> ArrayLike:
        bgr = np.ascontiguousarray(image[..., ::-1])
        boxes = body.det_model(bgr)
        if not len(boxes):  # The pose model would take the whole image for a person.
            return np.zeros((0, 17, 3))
        joints, scores = body.pose_model(bgr, bboxes=boxes)
        return np.concatenate([joints, scores[..., None]], axis=-1)

    return FunctionEstimator(estimate, get_skeleton("coco17"))


def ultralytics_estimator(model: str | None = None) -> FunctionEstimator:
    """YOLO pose models of ultralytics: the 17 joints of COCO.

    Args:
        model: File or name of a model (default: ``"yolo11n-pose.pt"``).

    Raises:
        InputError: ultralytics is missing, cannot load the model, or it has other joints.
    """
    ultralytics = _import("ultralytics", "ultralytics")
    skeleton = get_skeleton("coco17")
    name = model or "yolo11n-pose.pt"
    with _loading("ultralytics", name):
        yolo = ultralytics.YOLO(name)

    def estimate(image: Image) -> ArrayLike:
        bgr = np.ascontiguousarray(image[..., ::-1])
        found = yolo.predict(bgr, verbose=False)[0].keypoints
        if found is None:
            raise InputError(f"{name}: is not a pose model; choose one such as yolo11n-pose.pt")
        persons = found.data.cpu().numpy()
        # Joints of a low score are put at zero, but keep the score.
        missing = ~persons[..., :2].any(axis=-1, keepdims=True)
        return np.where(missing, 0, persons)

    return FunctionEstimator(estimate, skeleton)


def mediapipe_estimator(model: str | None = None) -> FunctionEstimator:
    """MediaPipe's pose landmarks: 33 joints, with visibility as score.

    Args:
        model: A ``.task`` file of the pose landmarker, which finds up to six persons. Without it,
            MediaPipe up to 0.10.21 finds one person with the model it contains.

    Raises:
        InputError: mediapipe is missing, cannot load the model, or contains none.
    """
    mediapipe = _import("mediapipe", "mediapipe")
    if model is not None:
        landmarks_of = _pose_landmarker(mediapipe, model)
    elif hasattr(mediapipe, "solutions"):
        landmarks_of = _pose_solution(mediapipe)
    else:
        raise InputError(
            f"mediapipe {mediapipe.__version__} contains no pose model; fetch {_POSE_LANDMARKER} "
            "and name it: mediapipe:pose_landmarker_full.task"
        )
    skeleton = get_skeleton("blazepose33")

    def estimate(image: Image) -> ArrayLike:
        height, width = image.shape[:2]
        persons = [
            [(one.x * width, one.y * height, one.visibility) for one in landmarks]
            for landmarks in landmarks_of(image)
        ]
        return np.reshape(persons, (-1, skeleton.num_joints, 3))

    return FunctionEstimator(estimate, skeleton)


def _pose_solution(mediapipe: Any) -> Callable[[Image], list[Any]]:
    with _loading("mediapipe", None):
        pose = mediapipe.solutions.pose.Pose(static_image_mode=True)

    def landmarks_of(image: Image) -> list[Any]:
        found = pose.process(image).pose_landmarks
        return [] if found is None else [found.landmark]

    return landmarks_of


def _pose_landmarker(mediapipe: Any, model: str) -> Callable[[Image], list[Any]]:
    with _loading("mediapipe", model):
        vision = import_module("mediapipe.tasks.python.vision")
        base = import_module("mediapipe.tasks.python").BaseOptions(model_asset_path=model)
        options = vision.PoseLandmarkerOptions(base_options=base, num_poses=_PERSONS)
        landmarker = vision.PoseLandmarker.create_from_options(options)

    def landmarks_of(image: Image) -> list[Any]:
        wrapped = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(image))
        found: list[Any] = landmarker.detect(wrapped).pose_landmarks
        return found

    # At the latest before the interpreter ends, when it can no longer be closed.
    finalize(landmarks_of, landmarker.close)
    return landmarks_of


#: Estimators by name; each takes a model, or None for its default.
ESTIMATORS: dict[str, Callable[[str | None], PoseEstimator]] = {
    "movenet": MoveNet,
    "rtmlib": rtmlib_estimator,
    "ultralytics": ultralytics_estimator,
    "mediapipe": mediapipe_estimator,
}


def create_estimator(name: str = "movenet") -> PoseEstimator:
    """Create a pose estimator by name.

    Args:
        name: One of :data:`ESTIMATORS`, and after a colon its model where another than the default
            is wanted: ``"rtmlib:performance"``, ``"ultralytics:yolo11m-pose.pt"``,
            ``"mediapipe:pose_landmarker_full.task"``, ``"movenet:model.tflite"``. Or
            ``"MODULE:OBJECT"``: a :class:`PoseEstimator` in a module of yours.

    Raises:
        InputError: There is no such estimator, or it is not installed.
    """
    first, _, model = name.partition(":")
    if first in ESTIMATORS:
        return ESTIMATORS[first](model or None)
    if not model:
        raise InputError(
            f"estimator: {name!r} is not one of {', '.join(ESTIMATORS)}"
            f"{suggestion(name, ESTIMATORS)}, nor MODULE:OBJECT"
        )
    return _own_estimator(first, model)


def _own_estimator(module: str, name: str) -> PoseEstimator:
    with _working_folder_on_path():
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise InputError(f"estimator: {module}:{name} cannot be imported ({error})") from error
    if not callable(found) or not isinstance(getattr(found, "skeleton", None), Skeleton):
        raise InputError(
            f"estimator: {module}:{name} is no pose estimator; it needs an attribute 'skeleton' "
            "and takes an image, see pyg_stgcn.poses.estimators.FunctionEstimator"
        )
    estimator: PoseEstimator = found
    return estimator


@contextmanager
def _working_folder_on_path() -> Iterator[None]:
    """Find modules in the working folder, as ``python -m`` does."""
    before = list(sys.path)
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 (a string is needed)
    try:
        yield
    finally:
        sys.path[:] = before


def _import(package: str, install: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise InputError(
            f"estimator: {package} cannot be imported ({error}); install it: pip install {install}"
        ) from error


@contextmanager
def _loading(package: str, model: str | None) -> Iterator[None]:
    """Turn whatever a package raises while it loads a model into one clear error."""
    try:
        yield
    except Exception as error:
        name = f"{package}:{model}" if model else package
        raise InputError(f"estimator: {name} cannot load its model ({error})") from error
