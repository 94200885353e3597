"""Between batches and the bodies of frames: what Arrow writes and reads, without a copy, whatever carries it.

Arrow writes to `Pieces`, which keeps its buffers one by one; it reads from `Body`, which gives it stretches of one buffer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from runink.errors import ProtocolViolation
from runink.pipes.arrow_output import ArrowOutput
from runink.pipes.batch import Batch

_OPTIONS: Final = pa.ipc.IpcWriteOptions(
    use_threads=False
)  # nothing is compressed, so there is nothing to share out


_LENGTH_BYTES: Final = 4


class Encoder:
    """The IPC stream of one schema, as it is written."""

    def __init__(self, schema: pa.Schema) -> None:
        """Begin a stream. Its writer gives the schema message in front of the first batch, so it is taken off there."""
        self.schema = schema
        self.message = schema.serialize()
        self._pieces = Pieces(skip_bytes=self.message.size)
        self._ipc = pa.ipc.new_stream(self._pieces, schema, options=_OPTIONS)

    def pieces(self, data: pa.RecordBatch) -> list[Any]:
        """Return the batch's messages, dictionaries that are new before it, as pieces that are not copied."""
        self._ipc.write_batch(data)
        return self._pieces.taken()


class Decoder:
    """The IPC stream of one schema, as it is read. Raises ProtocolViolation for what is none."""

    def __init__(self, message: pa.Buffer) -> None:
        self._body = Body()
        self._body.fill(message)
        try:
            self._ipc = pa.ipc.open_stream(self._body)
        except (pa.ArrowException, OSError, ValueError, EOFError) as error:
            raise ProtocolViolation(f"an edge's schema cannot be read: {error}") from error
        self._body.check_empty()

    def batch(self, body: pa.Buffer, origin: str) -> pa.RecordBatch:
        """Return the batch, whose columns point into the body. Its layout is checked: lengths and offsets, not each value."""
        self._body.fill(body)
        try:
            data = self._ipc.read_next_batch()
            data.validate()
        except (pa.ArrowException, OSError, ValueError, EOFError, StopIteration) as error:
            raise ProtocolViolation(f"a batch of {origin} cannot be read: {error}") from error
        self._body.check_empty()
        return data


class Pieces(ArrowOutput):
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


class Body:
    """The file that Arrow reads from: one frame's body at a time. Beyond its end there is nothing, whatever a length in it says.

    Columns are not copied, messages' metadata is: Arrow keeps that until the next message, and the whole body would be kept with it.
    """

    closed = False

    def __init__(self) -> None:
        self.fill(pa.py_buffer(b""))

    def fill(self, buffer: pa.Buffer) -> None:
        self._buffer = buffer
        self._at = 0
        self._is_metadata = True

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
        # A mark and a length, of 4 bytes each, then the metadata, then what it is about.
        is_metadata, self._is_metadata = self._is_metadata, piece.size == _LENGTH_BYTES
        return pa.py_buffer(piece.to_pybytes()) if is_metadata else piece

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


def cut(batch: Batch, bytes_max: int) -> Iterator[Batch]:
    """Yield the batch in pieces of about that many bytes, at least a row each."""
    data = batch.data
    # The size of whole buffers is known at once; what a slice has of them takes as long to reckon as the batch to write.
    is_small = data.get_total_buffer_size() <= bytes_max
    parts = 1 if is_small else -(-data.nbytes // bytes_max)
    if parts <= 1 or data.num_rows <= 1:
        yield batch
        return
    rows = max(1, data.num_rows // parts)
    for start in range(0, data.num_rows, rows):
        yield Batch(data.slice(start, rows), batch.origin, batch.row + start)
