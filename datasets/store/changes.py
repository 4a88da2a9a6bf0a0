"""Messages about changes since a store was built."""

from __future__ import annotations

from typing import Any

from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.skeletons.skeleton_checks import shown


def describe_change(key: str, value: Any, stored: Any) -> str:
    """Says how an entry of a store's fingerprint differs from the stored one.

    Args:
        key: Name of the entry.
        value: Its value now; of a dictionary, the first option that differs is named.
        stored: Its value when the store was built.
    """
    if isinstance(value, dict) and isinstance(stored, dict):
        names = [*value, *stored]
        key = next(name for name in names if value.get(name) != stored.get(name))
        value, stored = value.get(key), stored.get(key)
    if key == "skeleton":
        if value is not None and stored is not None:
            change = Skeleton.from_dict(value).difference(Skeleton.from_dict(stored))
            return f"the skeleton is not the one that the store was built with: {change}"
        value, stored = (each and each["name"] for each in (value, stored))
    return f"{key} is {shown(value)}, the store was built with {shown(stored)}"
