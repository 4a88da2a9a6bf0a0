"""The protocols of pose readers, one reader a format, and the help that all of them share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.frame_files import FrameFiles
from pyg_stgcn.poses.recording import Recording
from pyg_stgcn.skeletons import Skeleton, get_skeleton

#: Bytes at the start of a file by which readers recognise it.
HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class PoseHints:
    """Properties of recordings that the user gives because many files do not contain them.

    What a file itself says of image size and frame rate comes first.

    Args:
        skeleton: Layout of the joints; None to tell it from names or the number of joints.
        image_size: Height and width of the images in pixels.
        fps: Frames per second.
    """

    skeleton: Skeleton | None = None
    image_size: tuple[float, float] | None = None
    fps: float | None = None


class PoseReader(Protocol):
    """Reader of files that each contain whole recordings."""

    #: Name of the format for messages, such as ``"AlphaPose results"``.
    format: str

    def recognises(self, path: Path, head: bytes) -> bool:
        """Whether a file looks like this format.

        Args:
            path: The file; readers may look at its name, but do not open it.
            head: Its first :data:`HEAD_BYTES` bytes.
        """

    def open(self, path: Path, hints: PoseHints) -> list[Recording]:
        """Describe the recordings of a file; their frames are read later.

        Raises:
            InputError: The file is damaged, or lacks what the hints do not give.
        """


@runtime_checkable
class FrameFileReader(Protocol):
    """Reader of files that contain one frame each; many of them in a folder are a recording."""

    format: str

    def recognises(self, path: Path, head: bytes) -> bool:
        """As :meth:`PoseReader.recognises`."""

    def open_files(self, files: FrameFiles, hints: PoseHints) -> Recording:
        """As :meth:`PoseReader.open`, for the files of one recording."""


def skeleton_by_count(
    path: Path, num_joints: int, hints: PoseHints, layouts: Mapping[int, str]
) -> Skeleton:
    """The layout of a file without joint names.

    Args:
        path: The file, for the error.
        num_joints: Number of joints in the file.
        hints: The layout that the user named comes first.
        layouts: Layouts of the format by number of joints. A layout with fewer joints stands for
            the first ones, as those of the body come before hands and face.

    Raises:
        InputError: The number of joints is not that of the named layout, or of any.
    """
    if (skeleton := hints.skeleton) is not None:
        if skeleton.num_joints != num_joints and skeleton.name != layouts.get(num_joints):
            raise InputError(
                f"{path}: has {num_joints} joints a person, skeleton {skeleton.name!r} has "
                f"{skeleton.num_joints}; name the layout that the pose estimator wrote"
            )
        return skeleton
    if num_joints not in layouts:
        known = ", ".join(f"{name} ({number})" for number, name in sorted(layouts.items()))
        raise InputError(
            f"{path}: has {num_joints} joints a person, which is none of {known}; describe the "
            "layout in a JSON file and name that as skeleton"
        )
    return get_skeleton(layouts[num_joints])
