"""Making the pipes, and the sockets of slots, between slices: for the agent, which never imports Arrow.

A pipe of 1 MiB carries 1.4 to 3.3 times the bytes per second of one of the usual 64 KiB.  A user without privileges may have 64 of
them (pipe-user-pages-soft), so the size is a wish: without it the pipe works, only slower.
"""

from __future__ import annotations

import fcntl
import os
import socket
from typing import Final, NamedTuple

PIPE_BYTES: Final = 1 << 20  # the kernel's own bound for users without privileges (pipe-max-size)


class PipeEnds(NamedTuple):
    """Descriptors that are closed on exec, both blocking: Arrow data needs that."""

    read: int
    write: int


def open_pipe() -> PipeEnds:
    """Make a pipe with room for 1 MiB where the kernel allows it. The caller owns both ends. Raises OSError without descriptors."""
    ends = PipeEnds(*os.pipe2(os.O_CLOEXEC))
    widen(ends.write)
    return ends


def widen(descriptor: int) -> int:
    """Give the pipe behind the descriptor room for 1 MiB if that may be; return how much room it has."""
    try:
        return fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:  # over the user's share of pipe memory: the small pipe serves
        return fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)


def open_slots() -> PipeEnds:
    """Make the socket of an edge over slots (`slots.py`). The caller owns both ends. Raises OSError without descriptors."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return PipeEnds(read=ours.detach(), write=theirs.detach())
