"""Frames: how one value is told from the next in a stream of bytes.

    offset   bytes
    0        4       length n of the body, big-endian; 1 at least
    4        n       the body: one MessagePack value

There is no checksum: TLS guards what crosses a network, and a Unix socket does not turn bits.  A length above the limit ends
the stream, because where the next frame begins is not known any more.  Nothing is reserved for a length that was only announced.

A frame beyond the limit of all may be let through by how it begins: the reader shows HEAD_BYTES of its body before it takes the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from runink.errors import Invalid, ProtocolViolation

HEADER_BYTES: Final = 4
FRAME_BYTES_MAX: Final = 16 << 20  # of a body; what is larger is data and travels by pipes
MESSAGE_BYTES_MAX: Final = 1 << 20  # of one whose kind of message does not say that it is large
HEAD_BYTES: Final = 4 << 10  # of a body: kind, number, and two names of 256 characters
Body = bytes | bytearray
_COMPACT_BYTES: Final = 1 << 16  # what may lie read at the front of the buffer before it is moved


def frame(body: bytes, *, bytes_max: int = FRAME_BYTES_MAX) -> bytes:
    """Return the body with its length before it. Raises Invalid (`frame_too_large`)."""
    assert body, "a MessagePack value has one byte at least"
    if len(body) > bytes_max:
        raise Invalid(
            f"a message of {len(body)} bytes, at most {bytes_max} fit a frame",
            code="frame_too_large",
            hint="send less at once, or send it by a pipe",
        )
    return len(body).to_bytes(HEADER_BYTES, "big") + body


class FrameReader:
    """Cuts a stream into bodies, however the stream comes in pieces. Whole frames are cut from the piece that they came in; only what is left over is gathered."""

    def __init__(self, *, bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self.large_bytes_max = bytes_max  # whatever it begins with
        self.larger: Callable[[bytes], int] | None = None  # how many bytes one has that begins so
        self._is_let_through = False
        self._buffer: bytes | bytearray = b""
        self._read = 0  # what lies before it in the buffer has been returned

    @property
    def is_between_frames(self) -> bool:
        return self._read == len(self._buffer)

    @property
    def awaited_bytes(self) -> int:
        """Return the length of the frame that is on its way, or 0 where it has not said it."""
        if len(self._buffer) - self._read < HEADER_BYTES:
            return 0
        return int.from_bytes(self._buffer[self._read : self._read + HEADER_BYTES], "big")

    def feed(self, data: bytes) -> None:
        """Take a piece of the stream."""
        if self._read == len(self._buffer):
            self._buffer = data
            self._read = 0
            return
        if not isinstance(self._buffer, bytearray):
            self._buffer = bytearray(self._buffer[self._read :])
            self._read = 0
        elif self._read > _COMPACT_BYTES:
            del self._buffer[: self._read]
            self._read = 0
        self._buffer += data

    def next(self) -> Body | None:
        """Return the next whole body, or nothing if more must be fed. Raises ProtocolViolation if the length is not allowed."""
        buffer = self._buffer
        begin = self._read + HEADER_BYTES
        have = len(buffer)
        if have < begin:
            return None
        length = int.from_bytes(buffer[self._read : begin], "big")
        if not 1 <= length <= self.bytes_max and not self._let_through(length, begin):
            return None
        end = begin + length
        if have < end:
            return None
        self._read = end
        self._is_let_through = False
        if isinstance(buffer, bytes):
            return buffer[begin:end]
        return self._cut(begin, end)

    def _cut(self, begin: int, end: int) -> Body:
        """Return this part of what was gathered. A large frame is not copied: it would be in memory a third time when its value is made."""
        gathered = self._buffer
        if end - begin <= MESSAGE_BYTES_MAX or end != len(gathered):
            return bytes(memoryview(gathered)[begin:end])
        assert isinstance(gathered, bytearray)
        self._buffer = b""
        self._read = 0
        del gathered[:begin]
        return gathered

    def _let_through(self, length: int, begin: int) -> bool:
        """Say whether a frame may be longer than others; not yet, if its head has not come. Raises ProtocolViolation if it may not."""
        if self._is_let_through:
            return True
        most = self.bytes_max
        if most < length <= self.large_bytes_max and self.larger is not None:
            head = bytes(self._buffer[begin : begin + min(length, HEAD_BYTES)])
            if len(head) < min(length, HEAD_BYTES):
                return False
            most = self.larger(head)
        if not 1 <= length <= most:
            raise ProtocolViolation(
                f"a frame of {length} bytes: it has 1 to {most}",
                code="frame_too_large" if length else "frame_empty",
                hint="whoever writes here does not speak this protocol, or sends too much at once",
            )
        self._is_let_through = True
        return True
