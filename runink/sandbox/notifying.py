"""What a service tells the manager that started it (systemd's protocol: sd_notify(3)): one datagram to the socket that NOTIFY_SOCKET names."""

from __future__ import annotations

import os
import socket
from typing import Final

from runink.sandbox.log import describe, log

VARIABLE: Final = "NOTIFY_SOCKET"


def tell_manager(text: str) -> None:
    """Tell it, if there is one. What cannot be told is logged: the manager says itself what it has missed."""
    name = os.environ.pop(VARIABLE, "")  # nobody that we start is to speak for us
    if not name:
        return
    address = f"\0{name[1:]}" if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
            link.sendto(text.encode(), address)
    except OSError as error:
        log("the manager was not told", problem=describe(error))
