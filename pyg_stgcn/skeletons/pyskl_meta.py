"""The skeleton that the ``meta`` entry of a pickle of clips describes."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

from pyg_stgcn.errors import InputError
from pyg_stgcn.names import list_skeletons
from pyg_stgcn.skeletons.skeleton import Skeleton, get_skeleton
from pyg_stgcn.skeletons.skeleton_checks import MAX_NAME
from pyg_stgcn.text import printable, shorten


def skeleton_of_meta(meta: Mapping[str, Any], name: str, num_joints: int | None = None) -> Skeleton:
    """The skeleton in ``edges`` (child, parent), and perhaps ``joints`` and ``center``.

    An entry ``skeleton``, the dictionary of :meth:`Skeleton.to_dict`, comes first: it knows the
    sides and the spine too.

    Args:
        meta: The entry.
        name: Name of the skeleton, unless it is a built-in one.
        num_joints: Number of joints where ``joints`` is missing; by default that of the edges.

    Raises:
        InputError: The entry describes no skeleton.
    """
    try:
        if "skeleton" in meta:
            return Skeleton.from_dict(meta["skeleton"])
        edges = tuple((int(child), int(parent)) for child, parent in meta["edges"])
        if num_joints is None:
            num_joints = 1 + max(max(edge) for edge in edges)
        names = meta.get("joints", [f"joint_{joint}" for joint in range(num_joints)])
        skeleton = Skeleton(
            name=shorten(printable(name), MAX_NAME),
            joints=tuple(_joint_name(joint) for joint in names),
            bones=edges,
            center=int(meta.get("center", 0)),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"meta describes no skeleton ({error}); name the skeleton of the data with --skeleton "
            "NAME or FILE.json"
        ) from error

    def shape(skeleton: Skeleton) -> tuple[Any, ...]:
        return skeleton.joints, frozenset(skeleton.bones), skeleton.center

    # A built-in skeleton of the same shape knows more: pairs, spine, shoulders.
    known = (get_skeleton(builtin) for builtin in list_skeletons())
    return next((other for other in known if shape(other) == shape(skeleton)), skeleton)


def _joint_name(joint: Any) -> str:
    if not isinstance(joint, str | int):
        raise InputError(f"a joint name is {reprlib.repr(joint)}, not a text")
    return str(joint)
