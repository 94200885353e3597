"""Compressed streams, read and written piece by piece: gzip and zstd, chosen by the end of the path (`endings.py`).

Nothing is ever held whole, so a small file that unfolds to a huge one costs time and no memory.  Members that follow
each other (`cat a.gz b.gz`) are one stream; one that is cut or damaged is told.  Equal input gives equal bytes: gzip's header bears no time.
"""

from __future__ import annotations

import zlib
from typing import Any, Final, Protocol

import pyarrow as pa

from runink.connectors.endings import Compression
from runink.pipes.arrow_output import ArrowOutput

GZIP_LEVEL: Final = 6  # gzip's own default; Arrow's 9 takes five times as long for a few percent
_GZIP_WINDOW: Final = 31  # zlib's way to say: with gzip's header and checksum


class Readable(Protocol):
    """A stream of bytes: `readinto` returns 0 only at the end."""

    def readinto(self, buffer: Any, /) -> int | None: ...
    def close(self) -> None: ...


class Writable(Protocol):
    def write(self, data: Any, /) -> Any: ...


def decompressed(file: Readable, compression: Compression) -> Readable:
    """Return the stream within. Its `readinto` raises OSError where the file is cut or damaged; closing it closes the file."""
    return pa.CompressedInputStream(  # type: ignore[no-any-return] # Arrow's types are not checked
        pa.PythonFile(file, mode="r"), _ARROW_NAME[compression]
    )


def compressed(file: Writable, compression: Compression) -> CompressedWriter:
    """Return a stream that compresses what it is given into the file. Closing it writes what is left, and leaves the file open."""
    if compression is Compression.GZIP:
        return CompressedWriter(_Gzip(file))
    return CompressedWriter(
        pa.CompressedOutputStream(pa.PythonFile(_KeptOpen(file), mode="w"), "zstd")
    )


_ARROW_NAME: Final = {Compression.GZIP: "gzip", Compression.ZSTD: "zstd"}


class CompressedWriter(ArrowOutput):
    """A file for Arrow and for plain writes. One that is not closed has written an unfinished stream, and never finishes it by itself."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink

    def write(self, data: Any) -> int:
        self._sink.write(data)
        return memoryview(data).nbytes

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._sink.close()


class _Gzip:
    def __init__(self, file: Writable) -> None:
        self._file = file
        self._stream = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)

    def write(self, data: Any) -> None:
        self._file.write(self._stream.compress(data))

    def close(self) -> None:
        self._file.write(self._stream.flush())


class _KeptOpen(ArrowOutput):
    """A file that Arrow may write to and not close."""

    def __init__(self, file: Writable) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        self._file.write(data)
        return memoryview(data).nbytes
