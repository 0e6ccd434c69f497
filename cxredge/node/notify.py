"""Telling systemd how the service is (sd_notify(3)): a datagram, so no package is needed for it."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

__all__ = ["notify", "watchdog_seconds"]


def notify(*lines: str) -> None:
    """Say `READY=1`, `STOPPING=1`, `WATCHDOG=1`; nothing happens where no service manager listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address or not hasattr(socket, "AF_UNIX"):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.settimeout(1.0)
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.send("\n".join(lines).encode())


def watchdog_seconds() -> float | None:
    """How often the service manager wants to hear of this process at least; None where it does not."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    process = os.environ.get("WATCHDOG_PID")
    if not microseconds.isdigit() or int(microseconds) == 0 or process not in (None, str(os.getpid())):
        return None
    return int(microseconds) / 1e6
