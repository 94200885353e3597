"""The plainest means by which probes try."""

# ruff: noqa: PTH123 - a slice tries by the plainest means

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Callable
from typing import Any

LIBC = ctypes.PyDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
World = dict[str, Any]
Probe = Callable[[World], object]


def checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def read(path: str) -> object:
    """Read a little of a file."""
    with open(path, "rb", buffering=0) as file:
        return None if file.read(1 << 13) else "empty"


def opened(path: str, flags: int = os.O_WRONLY) -> None:
    """Open without changing anything."""
    os.close(os.open(path, flags | os.O_CLOEXEC | os.O_NOCTTY, 0o600))


def connected(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
