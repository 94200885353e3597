"""The agent's end of a slice's control socket: frames in, plain values out.

A frame that was cut is not reported: its writer was killed in the middle of it, and how a slice ended is told by its exit.
"""

from __future__ import annotations

import socket
from typing import Any, Final

import anyio

from runink.wire.codec import decode
from runink.wire.frames import FRAME_BYTES_MAX, FrameReader

READ_BYTES: Final = 64 << 10


class Channel:
    """Receives what the other end sends; owns the socket. One task receives at a time."""

    def __init__(self, control: socket.socket, *, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        control.setblocking(False)
        self._socket = control
        self._frames = FrameReader(bytes_max=frame_bytes_max)

    async def receive(self) -> Any:
        """Return the next value, or None at the end of the stream. Raises ProtocolViolation on nonsense; what follows is nonsense too."""
        while True:  # ends with a value, or with the stream
            body = self._frames.next()
            if body is not None:
                return decode(body)
            data = await self._read()
            if not data:
                return None
            self._frames.feed(data)

    async def aclose(self) -> None:
        """Close the socket. Whoever waits in `receive` is woken with anyio.ClosedResourceError."""
        if self._socket.fileno() != -1:
            anyio.notify_closing(self._socket)
            self._socket.close()

    async def _read(self) -> bytes:
        while True:  # ends when something has come
            await anyio.wait_readable(self._socket)
            try:
                return self._socket.recv(READ_BYTES)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                return b""  # its process was killed with something of ours unread
