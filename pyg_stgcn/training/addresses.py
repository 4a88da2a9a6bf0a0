"""Network addresses of this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import struct

#: Variable of gloo: the network interface for its messages.
GLOO_INTERFACE = "GLOO_SOCKET_IFNAME"
#: Number of the Linux system call "address of an interface".
_SIOCGIFADDR = 0x8915


def own_address(other: str) -> str:
    """The address of this machine by which it reaches another one; sends nothing.

    Raises:
        OSError: The name is unknown, or there is no route.
    """
    family, kind, _, _, place = socket.getaddrinfo(other, 9, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(place)
        return str(probe.getsockname()[0])


def is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def interface_of(address: str) -> str | None:
    """Name of the network interface with an IPv4 address; :obj:`None` if it is not known."""
    try:
        import fcntl

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            for _, name in socket.if_nameindex():
                with contextlib.suppress(OSError):  # An interface without an address.
                    request = struct.pack("256s", name.encode()[:15])
                    found = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
                    if socket.inet_ntoa(found[20:24]) == address:
                        return name
    except (ImportError, OSError, AttributeError):  # Not on Linux.
        pass
    return None


def choose_interface(addresses: dict[int, str], rank: int) -> None:
    """Let gloo use the interface by which this machine reaches the others.

    By default, gloo takes the address of the machine's own name, which is often a loopback address,
    and other machines cannot connect. A choice of the user stays.

    Args:
        addresses: Of all machines, as they reach the first.
        rank: Number of this machine.
    """
    if os.environ.get(GLOO_INTERFACE):
        return
    own = addresses[rank]
    others = [one for one in addresses.values() if not is_loopback(one) and one != own]
    if is_loopback(own) and others:
        with contextlib.suppress(OSError):
            own = own_address(others[0])
    if (name := interface_of(own)) is not None:
        os.environ[GLOO_INTERFACE] = name
