"""Rows of a file that a run has written, read in a process of its own, which has confined itself before it reads anything of it.

What it is given and says stands in `rows_job.py`.

Steps are anybody's code, and they have written the file: whatever reads it may be led to do something else, or to take all memory there is.  Here it can compute for a while, and answer
(`sandbox/confining.py`).  It knows of the rows what the file holds, and shows of them what the reader sees; it holds no key, and nothing of anybody else.
"""

from __future__ import annotations

import io
import os
import sys
import sysconfig
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, assert_never

import msgspec
from msgspec.structs import replace as changed

from runink.connectors.compression import decompressed
from runink.connectors.endings import compression_of
from runink.connectors.sources import open_source
from runink.dag import STANDARD, Format, Sink, Source
from runink.errors import Invalid, RuninkError, to_wire
from runink.sandbox.confining import confine
from runink.services.rows_job import BLOCK_BYTES, DAMAGED, LENGTH, TOO_FAR, Job, Row, Rows

MEMORY_BYTES_MAX: Final = 1 << 30
CPU_S_MAX: Final = 10
ROWS_BYTES_MAX: Final = 2 << 20  # as JSON; there is one row at least
_PIPE: Final = "standard input"  # as sources call it
_PIECE_BYTES: Final = 64 << 10
_OF_THE_SYSTEM: Final = ("/lib", "/lib64", "/usr/lib", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom")  # fmt: skip


class FarFile(io.RawIOBase):
    """The file: blocks of it are asked for as they are wanted, and kept."""

    def __init__(self, job: Job, asks: BinaryIO, answers: BinaryIO) -> None:
        super().__init__()
        self._size = job.size
        self._left_bytes = job.bytes_max
        self._asks = asks
        self._answers = answers
        self._at = 0
        self._blocks: dict[int, bytes] = {}

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer) as view, view.cast("B") as room:
            number, start = divmod(self._at, BLOCK_BYTES)
            piece = self._block(number)[start : start + len(room)] if self._at < self._size else b""
            room[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._left_bytes -= min(BLOCK_BYTES, self._size - number * BLOCK_BYTES)
            if self._left_bytes < 0:
                raise Invalid("these rows lie too far within their file to be read from afar", code=TOO_FAR)  # fmt: skip
            self._asks.write(LENGTH.pack(LENGTH.size) + LENGTH.pack(number))
            self._asks.flush()
            self._blocks[number] = read_frame(self._answers)
        return self._blocks[number]


def read_frame(file: BinaryIO) -> bytes:
    """Return the next frame. Raises EOFError where there is none."""
    head = file.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError("who asked has gone")
    (length,) = LENGTH.unpack(head)
    return file.read(length)


def rows_of(job: Job, file: FarFile) -> Rows:
    """Return the rows that a job asks for. Raises Invalid (`rows_damaged`, `rows_too_far`)."""
    found: list[Row] = []
    size = 0
    all_rows = _rows(job, file)
    try:
        for row in islice(all_rows, job.start, None):
            if len(found) == job.limit or size >= ROWS_BYTES_MAX:
                return Rows(tuple(found))
            found.append(_plain(job.reading.row(row)))
            size += len(msgspec.json.encode(found[-1]))
    finally:
        all_rows.close()
    return Rows(tuple(found), is_all=True)


def _rows(job: Job, file: FarFile) -> Generator[Row, None, None]:
    match job.sink.format:
        case Format.CSV | Format.JSONL | Format.JSON:
            return _of_text(job.sink, file)
        case Format.PARQUET:
            return _of_parquet(file, job.start + job.limit + 1)
        case Format.ARROW:
            return _of_arrow(file)
        case _:
            assert_never(job.sink.format)


def _of_parquet(file: FarFile, count: int) -> Generator[Row, None, None]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - before it is confined it is loaded for who needs it alone

    with pq.ParquetFile(_whole(file), buffer_size=_PIECE_BYTES, pre_buffer=False) as opened:
        for batch in opened.iter_batches(batch_size=count, use_threads=False):
            yield from batch.to_pylist()


def _of_arrow(file: FarFile) -> Generator[Row, None, None]:
    import pyarrow as pa  # noqa: PLC0415 - as above

    with pa.ipc.open_file(pa.PythonFile(_whole(file), mode="r")) as opened:
        for place in range(opened.num_record_batches):
            batch = opened.get_batch(place)
            batch.validate(full=True)  # offsets of a damaged file would be followed elsewhere
            for at in range(batch.num_rows):
                yield batch.slice(at, 1).to_pylist()[0]


def _whole(file: FarFile) -> io.BufferedReader:
    """Return the file for who takes less than it has asked for as the end."""
    return io.BufferedReader(file, _PIECE_BYTES)


def _of_text(sink: Sink, file: FarFile) -> Generator[Row, None, None]:
    """Yield rows as their source would read them from standard input: a thread writes them into a pipe, uncompressed, for as long as somebody reads."""
    node = Source(sink.id, sink.scenario, sink.uri, sink.format, STANDARD)
    out, into = os.pipe()
    feed = _Feed(sink, file, into)
    feed.start()
    try:
        reader = open_source(node, root=Path(), staged=(), stdin_fd=out)
        try:
            for batch in reader.batches():
                for at in range(batch.data.num_rows):
                    yield batch.data.slice(at, 1).to_pylist()[0]
        finally:
            reader.close()
    except Exception:
        if feed.error is not None:  # what could not be read any further
            raise feed.error from None
        raise
    finally:
        os.close(out)
        feed.join()
    if feed.error is not None:
        raise feed.error


class _Feed(threading.Thread):
    """Writes what a file holds into a pipe. `error` is what stopped it, but that nobody reads any more."""

    def __init__(self, sink: Sink, file: FarFile, into: int) -> None:
        super().__init__(name="feed", daemon=True)
        kind = compression_of(sink.path)
        self._stream: Any = file if kind is None else decompressed(file, kind)
        self._into = into
        self.error: Exception | None = None

    def run(self) -> None:
        buffer = bytearray(_PIECE_BYTES)
        try:
            with suppress(BrokenPipeError), os.fdopen(self._into, "wb", buffering=0) as pipe:
                while count := self._stream.readinto(buffer):
                    self._write(pipe, memoryview(buffer)[:count])
        except Exception as error:  # noqa: BLE001 - it is raised where the rows are read
            self.error = error

    @staticmethod
    def _write(pipe: Any, piece: memoryview) -> None:
        while piece:
            piece = piece[pipe.write(piece) :]


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: times in ISO 8601, decimals as text, bytes in base64."""
    return msgspec.to_builtins(value, enc_hook=str)


def answered(job: Job, file: FarFile) -> Rows:
    """Return the rows, or why there are none. What is wrong with a file may quote it, so who does not see all of it is told that it is wrong."""
    why = Invalid(f"{job.sink.uri} cannot be read as {job.sink.format.value}", code=DAMAGED)
    try:
        return rows_of(job, file)
    except RuninkError as error:
        if error.code != TOO_FAR and not job.reading.sees_all:
            return Rows(refused=to_wire(why))
        told = to_wire(error)
        return Rows(refused=changed(told, text=told.text.replace(_PIPE, job.sink.uri, 1)))
    except Exception:  # noqa: BLE001 - Arrow raises what it likes, of a file that may be anything
        return Rows(refused=to_wire(why))


def _readable() -> Iterator[str]:
    package = Path(__file__).parent.parent
    paths = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return (path for path in {str(package), *paths, *_OF_THE_SYSTEM} if Path(path).exists())


def main() -> None:
    """Read a job, confine this process, do it and say what was read."""
    answers, asks = sys.stdin.buffer, os.fdopen(1, "wb", closefd=False)
    sys.stdout = sys.stderr  # what anything here prints is no answer
    job = msgspec.json.decode(read_frame(answers), type=Job)
    confine(_readable(), memory_bytes=MEMORY_BYTES_MAX, cpu_s=CPU_S_MAX)
    said = msgspec.json.encode(answered(job, FarFile(job, asks, answers)))
    asks.write(LENGTH.pack(len(said)) + said)
    asks.flush()


if __name__ == "__main__":
    main()
