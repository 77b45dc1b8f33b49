"""Free ports on the loopback, and waiting until something answers there."""

import secrets
import socket
import sys
import time
from collections.abc import Callable

LOOPBACK = "127.0.0.1"

# Below the range from which the kernel takes the near end of outgoing connections: a server that was
# killed finds its port still free when it comes back.
FIRST_PORT, LAST_PORT = 20_000, 31_999

CONNECT_TIMEOUT_SECONDS = 2.0
POLL_INTERVAL_SECONDS = 0.05

_reservations: list[socket.socket] = []


class NotReady(Exception):
    """What was waited for did not happen in time."""


def free_port() -> int:
    """A port nobody listens on, which no other test process of this machine gets while this one lives."""
    while True:
        port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT + 1)
        if _reserve(port) and _bindable(port):
            return port


def accepts(port: int) -> bool:
    """Whether somebody on the loopback accepts connections to this port."""
    try:
        socket.create_connection((LOOPBACK, port), CONNECT_TIMEOUT_SECONDS).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], *, timeout_seconds: float, what: str) -> None:
    """Return once the condition holds; NotReady when it did not within the time."""
    give_up_at = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > give_up_at:
            raise NotReady(f"{what}: not within {timeout_seconds:g} s")
        time.sleep(POLL_INTERVAL_SECONDS)


def _reserve(port: int) -> bool:
    # Between choosing a port and listening on it, another run could choose the same one. An abstract
    # socket is a lock that needs no file and disappears with its process; only Linux has them.
    if sys.platform != "linux":
        return True
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0sav-test-port-{port}")
    except OSError:
        lock.close()
        return False
    _reservations.append(lock)
    return True


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
