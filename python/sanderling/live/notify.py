"""systemd's notification protocol (sd_notify(3)); without $NOTIFY_SOCKET nothing happens."""

import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """Sends one datagram, e.g. "READY=1"; a manager that doesn't listen is no error."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if len(name) < 2:
        return
    address = "\0" + name[1:] if name[0] == "@" else name
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(state.encode(), address)


def watchdog_s() -> float:
    """How often the manager wants to hear WATCHDOG=1, halved, in seconds; 0: it doesn't."""
    wanted, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if not wanted.isdecimal() or "NOTIFY_SOCKET" not in os.environ or process not in (None, str(os.getpid())):
        return 0.0
    return int(wanted) / 2e6
