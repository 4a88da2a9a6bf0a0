"""The program of a compiled model: a flat list of operations with packed weights.

NumPy alone: the engine reads it without PyTorch. docs/reference/program.md describes every
operation; :mod:`pyg_stgcn.program_file` reads and writes its file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32] | NDArray[np.int32]


@dataclass(frozen=True)
class Operation:
    """The fields of the instructions of a kind.

    Args:
        slots: Numbers that are slots, each with whether it may be -1.
        numbers: The other numbers, with their least values.
        integers: Arrays of int32.
        floats: Arrays of float32.
    """

    slots: dict[str, bool]
    numbers: dict[str, int]
    integers: tuple[str, ...] = ()
    floats: tuple[str, ...] = ()


_ROWS = ("starts", "offsets")
_RELATION = ("relate_weight", "relate_bias")

#: The operations by name.
OPERATIONS = {
    "conv": Operation(
        {"in": False, "out": False, "residual": True},
        {"channel": 0, "padding": 0, "stride": 1, "span": 1, "groups": 1, "block": 1, "relu": 0},
        _ROWS,
        ("values", "bias"),
    ),
    "graph_conv": Operation(
        {"in": False, "out": False, "residual": True, "graph": True},
        {"partitions": 1, "map_relu": 0, "relu": 0},
        (*_ROWS, "graph_starts", "edges", "ell_starts", "ell_sources"),
        ("values", "bias", "row_bias", "factors", "ell_factors"),
    ),
    "maximum": Operation(
        {"in": False, "out": False},
        {"in_channel": 0, "channel": 0, "stride": 1, "relu": 0},
        floats=("scale", "shift"),
    ),
    "add": Operation({"in": False, "residual": False, "out": False}, {"relu": 0}),
    "mean_joint": Operation({"at": False}, {}),
    "spread_joint": Operation({"at": False}, {}, floats=("factor", "scale", "shift")),
    "similarity": Operation(
        {"in": False, "out": False}, {"partitions": 1, "channels": 1}, floats=("prior", "gate")
    ),
    "channel_graph": Operation(
        {"in": False, "out": False}, {}, floats=(*_RELATION, "fixed", "refine")
    ),
    "group_graph": Operation(
        {"in": False, "out": False}, {}, floats=(*_RELATION, "prior", "alpha", "beta", "kept")
    ),
    "attention": Operation(
        {"at": False},
        {},
        floats=(
            *("joint_taps", "joint_bias", "frame_taps", "frame_bias"),
            *("squeeze_weight", "squeeze_bias", "excite_weight", "excite_bias"),
        ),
    ),
}
#: Operations whose result is a graph.
MAKES_GRAPH = {"similarity", "channel_graph", "group_graph"}


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

    @property
    def num_joints(self) -> int:
        """Number of joints."""
        return self.networks[0].scale.shape[1]

    @property
    def in_channels(self) -> int:
        """Number of channels of the input."""
        return self.networks[0].scale.shape[2]
