"""Both ends of an edge, whatever carries it: which frames come in which order, and what every end of a stream means.

A line carries frames (`os_pipe.py`, `slots.py`): it knows bytes, descriptors and waiting, and nothing of batches.

Rules
- A frame that was interrupted half way is not followed by another: the reader would take that for data. The line is
  closed instead, which says the same.
- A failure is the last that is written, and never waited for.
- A reader keeps nothing of a batch that it has given: who drops the batch drops its memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from runink.errors import ProtocolViolation, Refused
from runink.pipes import frames
from runink.pipes.batch import Batch
from runink.pipes.edge import Barrier, ConsumerGone, EdgeStatistics, ProducerFailed
from runink.pipes.frames import Header, Kind
from runink.pipes.ipc import Decoder, Encoder, cut

_CONSUMER_GONE = (BrokenPipeError, ConnectionResetError)


class Outgoing(Protocol):
    """The writer's side of a line. What sends raises BrokenPipeError or ConnectionResetError when nobody reads any more."""

    @property
    def batch_bytes_max(self) -> int:
        """Larger batches are cut, so that they need not be put together again."""

    @property
    def closed(self) -> bool: ...

    def greet(self, greeting: bytes) -> int:
        """Send this before all frames; return how many bytes that took, as `send` does."""

    def send(
        self, header: Header, origin: bytes = b"", pieces: Sequence[Any] = (), *, rows: int = 0
    ) -> int: ...

    def send_nowait(self, header: Header, body: bytes) -> None:
        """Send if there is room. Raises BlockingIOError if there is none."""

    def close(self) -> None: ...


class Frame(NamedTuple):
    """A frame as it came. `rows` is how many its batch should have, None where the line does not say."""

    header: Header
    origin: str
    body: pa.Buffer
    rows: int | None = None


class Incoming(Protocol):
    """The reader's side of a line. What reads raises ProducerFailed at the end of the bytes, and ProtocolViolation."""

    @property
    def number(self) -> int: ...

    @property
    def bytes(self) -> int:
        """How many bytes have come."""

    def greeting(self) -> str:
        """Return the writer's fingerprint."""

    def frame(self) -> Frame: ...

    def close(self) -> None: ...


class StreamWriter:
    """See `edge.EdgeWriter`."""

    def __init__(self, line: Outgoing) -> None:
        self._line = line
        self._encoder: Encoder | None = None
        self._torn = False  # a frame was begun and not finished
        self._rows = self._batches = self._bytes = 0

    def greet(self, fingerprint: str) -> None:
        """Say whose edge this is. Raises ConsumerGone, and has closed the line then."""
        try:
            self._bytes += self._line.greet(frames.greeting(fingerprint))
        except BaseException as error:
            self.close()
            if isinstance(error, _CONSUMER_GONE):
                raise _gone() from None
            raise

    def write(self, batch: Batch) -> None:
        for part in cut(batch, self._line.batch_bytes_max):
            self._write(part)

    def _write(self, batch: Batch) -> None:
        encoder = self._encoder
        if encoder is None or not batch.data.schema.equals(encoder.schema, check_metadata=True):
            encoder = self._begin(batch.data.schema)
        origin = batch.origin.encode()[: frames.ORIGIN_BYTES_MAX]
        pieces = encoder.pieces(batch.data)
        body_bytes = sum(map(len, pieces))
        if body_bytes > frames.BODY_BYTES_MAX:
            raise Refused(
                f"row {batch.row:,} of {batch.origin} has {body_bytes:,} bytes, more than an edge carries ({frames.BODY_BYTES_MAX:,})",
                code="batch_too_large",
                hint="keep such values in files and pass their paths",
            )
        header = Header(Kind.BATCH, len(origin), body_bytes, batch.row)
        self._send(header, origin, pieces, rows=batch.data.num_rows)
        self._rows += batch.data.num_rows
        self._batches += 1

    def _begin(self, schema: pa.Schema) -> Encoder:
        self._encoder = encoder = Encoder(schema)
        message = encoder.message
        self._send(Header(Kind.SCHEMA, body_bytes=message.size), b"", [message])
        return encoder

    def barrier(self, epoch: int) -> None:
        self._send(Header(Kind.BARRIER, number=epoch))

    def end(self) -> None:
        self._send(Header(Kind.END, number=self._rows))

    def fail(self, text: str) -> None:
        if self._torn or self._line.closed:
            return
        body = text.encode(errors="replace")[-frames.ERROR_BYTES_MAX :]
        # Without waiting: the reader may wait for another edge of this slice. Half a frame, and none, say that we have failed, only not why.
        self._torn = True
        with suppress(BlockingIOError, *_CONSUMER_GONE):
            self._line.send_nowait(Header(Kind.ERROR, body_bytes=len(body)), body)

    def close(self) -> None:
        self._line.close()

    def statistics(self) -> EdgeStatistics:
        return EdgeStatistics(self._rows, self._batches, self._bytes)

    def _send(
        self, header: Header, origin: bytes = b"", pieces: Sequence[Any] = (), *, rows: int = 0
    ) -> None:
        assert not self._torn, "nothing may follow a frame that was cut"
        self._torn = True
        try:
            self._bytes += self._line.send(header, origin, pieces, rows=rows)
        except _CONSUMER_GONE:
            raise _gone() from None
        self._torn = False


def _gone() -> ConsumerGone:
    return ConsumerGone("the slice behind reads no more")


class StreamReader:
    """See `edge.EdgeReader`."""

    def __init__(self, line: Incoming, fingerprint: str) -> None:
        self._line = line
        self._fingerprint = fingerprint
        self._greeted = False
        self._decoder: Decoder | None = None
        self._rows = self._batches = 0

    def __iter__(self) -> Iterator[Batch]:
        return filter(_is_batch, self.events())  # type: ignore[arg-type] # a filter keeps nothing of what it gives, a generator would

    def events(self) -> Iterator[Batch | Barrier]:
        return iter(self._next, None)

    def _next(self) -> Batch | Barrier | None:
        """Return what was written next, None at the end."""
        if not self._greeted:
            self._check_greeting()
        while True:
            frame = self._line.frame()
            header = frame.header
            match header.kind:
                case Kind.SCHEMA:
                    self._decoder = Decoder(frame.body)
                case Kind.BATCH:
                    return self._batch(frame)
                case Kind.BARRIER:
                    return Barrier(header.number)
                case Kind.ERROR:
                    text = bytes(frame.body).decode(errors="replace")
                    raise ProducerFailed(text or "the producer has failed")
                case Kind.END:
                    self._check_end(header.number)
                    return None

    def fileno(self) -> int:
        return self._line.number

    def close(self) -> None:
        self._line.close()

    def statistics(self) -> EdgeStatistics:
        return EdgeStatistics(self._rows, self._batches, self._line.bytes)

    def _check_greeting(self) -> None:
        theirs = self._line.greeting()
        if theirs != self._fingerprint:
            raise ProtocolViolation(
                f"the writer's contract is {theirs or 'none'}, the reader's {self._fingerprint or 'none'}",
                code="fingerprint_differs",
                hint="both ends of an edge come from one compiled pipeline: run it again",
            )
        self._greeted = True

    def _batch(self, frame: Frame) -> Batch:
        if self._decoder is None:
            raise ProtocolViolation("a batch came before its schema")
        data = self._decoder.batch(frame.body, frame.origin)
        if frame.rows is not None and frame.rows != data.num_rows:
            raise ProtocolViolation(
                f"a batch of {frame.origin} holds {data.num_rows:,} rows, its writer says {frame.rows:,}"
            )
        self._rows += data.num_rows
        self._batches += 1
        return Batch(data, frame.origin, frame.header.number)

    def _check_end(self, rows: int) -> None:
        if rows != self._rows:
            raise ProtocolViolation(f"the producer wrote {rows:,} rows, {self._rows:,} came")


def _is_batch(event: Batch | Barrier) -> bool:
    return isinstance(event, Batch)


def producer_gone() -> ProducerFailed:
    """Return what a line raises at the end of its bytes."""
    return ProducerFailed("the slice in front ended without saying that it was done")
