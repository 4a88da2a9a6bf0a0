"""Two network namespaces of this machine as two hosts, joined by a virtual cable.

Used by two_nodes.py and by the tests. Needs Linux, root and the command ``ip``.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

_NEW_NETWORK, _NEW_NAME = 0x40000000, 0x04000000


def why_not() -> str | None:
    """Why this machine cannot have namespaces; ``None`` if it can."""
    if not sys.platform.startswith("linux"):
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "the command 'ip' is missing"
    probe = f"stgcn-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode:
        return f"'ip netns add' fails: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", probe], check=False)
    return None


class TwoHosts:
    """Two hosts, ``10.77.N.1`` and ``10.77.N.2``, which exist within the context.

    Args:
        number: N, and part of the names.
    """

    def __init__(self, number: int) -> None:
        self.names = [f"stgcn{number}{letter}" for letter in "ab"]
        self.addresses = [f"10.77.{number}.{host}" for host in (1, 2)]
        self._links = [f"sv{number}{letter}" for letter in "ab"]

    def __enter__(self) -> TwoHosts:
        for name in self.names:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        (a, b), (one, two) = self.names, self._links
        _ip("link", "add", one, "netns", a, "type", "veth", "peer", "name", two, "netns", b)
        for name, link, address in zip(self.names, self._links, self.addresses, strict=True):
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", link)
        self.connect(True)
        return self

    def connect(self, up: bool) -> None:
        """Plug in the cable, or pull it out."""
        for name, link in zip(self.names, self._links, strict=True):
            _ip("-n", name, "link", "set", link, "up" if up else "down")

    def limit(self, megabit: float, milliseconds: float) -> None:
        """Give the cable a bandwidth and a delay in each direction (needs ``tc``)."""
        for name, link in zip(self.names, self._links, strict=True):
            rate = f"tc qdisc replace dev {link} root netem rate {megabit}mbit"
            command = f"ip netns exec {name} {rate} delay {milliseconds}ms"
            subprocess.run(command.split(), check=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def move_to(name: str) -> None:
    """Move this process to a host, with its name as the host name."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/var/run/netns", name).open() as file:
        if libc.setns(file.fileno(), _NEW_NETWORK) or libc.unshare(_NEW_NAME):
            raise OSError(ctypes.get_errno(), "setns")
    socket.sethostname(name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
