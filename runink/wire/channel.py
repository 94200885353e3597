"""The agent's end of a slice's control socket: frames in and out, plain values.

A frame that was cut is not reported: its writer was killed in the middle of it, and how a slice ended is told by its exit.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from runink.errors import Overloaded
from runink.wire.codec import decode, encode
from runink.wire.frames import FRAME_BYTES_MAX, FrameReader, frame

READ_BYTES: Final = 64 << 10


class Channel:
    """Takes what the other end has sent; owns the socket, which is non-blocking, and never waits."""

    def __init__(self, control: socket.socket, *, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._socket = control
        self._frames = FrameReader(bytes_max=frame_bytes_max)

    @property
    def descriptor(self) -> int:
        """Its number, to be told when something comes; -1 once it is closed."""
        return self._socket.fileno()

    def receive_nowait(self) -> Any:
        """Return the next value, or None at the end of the stream. Raises BlockingIOError where there is none yet, ProtocolViolation on nonsense; what follows is nonsense too."""
        while (body := self._frames.next()) is None:  # ends with a value, or with the stream
            try:
                data = self._socket.recv(READ_BYTES)
            except ConnectionResetError:  # its process was killed with something of ours unread
                return None
            if not data:
                return None
            self._frames.feed(data)
        return decode(body)

    def send_nowait(self, value: Any) -> None:
        """Send one small value; nothing to who is gone. Raises Overloaded (`reads_nothing`) where the other end does not read: it has a part of it then, or nothing, and no more may be sent."""
        data = frame(encode(value))
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except (BrokenPipeError, ConnectionResetError):
            return  # its end is told otherwise
        if sent < len(data):
            raise Overloaded(
                "the slice asks over its control channel, and does not read what it is answered",
                code="reads_nothing",
                hint="a step must not write to descriptors that it did not open",
            )

    def close(self) -> None:
        self._socket.close()
