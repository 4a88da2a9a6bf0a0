"""Skeletons: the joints and bones that data is made of, built in or described in JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_is_file, write_atomically
from pyg_stgcn.names import check_skeleton_name, list_skeletons
from pyg_stgcn.skeletons.difference import describe_difference
from pyg_stgcn.skeletons.skeleton_checks import check_length, check_skeleton, shown
from pyg_stgcn.text import suggestion

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pyg_stgcn.skeletons.partitions import SkeletonGraph

Pair = tuple[int, int]

#: Most bytes of a skeleton's JSON file.
MAX_BYTES = 4 * 2**20


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
        check_skeleton(self)

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
        import torch

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
        # Graphs are tensors. All else of a skeleton is used without torch, beside the engine.
        from pyg_stgcn.skeletons.partitions import partition_graph, random_graph

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
                f"center, not by {shown(description)}"
            )
        known = [field.name for field in fields(cls)]
        for key in description:
            if key not in known:
                raise InputError(f"unknown field {shown(key)}{suggestion(str(key), known)}")
        for key in ("name", "joints", "bones", "center"):
            if key not in description:
                raise InputError(f"{key}: this field is missing; a skeleton needs it")
        joints = description["joints"]
        if not isinstance(joints, Sequence) or isinstance(joints, str):
            raise InputError(f"joints: {shown(joints)} is not a list of joint names")
        check_length("joints", joints)
        values: dict[str, Any] = {"name": description["name"], "joints": tuple(joints)}
        for key in known[2:]:
            value = description.get(key)
            if value is None and key not in ("bones", "center"):
                continue
            values[key] = _read_field(key, value, values["joints"])
        return cls(**values)

    def difference(self, other: Skeleton) -> str:
        """Describes the difference from another skeleton in words; empty if they are equal."""
        return describe_difference(self, other)

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
            return cls.from_dict(_load_json(Path(path)))
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


def get_skeleton(name: str | os.PathLike[str]) -> Skeleton:
    """Returns a built-in skeleton, or reads one from a JSON file.

    Args:
        name: The name of a built-in skeleton (see :func:`list_skeletons`) or a path.

    Raises:
        InputError: If there is no such skeleton, or the file describes none.
    """
    if isinstance(name, str) and name in list_skeletons():
        return _builtin(name)
    check_skeleton_name(os.fspath(name))
    return Skeleton.from_json(name)


@cache
def _builtin(name: str) -> Skeleton:
    with resources.as_file(resources.files(__package__) / "layouts" / f"{name}.json") as path:
        return Skeleton.from_json(path)


def _load_json(path: Path) -> Any:
    """The content of a JSON file of a size and depth that a skeleton may have."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError(
            f"larger than {MAX_BYTES // 2**20} MiB, which no skeleton is; give the path of a "
            f"skeleton's JSON file"
        )
    try:
        return json.loads(content.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise InputError(
            f"not valid JSON (line {error.lineno}, column {error.colno}: {error.msg}); "
            f"correct it there"
        ) from None
    except UnicodeDecodeError:
        raise InputError("not a text file; expected JSON in UTF-8") from None
    except RecursionError:
        raise InputError("not a skeleton: its lists are nested too deeply") from None
    except ValueError:
        raise InputError("not a skeleton: it has a number of thousands of digits") from None


def _read_field(key: str, value: Any, joints: Sequence[str]) -> Any:
    """Reads one field that speaks of joints, replacing names by numbers."""
    if key in ("center", "root"):
        return _read_joint(key, value, joints)
    if key in ("spine", "shoulders"):
        return _read_pair(key, value, joints)
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InputError(f"{key}: {shown(value)} is not a list of joint pairs")
    check_length(key, value)
    return tuple(_read_pair(f"{key}[{i}]", pair, joints) for i, pair in enumerate(value))


def _read_pair(field: str, value: Any, joints: Sequence[str]) -> Pair:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise InputError(f"{field}: {shown(value)} is not a pair of two joints")
    return _read_joint(field, value[0], joints), _read_joint(field, value[1], joints)


def _read_joint(field: str, value: Any, joints: Sequence[str]) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise InputError(f"{field}: {shown(value)} is neither a joint's name nor its number")
    if value not in joints:
        hint = suggestion(value, [joint for joint in joints if isinstance(joint, str)])
        raise InputError(f"{field}: there is no joint named {shown(value)}{hint}; see joints")
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
