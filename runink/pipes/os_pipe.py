"""An edge over a pipe: blocking reads and writes on a descriptor of one's own.

Writing copies nothing in this process: Arrow hands its buffers to `_Pieces` one by one, and `writev` gives them to the kernel.
Reading makes one buffer a batch, which the batch's columns then point into.

Rules
- The descriptor is blocking.  Arrow takes a short write on a non-blocking one for a whole one and says nothing, so it never gets it.
- Nothing is read ahead of the frame at hand, so `poll` on the descriptor tells the truth.
- A frame that was interrupted half way is not followed by another: the reader would take that for data. The descriptor is
  closed instead, which says the same.
- A failure is the last that is written, and never waited for.
- A slice holds no other copy of the write end, or the reader would wait for ever: whoever forks closes what is not the child's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import pyarrow as pa

from runink.errors import ProtocolViolation, Refused
from runink.pipes import frames
from runink.pipes.arrow_output import ArrowOutput
from runink.pipes.batch import Batch
from runink.pipes.edge import (
    Barrier,
    ConsumerGone,
    EdgeReader,
    EdgeStatistics,
    EdgeWriter,
    ProducerFailed,
)
from runink.pipes.frames import Header, Kind

BATCH_BYTES_MAX: Final = 16 << 20  # larger batches are cut: two of them wait in the reader's memory
_PIECES_MAX: Final = 1024  # IOV_MAX of Linux
_IPC: Final = pa.ipc.IpcWriteOptions(
    use_threads=False
)  # nothing is compressed, so there is nothing to share out


def open_writer(fd: int, *, fingerprint: str) -> EdgeWriter:
    """Take over the write end of a pipe and greet. Raises ConsumerGone, and has closed the descriptor then."""
    writer = _PipeWriter(fd)
    try:
        writer.greet(fingerprint)
    except BaseException:
        writer.close()
        raise
    return writer


def open_reader(fd: int, *, fingerprint: str) -> EdgeReader:
    """Take over the read end of a pipe. Waits for nothing: the greeting is read with the first batch."""
    return _PipeReader(fd, fingerprint)


class _PipeWriter:
    def __init__(self, fd: int) -> None:
        self._descriptor = _Descriptor(fd)
        self._schema: pa.Schema | None = None
        self._pieces = _Pieces()
        self._ipc: Any = None
        self._torn = False  # a frame was begun and not finished
        self._rows = self._batches = self._bytes = 0

    def greet(self, fingerprint: str) -> None:
        self._send([frames.greeting(fingerprint)])

    def write(self, batch: Batch) -> None:
        for part in _cut(batch):
            self._write(part)

    def _write(self, batch: Batch) -> None:
        if self._schema is None or not batch.data.schema.equals(self._schema, check_metadata=True):
            self._begin(batch.data.schema)
        origin = batch.origin.encode()[: frames.ORIGIN_BYTES_MAX]
        self._ipc.write_batch(batch.data)
        pieces = self._pieces.taken()
        body_bytes = sum(map(len, pieces))
        if body_bytes > frames.BODY_BYTES_MAX:
            raise Refused(
                f"row {batch.row:,} of {batch.origin} has {body_bytes:,} bytes, more than an edge carries ({frames.BODY_BYTES_MAX:,})",
                code="batch_too_large",
                hint="keep such values in files and pass their paths",
            )
        header = Header(Kind.BATCH, len(origin), body_bytes, batch.row)
        self._send([frames.packed(header), origin, *pieces])
        self._rows += batch.data.num_rows
        self._batches += 1

    def _begin(self, schema: pa.Schema) -> None:
        """Begin an IPC stream. Its writer gives the schema message in front of the first batch, so it is taken off there."""
        message = schema.serialize()
        self._pieces = _Pieces(skip_bytes=message.size)
        self._ipc = pa.ipc.new_stream(self._pieces, schema, options=_IPC)
        self._send([frames.packed(Header(Kind.SCHEMA, body_bytes=message.size)), message])
        self._schema = schema

    def barrier(self, epoch: int) -> None:
        self._send([frames.packed(Header(Kind.BARRIER, number=epoch))])

    def end(self) -> None:
        self._send([frames.packed(Header(Kind.END, number=self._rows))])

    def fail(self, text: str) -> None:
        if self._torn or self._descriptor.closed:
            return
        body = text.encode(errors="replace")[-frames.ERROR_BYTES_MAX :]
        # Without waiting: the reader may wait for another pipe of this slice. Half a frame, and none, say that we have failed, only not why.
        self._torn = True
        with suppress(BlockingIOError, BrokenPipeError):
            self._descriptor.write_nowait(
                frames.packed(Header(Kind.ERROR, body_bytes=len(body))) + body
            )

    def close(self) -> None:
        self._descriptor.close()

    def statistics(self) -> EdgeStatistics:
        return EdgeStatistics(self._rows, self._batches, self._bytes)

    def _send(self, pieces: Sequence[Any]) -> None:
        assert not self._torn, "nothing may follow a frame that was cut"
        self._torn = True
        try:
            self._bytes += self._descriptor.write(pieces)
        except BrokenPipeError:
            raise ConsumerGone("the slice behind reads no more") from None
        self._torn = False


class _PipeReader:
    def __init__(self, fd: int, fingerprint: str) -> None:
        self._descriptor = _Descriptor(fd)
        self._fingerprint = fingerprint
        self._body = _Body()
        self._ipc: Any = None
        self._rows = self._batches = self._bytes = 0

    def __iter__(self) -> Iterator[Batch]:
        return (event for event in self.events() if isinstance(event, Batch))

    def events(self) -> Iterator[Batch | Barrier]:
        self._check_greeting()
        while True:
            header = frames.unpacked(bytes(self._read(frames.HEADER_BYTES)))
            match header.kind:
                case Kind.SCHEMA:
                    self._begin(header)
                case Kind.BATCH:
                    yield self._batch(header)
                case Kind.BARRIER:
                    yield Barrier(header.number)
                case Kind.ERROR:
                    text = bytes(self._read(header.body_bytes)).decode(errors="replace")
                    raise ProducerFailed(text or "the producer has failed")
                case Kind.END:
                    self._check_end(header.number)
                    return

    def fileno(self) -> int:
        return self._descriptor.number

    def close(self) -> None:
        self._descriptor.close()

    def statistics(self) -> EdgeStatistics:
        return EdgeStatistics(self._rows, self._batches, self._bytes)

    def _check_greeting(self) -> None:
        head = bytes(self._read(frames.GREETING_BYTES))
        theirs = bytes(self._read(frames.fingerprint_bytes(head))).decode(errors="replace")
        if theirs != self._fingerprint:
            raise ProtocolViolation(
                f"the writer's contract is {theirs or 'none'}, the reader's {self._fingerprint or 'none'}",
                code="fingerprint_differs",
                hint="both ends of an edge come from one compiled pipeline: run it again",
            )

    def _check_end(self, rows: int) -> None:
        if rows != self._rows:
            raise ProtocolViolation(f"the producer wrote {rows:,} rows, {self._rows:,} came")

    def _begin(self, header: Header) -> None:
        self._body.fill(self._read(header.body_bytes))
        try:
            self._ipc = pa.ipc.open_stream(self._body)
        except (pa.ArrowException, OSError, ValueError, EOFError) as error:
            raise ProtocolViolation(f"an edge's schema cannot be read: {error}") from error
        self._body.check_empty()

    def _batch(self, header: Header) -> Batch:
        if self._ipc is None:
            raise ProtocolViolation("a batch came before its schema")
        origin = bytes(self._read(header.origin_bytes)).decode(errors="replace")
        self._body.fill(self._read(header.body_bytes))
        try:
            data = self._ipc.read_next_batch()
            data.validate()
        except (pa.ArrowException, OSError, ValueError, EOFError, StopIteration) as error:
            raise ProtocolViolation(f"a batch of {origin} cannot be read: {error}") from error
        self._body.check_empty()
        self._rows += data.num_rows
        self._batches += 1
        return Batch(data, origin, header.number)

    def _read(self, size: int) -> pa.Buffer:
        """Return exactly that many bytes. Raises ProducerFailed where the stream ends before."""
        buffer = pa.allocate_buffer(size)
        got = self._descriptor.read_into(memoryview(buffer))
        self._bytes += got
        if got < size:
            raise ProducerFailed("the slice in front ended without saying that it was done")
        return buffer


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

    def write(self, pieces: Sequence[Any]) -> int:
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

    def write_nowait(self, data: bytes) -> None:
        """Write what there is room for. Raises BlockingIOError if that is nothing, and BrokenPipeError."""
        os.set_blocking(self.number, False)
        os.write(self.number, data)

    def read_into(self, view: memoryview) -> int:
        """Fill the view and return how many bytes came: fewer only at the end of the stream."""
        got = 0
        while got < len(view) and (count := os.readv(self.number, [view[got:]])):
            got += count
        return got


class _Pieces(ArrowOutput):
    """The file that Arrow writes to: keeps what it is given, uncopied, less the first `skip_bytes`."""

    def __init__(self, skip_bytes: int = 0) -> None:
        self._skip_bytes = skip_bytes
        self._pieces: list[Any] = []

    def write(self, piece: Any) -> int:
        size = len(piece)
        skipped = min(size, self._skip_bytes)
        self._skip_bytes -= skipped
        if skipped < size:
            self._pieces.append(memoryview(piece)[skipped:] if skipped else piece)
        return size

    def taken(self) -> list[Any]:
        """Return what was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return pieces


class _Body:
    """The file that Arrow reads from: one frame's body at a time, uncopied. Beyond its end there is nothing, whatever a length in it says."""

    closed = False

    def __init__(self) -> None:
        self._buffer = pa.py_buffer(b"")
        self._at = 0

    def fill(self, buffer: pa.Buffer) -> None:
        self._buffer = buffer
        self._at = 0

    def check_empty(self) -> None:
        """Raise ProtocolViolation where Arrow has left something; let go of the buffer, which the batch now holds."""
        left = self._buffer.size - self._at
        self.fill(pa.py_buffer(b""))
        if left:
            raise ProtocolViolation(f"a frame holds {left} bytes more than its Arrow messages")

    def read(self, size: int = -1) -> pa.Buffer:
        left = self._buffer.size - self._at
        piece = self._buffer.slice(self._at, left if size < 0 else min(size, left))
        self._at += piece.size
        return piece

    read_buffer = read

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


def _cut(batch: Batch) -> Iterator[Batch]:
    """Yield the batch in pieces of about BATCH_BYTES_MAX, at least a row each."""
    data = batch.data
    # The size of whole buffers is known at once; what a slice has of them takes as long to reckon as the batch to write.
    is_small = data.get_total_buffer_size() <= BATCH_BYTES_MAX
    parts = 1 if is_small else -(-data.nbytes // BATCH_BYTES_MAX)
    if parts <= 1 or data.num_rows <= 1:
        yield batch
        return
    rows = max(1, data.num_rows // parts)
    for start in range(0, data.num_rows, rows):
        yield Batch(data.slice(start, rows), batch.origin, batch.row + start)
