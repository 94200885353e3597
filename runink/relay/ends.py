"""The ends of streams in a relay: pipes whose other ends slices have.

    Outgoing   waits for a connection, then for room, then carries; ends with the pipe, or with the stream
    Incoming   waits for its stream, then keeps what comes until the pipe takes it; ends when all is written behind the writer's end, or with the pipe

What an `Incoming` keeps is never more than the room that was given, WINDOW_BYTES.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from runink.relay.connection import Connection
from runink.relay.protocol import Read, Write

WINDOW_BYTES: Final = 2 << 20  # on its way or kept, of one stream: a network of 1 ms goes at 2 GB/s
GIVEN_BYTES: Final = WINDOW_BYTES // 4  # so that few frames give room
PIECES_MAX: Final = 1024  # IOV_MAX of Linux
PIN_FACTOR: Final = 4  # a piece keeps all that it came with in memory: a small one is copied


@dataclass(eq=False, slots=True)
class Outgoing:
    """A pipe that is read here. `stream` is 0 until it is opened; `is_taken` says that the other side has given it room."""

    pipe: int
    wanted: Write
    until_s: float
    connection: Connection | None = None
    stream: int = 0
    is_taken: bool = False


@dataclass(eq=False, slots=True)
class Incoming:
    """A pipe that is written here. `owed` are bytes that were written and for which no room was given yet."""

    pipe: int
    wanted: Read
    until_s: float
    connection: Connection | None = None
    stream: int = 0
    is_ended: bool = False
    owed: int = 0
    kept: deque[memoryview] = field(default_factory=deque)
    kept_bytes: int = 0

    def take(self, data: memoryview) -> None:
        """Keep what has come."""
        is_small = len(data) * PIN_FACTOR < len(data.obj)  # type: ignore[arg-type] # it is a view of bytes
        self.kept.append(memoryview(bytes(data)) if is_small else data)
        self.kept_bytes += len(data)

    def write(self) -> None:
        """Write what is kept, as far as the pipe takes it. Raises OSError where nobody reads any more."""
        while self.kept:
            try:
                size = os.writev(self.pipe, list(islice(self.kept, PIECES_MAX)))
            except BlockingIOError:
                return
            self.owed += size
            self.kept_bytes -= size
            while size:
                first = self.kept[0]
                if size < len(first):
                    self.kept[0] = first[size:]
                    break
                size -= len(first)
                self.kept.popleft()

    def give(self) -> None:
        """Give room for what was written, when it is worth a frame."""
        if self.connection is not None and self.owed >= GIVEN_BYTES:
            self.connection.session.give(self.stream, self.owed)
            self.owed = 0
