"""The backbone that weights of PYSKL were made for, read from their names and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.names import PARTITIONS
from pyg_stgcn.skeletons import Skeleton, get_skeleton

State = Mapping[str, Tensor]

#: PYSKL's layouts, by their number of joints.
LAYOUTS = {17: "coco17", 18: "openpose18", 21: "hand21", 25: "ntu25"}
#: A tensor of the first stage that only this backbone has, and from which its input channels are
#: read.
_INPUT = {
    "ctrgcn": "net.0.gcn1.convs.0.conv3.weight",
    "aagcn": "gcn.0.gcn.conv_d.0.weight",
    "dgstgcn": "gcn.0.gcn.pre.0.weight",
    "stgcn": "gcn.0.gcn.conv.weight",
}
_STAGE = re.compile(r"(?:gcn|net)\.(\d{1,4})\.")
_CLASSIFIER = "cls_head.fc_cls.weight"


@dataclass(frozen=True)
class Architecture:
    """A backbone as the arguments of :func:`~pyg_stgcn.models.create_model`.

    Args:
        name: Name of the backbone.
        num_classes: Number of classes; None if the weights have no classifier.
        num_joints: Number of joints.
        options: Its options, as far as weights can tell them. A stage whose residual path has
            weights is taken to halve the frames: it does so in all networks that PYSKL published.
    """

    name: str
    num_classes: int | None
    num_joints: int
    options: dict[str, Any]

    @property
    def skeleton(self) -> str | None:
        """The layout of PYSKL with this number of joints; None if there is none."""
        return LAYOUTS.get(self.num_joints)

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        classes = "" if self.num_classes is None else f"{self.num_classes} classes, "
        return f"{self.name} with {classes}{self.num_joints} joints, {options}"


def read_architecture(state: State, where: object) -> Architecture:
    """The backbone of a state dict of PYSKL, whose names have no prefix.

    Args:
        state: Tensors by PYSKL's names, without ``backbone.``.
        where: The file, for the error.

    Raises:
        InputError: The weights are of no backbone of this package.
    """
    try:
        return _read(state)
    except (LookupError, TypeError, ValueError, ZeroDivisionError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise InputError(
            f"{where}: holds weights of none of the backbones ({reason}); name a checkpoint of "
            f"PYSKL of {', '.join(sorted({*_INPUT, 'stgcnpp'}))}"
        ) from None


def _read(state: State) -> Architecture:
    name = next((one for one, tensor in _INPUT.items() if tensor in state), None)
    if name is None:
        raise ValueError("no graph convolution of a first stage")
    root, gcn = ("net", "gcn1") if name == "ctrgcn" else ("gcn", "gcn")
    numbers = {int(found[1]) for key in state if (found := _STAGE.match(key))}
    if numbers != set(range(len(numbers))):
        raise ValueError(f"stages {sorted(numbers)[:20]}")
    widths = [len(state[f"{root}.{i}.{gcn}.bn.weight"]) for i in range(len(numbers))]
    residuals = [f"{root}.{i}.residual.conv.weight" in state for i in range(len(numbers))]
    partitions, num_joints = state[f"{root}.0.{gcn}.A"].shape[-3:][:2]
    in_channels = state[_INPUT[name]].shape[1]
    # The first stage is left out if the input is as wide as the model. It has no residual path.
    has_first = in_channels != widths[0] and not residuals[0]
    first = 1 if has_first else 2
    before = [widths[0] if has_first else in_channels, *widths[:-1]]
    growing = [i for i, width in enumerate(widths) if width != before[i]]
    if any(widths[i] != 2 * before[i] for i in growing):
        raise ValueError(f"widths {widths} that do not double")
    if name == "stgcn" and "gcn.0.tcn.branches.0.0.weight" in state:
        name = "stgcnpp"
    options = {
        "in_channels": in_channels,
        "base_channels": before[0],
        "num_stages": len(widths) + first - 1,
        "inflate_stages": [i + first for i in growing],
        "down_stages": [i + first for i, has_weights in enumerate(residuals) if has_weights],
    }
    slots = len(state["data_bn.weight"]) // (num_joints * in_channels)
    if name in ("aagcn", "ctrgcn"):
        options["person_slots"] = slots
    classes = len(state[_CLASSIFIER]) if _CLASSIFIER in state else None
    if name == "stgcn":
        options |= _graph_of_stgcn(state, num_joints)
    elif name == "dgstgcn":
        options |= {"num_partitions": partitions, "ratio": _ratio(state, partitions, widths)}
    elif partitions != 3:
        options |= {"graph": "random", "num_partitions": partitions}
    if name == "aagcn":
        options["attention"] = "gcn.0.gcn.conv_ta.weight" in state
    return Architecture(name, classes, num_joints, options)


def _graph_of_stgcn(state: State, num_joints: int) -> dict[str, Any]:
    """The partition whose matrix is stored, or a graph of all pairs of joints that was learnt."""
    graph = state["gcn.0.gcn.A"]
    if "gcn.0.gcn.PA" not in state:
        return {"graph": "random", "num_partitions": len(graph), "adaptive": "init"}
    skeleton = get_skeleton(LAYOUTS[num_joints]) if num_joints in LAYOUTS else None
    partition = skeleton and _partition(graph, skeleton)
    return {} if partition is None else {"graph": partition}


def _partition(graph: Tensor, skeleton: Skeleton) -> str | None:
    for name in (*PARTITIONS, f"distance-{len(graph) - 1}"):
        if name in ("random", "distance-0"):
            continue
        ours = skeleton.graph(name).dense()
        if ours.shape == graph.shape and torch.allclose(ours, graph.to(ours), atol=1e-6):
            return name
    return None


def _ratio(state: State, partitions: int, widths: list[int]) -> float:
    """Channels of a partition, as a fraction of the widest stage, where rounding matters least."""
    widest = widths.index(max(widths))
    return len(state[f"gcn.{widest}.gcn.pre.0.weight"]) // partitions / widths[widest]
