"""The place of this process among those of a training, by the variables that launchers set."""

from __future__ import annotations

import os

#: Of Lightning and torchrun, and of Slurm's srun.
_LOCAL = ("LOCAL_RANK", "SLURM_LOCALID")
_MACHINE = ("NODE_RANK", "GROUP_RANK", "SLURM_NODEID")


def local_rank() -> int:
    """Number of this process on its machine."""
    return _first(_LOCAL)


def machine_rank() -> int:
    """Number of this machine."""
    return _first(_MACHINE)


def is_first_process(num_nodes: int) -> bool:
    """Whether this process is the first of a training on some machines, which writes its files."""
    return local_rank() == 0 and (num_nodes == 1 or machine_rank() == 0)


def _first(names: tuple[str, ...]) -> int:
    found = [os.environ[name] for name in names if os.environ.get(name, "").isdecimal()]
    return int(found[0]) if found else 0
