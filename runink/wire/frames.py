"""Frames: how one value is told from the next in a stream of bytes.

    offset   bytes
    0        4       length n of the body, big-endian; 1 at least
    4        n       the body: one MessagePack value

There is no checksum: TLS guards what crosses a network, and a Unix socket does not turn bits.  A length above the limit ends
the stream, because where the next frame begins is not known any more.  Nothing is reserved for a length that was only announced.
"""

from __future__ import annotations

from typing import Final

from runink.errors import Invalid, ProtocolViolation

HEADER_BYTES: Final = 4
FRAME_BYTES_MAX: Final = 16 << 20  # of a body; what is larger is data and travels by pipes
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
        self._buffer: bytes | bytearray = b""
        self._read = 0  # what lies before it in the buffer has been returned

    @property
    def is_between_frames(self) -> bool:
        return self._read == len(self._buffer)

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

    def next(self) -> bytes | None:
        """Return the next whole body, or nothing if more must be fed. Raises ProtocolViolation if the length is not allowed."""
        buffer = self._buffer
        begin = self._read + HEADER_BYTES
        have = len(buffer)
        if have < begin:
            return None
        length = int.from_bytes(buffer[self._read : begin], "big")
        if not 1 <= length <= self.bytes_max:
            raise ProtocolViolation(
                f"a frame of {length} bytes: it has 1 to {self.bytes_max}",
                code="frame_too_large" if length else "frame_empty",
                hint="whoever writes here does not speak this protocol, or sends too much at once",
            )
        end = begin + length
        if have < end:
            return None
        self._read = end
        if isinstance(buffer, bytes):
            return buffer[begin:end]
        return bytes(memoryview(buffer)[begin:end])
