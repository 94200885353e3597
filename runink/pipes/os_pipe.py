"""An edge over a pipe: blocking reads and writes on a descriptor of one's own.

Writing copies nothing in this process: Arrow's buffers go to the kernel as they are, by `writev`.
Reading makes one buffer a batch, which the batch's columns then point into.

Rules
- The descriptor is blocking.  Arrow takes a short write on a non-blocking one for a whole one and says nothing, so it never gets it.
- Nothing is read ahead of the frame at hand, so `poll` on the descriptor tells the truth.
- A slice holds no other copy of the write end, or the reader would wait for ever: whoever forks closes what is not the child's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from runink.pipes import frames
from runink.pipes.edge import EdgeReader, EdgeWriter
from runink.pipes.frames import Header
from runink.pipes.streams import Frame, StreamReader, StreamWriter, producer_gone

BATCH_BYTES_MAX: Final = 16 << 20  # larger batches are cut: two of them wait in the reader's memory
_PIECES_MAX: Final = 1024  # IOV_MAX of Linux


def open_writer(fd: int, *, fingerprint: str) -> EdgeWriter:
    """Take over the write end of a pipe and greet. Raises ConsumerGone, and has closed the descriptor then."""
    writer = StreamWriter(_Outgoing(fd))
    writer.greet(fingerprint)
    return writer


def open_reader(fd: int, *, fingerprint: str) -> EdgeReader:
    """Take over the read end of a pipe. Waits for nothing: the greeting is read with the first batch."""
    return StreamReader(_Incoming(fd), fingerprint)


class _Descriptor:
    """A descriptor that is closed once, also if that is asked for twice."""

    def __init__(self, number: int) -> None:
        os.set_blocking(number, True)
        self.number = number
        self.closed = False

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self.number)


class _Outgoing(_Descriptor):
    """See `streams.Outgoing`."""

    @property
    def batch_bytes_max(self) -> int:
        return BATCH_BYTES_MAX

    def greet(self, greeting: bytes) -> int:
        return self._write([greeting])

    def send(
        self, header: Header, origin: bytes = b"", pieces: Sequence[Any] = (), *, rows: int = 0
    ) -> int:
        del rows  # the end frame's count is all that a pipe carries
        return self._write([frames.packed(header), origin, *pieces])

    def send_nowait(self, header: Header, body: bytes) -> None:
        os.set_blocking(self.number, False)
        os.write(self.number, frames.packed(header) + body)

    def _write(self, pieces: Sequence[Any]) -> int:
        """Write all of the pieces and return how many bytes they have. Raises BrokenPipeError."""
        views = [memoryview(piece).cast("B") for piece in pieces if len(piece)]
        total = 0
        first = 0
        while first < len(views):
            written = os.writev(self.number, views[first : first + _PIECES_MAX])
            total += written
            while first < len(views) and written >= len(views[first]):
                written -= len(views[first])
                first += 1
            if written:
                views[first] = views[first][written:]
        return total


class _Incoming(_Descriptor):
    """See `streams.Incoming`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.bytes = 0

    def greeting(self) -> str:
        head = bytes(self._read(frames.GREETING_BYTES))
        return bytes(self._read(frames.fingerprint_bytes(head))).decode(errors="replace")

    def frame(self) -> Frame:
        header = frames.unpacked(bytes(self._read(frames.HEADER_BYTES)))
        origin = bytes(self._read(header.origin_bytes)).decode(errors="replace")
        return Frame(header, origin, self._read(header.body_bytes))

    def _read(self, size: int) -> pa.Buffer:
        """Return exactly that many bytes. Raises ProducerFailed where the stream ends before."""
        buffer = pa.allocate_buffer(size)
        view = memoryview(buffer)
        got = 0
        while got < size and (count := os.readv(self.number, [view[got:]])):
            got += count
        self.bytes += got
        if got < size:
            raise producer_gone()
        return buffer
