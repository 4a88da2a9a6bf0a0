"""The computations that a device takes where two are equal: one for CPUs, one for GPUs."""

from __future__ import annotations

import torch

#: Kinds of devices on which an operator costs little to start.
_CHEAP_LAUNCHES = {"cpu"}


def few_launches(device: torch.device) -> bool:
    """Tells if a device takes the computation with few operators, which never waits for a value.

    On a CPU another one is faster: it leaves out what is not needed, and copies less.
    """
    return device.type not in _CHEAP_LAUNCHES
