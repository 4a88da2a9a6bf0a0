"""The program of a compiled model: a flat list of operations with packed weights, and its file.

NumPy alone: the engine reads it without PyTorch. docs/reference/program.md describes every
operation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = "pyg_stgcn.program"
VERSION = 1

Array = NDArray[np.float32] | NDArray[np.int32]


@dataclass(frozen=True)
class FeatureSlot:
    """Features of a person.

    Args:
        channels: Number of channels.
        halo: Frames of zeros on both sides.
    """

    channels: int
    halo: int = 0


@dataclass(frozen=True)
class GraphSlot:
    """The graph of a person.

    Args:
        floats: Number of factors.
    """

    floats: int


@dataclass(frozen=True)
class Instruction:
    """One operation.

    Args:
        op: Its name.
        numbers: Slots, sizes and flags by name; slots that are not used are -1.
        arrays: Its weights by name, float32 or int32.
    """

    op: str
    numbers: dict[str, int]
    arrays: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A backbone.

    Args:
        blocks: Blocks of sixteen lanes.
        slots: The features and graphs; slot 0 is the normalised input.
        instructions: The operations, in order.
        result: Slot of the last features.
        scale: Factors of the input by position of the person in the clip, ``[persons, V, C]``.
        shift: Summands of the input.
    """

    blocks: int
    slots: list[FeatureSlot | GraphSlot]
    instructions: list[Instruction]
    result: int
    scale: NDArray[np.float32]
    shift: NDArray[np.float32]


@dataclass(frozen=True)
class Program:
    """A compiled model.

    Args:
        networks: A backbone, or the experts of an assembly.
        factors: Weights of their features in the sum, ``[networks]``.
        head_weight: Weights of the classifier, ``[classes, features]``.
        head_bias: Biases of the classifier, ``[classes]``.
    """

    networks: list[Network]
    factors: NDArray[np.float32]
    head_weight: NDArray[np.float32]
    head_bias: NDArray[np.float32]


#: The metadata of a file besides the program: ``about``, ``input``, ``mean``, ``std`` and
#: ``temperature``.
Metadata = dict[str, Any]
