"""Interface of a transform of a whole batch: draws and numbers of rows, then the arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pyg_stgcn.transforms.batched.batch_rows import ClipRows, Rows

#: Random numbers, or numbers of frames, of a clip.
Draws = tuple[Tensor, ...]
#: What a step needs on the device.
Prepared = tuple[Tensor | None, ...]


@dataclass
class ClipShape:
    r"""Shape of a clip after some of the steps.

    Args:
        name: Name of the clip.
        persons: Persons.
        frames: Frames.
        joints: Joints of a person.
        channels: Channels of a joint.
        image_size: Height and width of the image of a 2-D clip.
        present: Present joints of the stored clip, :math:`(M, T, V)`.
    """

    name: str
    persons: int
    frames: int
    joints: int
    channels: int
    image_size: tuple[float, float] | None
    present: NDArray[np.bool_]

    @property
    def axes(self) -> int:
        """The number of leading channels that are coordinates."""
        return self.channels if self.image_size is None else 2


class StoredRows(NamedTuple):
    r"""The clips of a batch as they are stored, on the CPU.

    Args:
        keypoint: :math:`(R, V, C)`.
        present: :math:`(R, V)`.
    """

    keypoint: Tensor
    present: Tensor


class Step:
    """One transform of a pipeline, for a whole batch.

    A GPU is fast with large tensors, and slow with many small ones: all that can be computed of few
    numbers is prepared on the CPU.

    Args:
        transform: The transform of single clips, which draws the random numbers.
    """

    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def draw(self, clip: ClipShape) -> Draws:
        """Draw what the transform of this clip depends on, from the same generators in the same
        order as the transform of single clips, and give the clip its new shape.

        Returns:
            Tensors that can be concatenated over the clips of a batch, along the first dimension.

        Raises:
            InputError: As the transform of single clips does.
        """
        return ()

    def prepare(self, draws: Draws, before: Rows, after: Rows, stored: StoredRows) -> Prepared:
        """Compute what :meth:`apply` needs of the draws of all clips, on the CPU.

        Args:
            draws: The draws of all clips.
            before: Numbers of the rows before the step.
            after: Numbers of the rows after the step.
            stored: The clips before the first step.
        """
        return draws

    def apply(self, clips: ClipRows, *prepared: Any) -> None:
        """Transform the clips on their device.

        Args:
            clips: The clips; they are changed.
            prepared: The result of :meth:`prepare`, on the device.
        """
        raise NotImplementedError
