"""An edge over slots: the data lies in shared memory, a socket says where (`slot_protocol.py`), and nothing is copied on the way to the reader.

Between slices of one herd on one node; see `slot_pool.py` for why only there, for whose memory it is, and for readers that keep what they read.

    writer    waits for a slot while the reader holds all of them: that is the backpressure, SLOTS_MAX batches instead of a pipe's 1 MiB
    reader    is woken by one message a batch, reads it where it lies, and gives a credit when the batch is dropped
    killed    a slot that was being filled was never named, so it is never read; the other side sees the end of the socket

Rules
- Nothing is read ahead of the frame at hand, so `poll` on the descriptor tells the truth.
- The kernel tells a reader that a writer went away without having read all credits before it gives what that writer had sent: that
  error is no end.
- The reader's descriptor is closed when the last credit has been given, because batches outlive their reader; the writer is told at once.
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import pyarrow as pa

from runink.errors import ProtocolViolation
from runink.pipes import frames
from runink.pipes.edge import EdgeReader, EdgeWriter
from runink.pipes.frames import Header
from runink.pipes.slot_pool import SLOTS_MAX, Lending, WritableSlot, new_slot, slot_bytes
from runink.pipes.slot_protocol import (
    INLINE_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    NOWHERE,
    Part,
    packed_head,
    packed_part,
    unpacked_head,
    unpacked_part,
)
from runink.pipes.streams import Frame, StreamReader, StreamWriter, producer_gone

# Of a slot, so that a batch with its metadata fits although its rows are not all of one size.
_FILLED: Final = 15 / 16
_CREDITS_BYTES: Final = 64  # a credit has one
_ONE_DESCRIPTOR: Final = socket.CMSG_LEN(array.array("i").itemsize)


def open_writer(fd: int, *, fingerprint: str, memory_bytes: int = 0) -> EdgeWriter:
    """Take over the write end of an edge and greet. Raises ConsumerGone, and has closed the descriptor then.

    `memory_bytes` is what of the slice's memory falls to this edge, of which its slots take a part; 0 is no limit.
    """
    writer = StreamWriter(_Outgoing(fd, slot_bytes(memory_bytes)))
    writer.greet(fingerprint)
    return writer


def open_reader(fd: int, *, fingerprint: str) -> EdgeReader:
    """Take over the read end of an edge. Waits for nothing: the greeting is read with the first batch."""
    return StreamReader(_Incoming(fd), fingerprint)


class _Outgoing:
    """See `streams.Outgoing`."""

    def __init__(self, fd: int, size: int) -> None:
        os.set_blocking(fd, True)
        self._socket = socket.socket(fileno=fd)
        self._slot_bytes = size
        self._slots: list[WritableSlot] = []
        self._free: list[int] = []  # places, the one that came back last at the end
        self.closed = False

    @property
    def batch_bytes_max(self) -> int:
        return int(self._slot_bytes * _FILLED)

    def greet(self, greeting: bytes) -> int:
        return self._send([greeting])

    def send(
        self, header: Header, origin: bytes = b"", pieces: Sequence[Any] = (), *, rows: int = 0
    ) -> int:
        if header.body_bytes <= INLINE_BYTES_MAX:
            return self._send([packed_head(header, rows, Part(NOWHERE, 0)), origin, *pieces])
        sent = 0
        for stretch in _stretches(pieces, self._slot_bytes):
            place, descriptor = self._take()
            try:
                self._slots[place].fill(stretch)
                part = Part(place, sum(map(len, stretch)))
                message = [packed_part(part)] if sent else [packed_head(header, rows, part), origin]
                sent += self._send(message, descriptor) + part.bytes
            finally:
                if descriptor is not None:
                    os.close(descriptor)
        return sent

    def send_nowait(self, header: Header, body: bytes) -> None:
        self._send([packed_head(header, 0, Part(NOWHERE, 0)), body], flags=socket.MSG_DONTWAIT)

    def close(self) -> None:
        self.closed = True
        self._slots.clear()
        self._socket.close()

    def _send(self, pieces: Sequence[Any], descriptor: int | None = None, flags: int = 0) -> int:
        brought = [] if descriptor is None else [_ancillary(descriptor)]
        return self._socket.sendmsg(pieces, brought, flags | socket.MSG_NOSIGNAL)

    def _take(self) -> tuple[int, int | None]:
        """Return the place of a free slot, and its descriptor if the reader has to be given it. Waits while the reader holds all slots."""
        self._collect(wait=False)
        if not self._free and len(self._slots) < SLOTS_MAX:
            slot, descriptor = new_slot(self._slot_bytes)
            self._slots.append(slot)
            return len(self._slots) - 1, descriptor
        while not self._free:
            self._collect(wait=True)
        return self._free.pop(), None

    def _collect(self, *, wait: bool) -> None:
        """Take the credits that are there, or wait for one. Raises BrokenPipeError where none will come any more."""
        flags = 0 if wait else socket.MSG_DONTWAIT
        with suppress(BlockingIOError):
            while credit := self._socket.recv(_CREDITS_BYTES, flags):
                for place in credit:
                    if place >= len(self._slots) or place in self._free:
                        raise ProtocolViolation(f"a credit for place {place}, which is not in use")
                    self._free.append(place)
                flags = socket.MSG_DONTWAIT
            raise BrokenPipeError


def _ancillary(descriptor: int) -> tuple[int, int, bytes]:
    return socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]).tobytes()


def _stretches(pieces: Sequence[Any], size: int) -> Iterator[list[Any]]:
    """Yield the pieces in lists of at most that many bytes; those that lie across two of them are cut."""
    room = size
    stretch: list[Any] = []
    for piece in pieces:
        rest = piece
        while len(rest) > room:
            view = memoryview(rest).cast("B")
            yield [*stretch, view[:room]]
            rest, stretch, room = view[room:], [], size
        stretch.append(rest)
        room -= len(rest)
    if stretch:
        yield stretch


class _Incoming:
    """See `streams.Incoming`."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, True)
        self._socket = socket.socket(fileno=fd)
        self._lending = Lending(self._give, when_idle=self._maybe_close)
        self._message = bytearray(MESSAGE_BYTES_MAX)
        self._closed = False
        self._process = os.getpid()
        self.bytes = 0

    @property
    def number(self) -> int:
        return self._socket.fileno()

    def greeting(self) -> str:
        message, descriptors = self._receive()
        _close_all(descriptors)
        size = frames.GREETING_BYTES
        if len(message) < size or len(message) != size + frames.fingerprint_bytes(message[:size]):
            raise ProtocolViolation(f"this is no edge of Runink: it begins with {message[:size]!r}")
        return message[size:].decode(errors="replace")

    def frame(self) -> Frame:
        message, descriptors = self._receive()
        try:
            head = unpacked_head(message)
            self._brought(head.part, descriptors)
        finally:
            _close_all(descriptors)
        body = self._body(head.header.body_bytes, head.part, head.inline)
        return Frame(head.header, head.origin, body, head.rows)

    def close(self) -> None:
        """Tell the writer that nobody reads any more. Batches that were read stay valid."""
        if self._closed:
            return
        self._closed = True
        self._lending.forget()
        if os.getpid() == self._process:  # A child that a step forked has the same socket.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._maybe_close()

    def _maybe_close(self) -> None:
        if self._closed and self._lending.is_idle:
            self._socket.close()

    def _give(self, place: int) -> None:
        # There is room for as many credits as there are slots; a writer that has gone needs none.
        with suppress(OSError):
            self._socket.send(bytes([place]), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def _body(self, size: int, part: Part, inline: bytes) -> pa.Buffer:
        if part.place == NOWHERE:
            return pa.py_buffer(inline)
        self.bytes += part.bytes
        if part.bytes == size:
            return self._lending.whole(part.place, size)
        buffer = pa.allocate_buffer(size)
        with pa.FixedSizeBufferWriter(buffer) as output:
            self._put(part, output)
            left = size - part.bytes
            while left:
                part = self._further(left)
                self._put(part, output)
                left -= part.bytes
        return buffer

    def _put(self, part: Part, output: pa.FixedSizeBufferWriter) -> None:
        self._lending.move(self._lending.part(*part), part.place, output=output)

    def _further(self, left: int) -> Part:
        """Return the next part of a body of which that much is missing."""
        message, descriptors = self._receive()
        try:
            part = unpacked_part(message)
            if part.bytes > left:
                raise ProtocolViolation(
                    f"a part of {part.bytes:,} bytes where {left:,} are missing"
                )
            self._brought(part, descriptors)
        finally:
            _close_all(descriptors)
        self.bytes += part.bytes
        return part

    def _brought(self, part: Part, descriptors: Sequence[int]) -> None:
        if not descriptors:
            return
        if part.place == NOWHERE or len(descriptors) > 1:
            raise ProtocolViolation("a message brought a descriptor that nobody asked for")
        self._lending.add(part.place, descriptors[0])

    def _receive(self) -> tuple[bytes, list[int]]:
        """Return the next message and the descriptors that it brought. Raises ProducerFailed where none will come any more."""
        try:
            found = self._receive_once()
        except ConnectionResetError:
            found = self._receive_once()  # It is told once, and what was sent before still waits.
        message, descriptors = found
        self.bytes += len(message)
        return message, descriptors

    def _receive_once(self) -> tuple[bytes, list[int]]:
        size, ancillary, flags, _ = self._socket.recvmsg_into(
            [self._message], _ONE_DESCRIPTOR, socket.MSG_CMSG_CLOEXEC
        )
        descriptors = array.array("i")
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            _close_all(descriptors)
            raise ProtocolViolation(
                "a message of an edge came cut: it is too long, or this process has too many files open"
            )
        if not size:
            _close_all(descriptors)
            raise producer_gone()
        return bytes(self._message[:size]), list(descriptors)


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
