"""The slice's end of its control socket: it blocks, loads no event loop, and any thread may send.

What it sends is what `wire.channel.Channel` receives at the agent's end.
"""

from __future__ import annotations

import _thread
import errno
import os
import select
from typing import Any

from runink.errors import LinkLost
from runink.wire.codec import encode
from runink.wire.frames import FRAME_BYTES_MAX, frame


class BlockingChannel:
    """Sends values to whoever holds the other end. It does not own the descriptor."""

    def __init__(self, descriptor: int, *, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._descriptor = descriptor
        self._frame_bytes_max = frame_bytes_max
        self._lock = _thread.allocate_lock()

    def send(self, value: Any) -> None:
        """Send one value, whole, and return when the kernel has it. Raises Invalid if it is none or too large, LinkLost if nobody receives any more, or it was closed here."""
        data = memoryview(frame(encode(value), bytes_max=self._frame_bytes_max))
        with self._lock:
            try:
                while data:
                    data = data[self._write(data) :]
            except (BrokenPipeError, ConnectionResetError) as error:
                raise LinkLost(
                    "the other end of the control socket is closed", hint="the agent has gone"
                ) from error
            except OSError as error:
                if error.errno != errno.EBADF:
                    raise
                raise LinkLost(
                    f"the control socket (descriptor {self._descriptor}) was closed in this process",
                    hint="a step closes only what it has opened",
                ) from error

    def _write(self, data: memoryview) -> int:
        """Write some bytes. The descriptor may have been made non-blocking by whoever shares it."""
        while True:  # ends when the socket takes something, or breaks
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                select.select([], [self._descriptor], [])
