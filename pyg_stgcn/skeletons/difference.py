"""Differences between two skeletons, in a few words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyg_stgcn.skeletons.skeleton import Pair, Skeleton

#: Most differences of one kind that are listed.
_LISTED = 3


def describe_difference(skeleton: Skeleton, other: Skeleton) -> str:
    """Describes the difference between two skeletons in words; empty if they are equal."""
    if skeleton.num_joints != other.num_joints:
        return (
            f"it has {skeleton.num_joints} joints ({skeleton.name!r}), not {other.num_joints} "
            f"({other.name!r})"
        )
    if skeleton.joints != other.joints:
        same = set(skeleton.joints) == set(other.joints)
        pairs = enumerate(zip(skeleton.joints, other.joints, strict=True))
        return ("its joints are in another order: " if same else "") + _listed(
            f"joint {number} is {ours!r}, not {theirs!r}"
            for number, (ours, theirs) in pairs
            if ours != theirs
        )
    parts = [_differing_bones(skeleton, other)]
    for key in ("center", "root_joint"):
        ours, theirs = (each.joints[getattr(each, key)] for each in (skeleton, other))
        if ours != theirs:
            parts.append(f"{key} is {ours!r}, not {theirs!r}")
    different = [
        key
        for key in ("pairs", "bone_pairs", "spine", "shoulders")
        if getattr(skeleton, key) != getattr(other, key)
    ]
    if different:
        parts.append(f"other {', '.join(different)}")
    if skeleton.name != other.name:
        parts.append(f"its name is {skeleton.name!r}, not {other.name!r}")
    found = "; ".join(part for part in parts if part)
    return found or ("" if skeleton == other else "its root is written out in one of them")


def _differing_bones(skeleton: Skeleton, other: Skeleton) -> str:
    def named(bones: Iterable[Pair]) -> Iterable[str]:
        return (f"{skeleton.joints[child]} - {skeleton.joints[parent]}" for child, parent in bones)

    ours, theirs = set(skeleton.bones), set(other.bones)
    if ours == theirs:
        return "" if skeleton.bones == other.bones else "its bones are in another order"
    more, fewer = (
        f"{word} {_listed(named(sorted(bones)))}" if bones else ""
        for word, bones in (("has the bones", ours - theirs), ("lacks the bones", theirs - ours))
    )
    return f"it {' and '.join(part for part in (more, fewer) if part)}"


def _listed(entries: Iterable[str]) -> str:
    found = list(entries)
    more = f", and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return f"{', '.join(found[:_LISTED])}{more}"
