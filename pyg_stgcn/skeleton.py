"""Skeletons: the joints and bones that data is made of, built in or described in JSON."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_is_file, write_atomically
from pyg_stgcn.partitions import SkeletonGraph, hop_distance, partition_graph, random_graph

Pair = tuple[int, int]


@dataclass(frozen=True)
class Skeleton:
    r"""The joints and bones of a body, a hand or anything else that moves.

    Args:
        name: A short name.
        joints: The joint names, in the order of the data.
        bones: The edges of the graph as ``(child, parent)`` joint numbers.
        center: The joint of reference of the ``"stgcn_spatial"`` partition.
        pairs: ``(left, right)`` joints that a mirror would swap.
        bone_pairs: ``(child, parent)`` pairs of the bone stream where they differ from
            :obj:`bones`. A joint may be paired with itself: a bone of length zero.
        root: The joint that goes to the origin in 3-D normalisation (default: :obj:`center`).
        spine: ``(low, high)`` joints of the axis that 3-D normalisation turns upright.
        shoulders: ``(right, left)`` joints of the axis that 3-D normalisation turns to x.

    Raises:
        InputError: If the description contradicts itself; the message names the field.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[Pair, ...]
    center: int
    pairs: tuple[Pair, ...] = ()
    bone_pairs: tuple[Pair, ...] | None = None
    root: int | None = None
    spine: Pair | None = None
    shoulders: Pair | None = None

    def __post_init__(self) -> None:
        _freeze(self)
        _check_joints(self)
        _check_bones(self)
        _check_pairs(self)

    @property
    def num_joints(self) -> int:
        """The number of joints V."""
        return len(self.joints)

    @property
    def root_joint(self) -> int:
        """The joint that 3-D normalisation moves to the origin."""
        return self.center if self.root is None else self.root

    @property
    def stream_bones(self) -> tuple[Pair, ...]:
        """The ``(child, parent)`` pairs of the bone stream, at most one per child.

        Without :obj:`bone_pairs` these are the bones; where a joint is the child of several
        bones (a graph with loops), the first of them counts.
        """
        if self.bone_pairs is not None:
            return self.bone_pairs
        first: dict[int, Pair] = {}
        for bone in self.bones:
            first.setdefault(bone[0], bone)
        return tuple(first.values())

    def edge_index(self) -> Tensor:
        """The bones in both directions, shape :math:`(2, 2 B)`: parent to child, then back."""
        child, parent = torch.tensor(self.bones, dtype=torch.long).view(-1, 2).t()
        return torch.stack([torch.cat([parent, child]), torch.cat([child, parent])])

    def graph(
        self,
        partition: str = "spatial",
        num_partitions: int = 3,
        generator: torch.Generator | None = None,
    ) -> SkeletonGraph:
        r"""Splits the skeleton into partitions, each with its own weights in a convolution.

        - ``"stgcn_spatial"``: self loops, edges towards and edges away from the centre, as in
          `"Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition"
          <https://arxiv.org/abs/1801.07455>`_ (K = 3). Joints more than one bone away from the
          centre count as equally far, so their edges are "towards" in both directions;
          published checkpoints depend on it.
        - ``"spatial"``: identity, parent to child, child to parent (K = 3).
        - ``"random"``: all joint pairs, :math:`0.04 + 0.02\,\mathcal{N}(0, 1)`, the starting
          point of a learnable graph (K = :obj:`num_partitions`).
        - ``"uniform"``: bones and self loops together (K = 1).
        - ``"binary_adj"``: bones without self loops, not normalised (K = 1).
        - ``"distance-k"``, as in ``"distance-2"``: joints up to k bones apart, split by their
          distance (K = k + 1).

        All but ``"random"`` and ``"binary_adj"`` are normalised over the messages that arrive
        at a joint.

        Args:
            partition: One of the names above.
            num_partitions: The number of partitions of ``"random"``; not used otherwise.
            generator: The source of random numbers of ``"random"``.

        Raises:
            InputError: If there is no such partition.
        """
        if partition == "random":
            return random_graph(self.num_joints, num_partitions, generator)
        return partition_graph(partition, self.num_joints, self.bones, self.center)

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Skeleton:
        """Builds a skeleton from a dictionary; joints may be given by name or by number.

        Raises:
            InputError: If a field is missing, unknown or wrong; the message names it.
        """
        if not isinstance(description, Mapping):
            raise InputError(
                f"a skeleton is described by an object with the fields name, joints, bones and "
                f"center, not by {_shown(description)}"
            )
        known = [field.name for field in fields(cls)]
        for key in description:
            if key not in known:
                raise InputError(f"unknown field {key!r}{_suggestion(str(key), known)}")
        for key in ("name", "joints", "bones", "center"):
            if key not in description:
                raise InputError(f"{key}: this field is missing; a skeleton needs it")
        joints = description["joints"]
        if not isinstance(joints, Sequence) or isinstance(joints, str):
            raise InputError(f"joints: {_shown(joints)} is not a list of joint names")
        values: dict[str, Any] = {"name": description["name"], "joints": tuple(joints)}
        for key in known[2:]:
            value = description.get(key)
            if value is None and key not in ("bones", "center"):
                continue
            values[key] = _read_field(key, value, values["joints"])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """A dictionary with joints by name that :meth:`from_dict` reads back."""

        def named(value: Any) -> Any:
            return self.joints[value] if isinstance(value, int) else [named(v) for v in value]

        description: dict[str, Any] = {"name": self.name, "joints": list(self.joints)}
        for key, value in list(asdict(self).items())[2:]:
            if value is not None:
                description[key] = named(value)
        return description

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Skeleton:
        """Reads a skeleton from a JSON file, see :meth:`from_dict`.

        Raises:
            InputError: If the file cannot be read or describes no skeleton; the message names
                the file and the field.
        """
        check_is_file(Path(path))
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except json.JSONDecodeError as error:
            raise InputError(
                f"{path}: not valid JSON (line {error.lineno}, column {error.colno}: {error.msg}); "
                f"correct it there"
            ) from None
        except UnicodeDecodeError:
            raise InputError(f"{path}: not a text file; expected JSON in UTF-8") from None
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); give the path of a skeleton's JSON "
                f"file or one of {', '.join(list_skeletons())}"
            ) from None
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Writes the skeleton as JSON, one field a line."""
        lines = [f"  {json.dumps(key)}: {json.dumps(v)}" for key, v in self.to_dict().items()]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
        write_atomically(Path(path), lambda file: file.write_text(text, encoding="utf-8"))


def list_skeletons() -> list[str]:
    """The names of the built-in skeletons."""
    folder = resources.files("pyg_stgcn") / "skeletons"
    names = [entry.name for entry in folder.iterdir()]
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


def get_skeleton(name: str | os.PathLike[str]) -> Skeleton:
    """Returns a built-in skeleton, or reads one from a JSON file.

    Args:
        name: The name of a built-in skeleton (see :func:`list_skeletons`) or a path.

    Raises:
        InputError: If there is no such skeleton, or the file describes none.
    """
    text = os.fspath(name)
    names = list_skeletons()
    if isinstance(name, str) and name in names:
        return _builtin(name)
    if text.endswith(".json") or Path(text).name != text or Path(text).is_file():
        return Skeleton.from_json(text)
    raise InputError(
        f"skeleton {text!r}: there is no such skeleton{_suggestion(text, names)}; choose one of "
        f"{', '.join(names)}, or give the path of a JSON file"
    )


@cache
def _builtin(name: str) -> Skeleton:
    with resources.as_file(resources.files("pyg_stgcn") / "skeletons" / f"{name}.json") as path:
        return Skeleton.from_json(path)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _suggestion(word: str, choices: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _read_field(key: str, value: Any, joints: Sequence[str]) -> Any:
    """Reads one field that speaks of joints, replacing names by numbers."""
    if key in ("center", "root"):
        return _read_joint(key, value, joints)
    if key in ("spine", "shoulders"):
        return _read_pair(key, value, joints)
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InputError(f"{key}: {_shown(value)} is not a list of joint pairs")
    return tuple(_read_pair(f"{key}[{i}]", pair, joints) for i, pair in enumerate(value))


def _read_pair(field: str, value: Any, joints: Sequence[str]) -> Pair:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise InputError(f"{field}: {_shown(value)} is not a pair of two joints")
    return _read_joint(field, value[0], joints), _read_joint(field, value[1], joints)


def _read_joint(field: str, value: Any, joints: Sequence[str]) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise InputError(f"{field}: {_shown(value)} is neither a joint's name nor its number")
    if value not in joints:
        hint = _suggestion(value, [joint for joint in joints if isinstance(joint, str)])
        raise InputError(f"{field}: there is no joint named {value!r}{hint}; see joints")
    return joints.index(value)


def _freeze(skeleton: Skeleton) -> None:
    """Turns lists into tuples, so that equal skeletons are equal and hashable."""
    for key in ("bones", "pairs", "bone_pairs"):
        value = getattr(skeleton, key)
        if value is not None:
            object.__setattr__(skeleton, key, tuple(tuple(pair) for pair in value))
    for key in ("joints", "spine", "shoulders"):
        value = getattr(skeleton, key)
        if value is not None:
            object.__setattr__(skeleton, key, tuple(value))


def _check_joints(skeleton: Skeleton) -> None:
    if not isinstance(skeleton.name, str) or not skeleton.name:
        raise InputError(f"name: {_shown(skeleton.name)} is not a name; give a short text")
    if not skeleton.joints:
        raise InputError("joints: the list is empty; name at least one joint")
    for i, joint in enumerate(skeleton.joints):
        if not isinstance(joint, str) or not joint:
            raise InputError(f"joints[{i}]: {_shown(joint)} is not a name; give a short text")
        if joint in skeleton.joints[:i]:
            first = skeleton.joints.index(joint)
            raise InputError(
                f"joints[{i}]: {joint!r} is also the name of joint {first}; names must differ"
            )
    for key in ("center", "root"):
        joint = getattr(skeleton, key)
        if joint is not None or key == "center":
            _check_number(skeleton, key, joint)


def _check_number(skeleton: Skeleton, field: str, joint: Any) -> None:
    if not isinstance(joint, int) or isinstance(joint, bool):
        raise InputError(f"{field}: {_shown(joint)} is not a joint number")
    if not 0 <= joint < skeleton.num_joints:
        raise InputError(
            f"{field}: joint {joint} does not exist; the {skeleton.num_joints} joints are "
            f"numbered 0 to {skeleton.num_joints - 1}"
        )


def _check_list(skeleton: Skeleton, key: str, pairs: Sequence[Pair]) -> None:
    for i, pair in enumerate(pairs):
        if len(pair) != 2:
            raise InputError(f"{key}[{i}]: {_shown(pair)} is not a pair of two joints")
        for joint in pair:
            _check_number(skeleton, f"{key}[{i}]", joint)


def _check_bones(skeleton: Skeleton) -> None:
    _check_list(skeleton, "bones", skeleton.bones)
    seen: dict[frozenset[int], int] = {}
    for i, bone in enumerate(skeleton.bones):
        names = f"{skeleton.joints[bone[0]]!r} and {skeleton.joints[bone[1]]!r}"
        if bone[0] == bone[1]:
            raise InputError(
                f"bones[{i}]: joint {skeleton.joints[bone[0]]!r} is joined to itself; "
                f"partitions add self loops where they need them, remove this bone"
            )
        first = seen.setdefault(frozenset(bone), i)
        if first != i:
            raise InputError(
                f"bones[{i}]: {names} are already joined by bones[{first}]; remove one of them"
            )
    distance = hop_distance(skeleton.num_joints, skeleton.bones)[skeleton.center]
    apart = distance.isinf().nonzero().flatten().tolist()
    if apart:
        listed = ", ".join(f"{skeleton.joints[v]!r}" for v in apart)
        raise InputError(
            f"bones: no bones lead from the centre {skeleton.joints[skeleton.center]!r} to "
            f"{listed}; join them to the rest"
        )


def _check_pairs(skeleton: Skeleton) -> None:
    _check_list(skeleton, "pairs", skeleton.pairs)
    used: dict[int, int] = {}
    for i, pair in enumerate(skeleton.pairs):
        for joint in pair:
            if joint in used:
                raise InputError(
                    f"pairs[{i}]: joint {skeleton.joints[joint]!r} is already in "
                    f"pairs[{used[joint]}]; a joint has one mirror image"
                )
            used[joint] = i
    if skeleton.bone_pairs is not None:
        _check_list(skeleton, "bone_pairs", skeleton.bone_pairs)
        children = [child for child, _ in skeleton.bone_pairs]
        for i, child in enumerate(children):
            if child in children[:i]:
                raise InputError(
                    f"bone_pairs[{i}]: {skeleton.joints[child]!r} already has a parent in "
                    f"bone_pairs[{children.index(child)}]; a bone vector has one parent"
                )
    for key in ("spine", "shoulders"):
        pair = getattr(skeleton, key)
        if pair is not None:
            _check_list(skeleton, key, [pair])
            if pair[0] == pair[1]:
                raise InputError(
                    f"{key}: an axis needs two different joints, not "
                    f"{skeleton.joints[pair[0]]!r} twice"
                )
