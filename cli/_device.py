"""The ``--device`` option."""

from __future__ import annotations

import click


def check_device(device: str) -> None:
    """Refuse, as wrong usage, a device that torch cannot compute on here."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise click.BadParameter(
            f"{device!r} is not a device of this machine", param_hint="--device"
        ) from None
