"""What a source reads: files found by path or glob, locally or through fsspec, opened and read with errors that people understand.

    path                       what is read
    -                          standard input, once
    data/flights.csv           one file, relative to the project
    data/*.csv, data/**/x.csv  all files that match, sorted by path
    s3://bucket/key            through the fsspec package of that scheme

A name that ends in .gz or .zst is decompressed on the way.  A batch's origin is the path as people wrote it, so that errors and dead
letters lead back to it.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from runink.connectors.compression import Readable, decompressed
from runink.connectors.endings import Compression, compression_of
from runink.connectors.remote_files import filesystem_of, told_remote
from runink.errors import Forbidden, Invalid, NotFound, Refused, RuninkError, Unavailable
from runink.stores import NO_STORES, Stores

SCAN_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Input:
    """One file. `location` is an absolute path or a URI, reached by `stores`; `descriptor` is there for standard input."""

    origin: str
    location: str
    descriptor: int | None = None
    stores: Stores = NO_STORES

    @property
    def once(self) -> bool:
        """Whether it can be read one time only, from its beginning to its end."""
        return self.descriptor is not None or not (self.is_remote or Path(self.location).is_file())

    @property
    def is_remote(self) -> bool:
        return "://" in self.location

    @property
    def compression(self) -> Compression | None:
        return None if self.descriptor is not None else compression_of(self.location)

    def open(self) -> Readable:
        """Return the stream of bytes within, uncompressed. Raises Refused or Unavailable."""
        try:
            file = self._opened()
        except OSError as error:
            raise self.told(error) from error
        return file if self.compression is None else decompressed(file, self.compression)

    def _opened(self) -> Any:
        if self.descriptor is not None:
            return io.FileIO(self.descriptor, closefd=False)
        if self.is_remote:
            return _RemoteFile(self.location, self.stores)
        if Path(self.location).is_dir():
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        return io.FileIO(self.location)

    def open_random(self, what: str) -> pa.NativeFile:
        """Return the file for reading here and there. Raises Refused or Unavailable; `what` names the format that needs it."""
        if self.once or self.compression is not None:
            raise Refused(
                f"{self.origin}: {what} is read from its end, so it can be no pipe and is not compressed once more",
                code="source_not_seekable",
                hint=f"write the {what} to a file as it is: it is compressed inside",
            )
        try:
            file = self._opened()
            return pa.PythonFile(file, mode="r") if self.is_remote else _native(file, self.location)
        except OSError as error:
            raise self.told(error) from error

    def read_into(self, file: Readable, view: memoryview) -> int:
        """Fill what it can of the view, 0 at the end. Raises Invalid for a damaged archive, Unavailable for a disk that fails."""
        try:
            return file.readinto(view) or 0
        except OSError as error:
            if self.compression is None or error.errno:
                raise self.told(error) from error
            raise Invalid(
                f"{self.origin} cannot be decompressed: {error}",
                code="source_damaged",
                hint="the file is cut, damaged, or not what its name says; fetch or write it again",
            ) from None

    def lines_before(self, offset: int) -> int:
        """Count the line ends in the first `offset` bytes, by reading them again."""
        assert not self.once
        file = self.open()
        try:
            lines, left, buffer = 0, offset, bytearray(SCAN_BYTES)
            while left:
                with memoryview(buffer) as view, view[: min(left, SCAN_BYTES)] as room:
                    count = self.read_into(file, room)
                if not count:
                    break  # somebody cut the file meanwhile: the number is for a message only
                lines += buffer.count(b"\n", 0, count)
                left -= count
            return lines
        finally:
            file.close()

    def told(self, error: OSError) -> RuninkError:
        """Return the error as one that says what to do."""
        match error:
            case FileNotFoundError():
                return NotFound(f"{self.origin} does not exist", code="source_not_found")
            case IsADirectoryError():
                return Refused(
                    f"{self.origin} is a directory",
                    code="source_is_directory",
                    hint=f"name the files in it, as in {self.origin.rstrip('/')}/*",
                )
            case PermissionError():
                return forbidden(self.origin, error)
            case _:
                return Unavailable(
                    f"{self.origin} cannot be read: {error.strerror or error}",
                    code="source_unreadable",
                )


def forbidden(origin: str, error: OSError) -> Forbidden:
    """Return the error for what may not be read. A slice sees as its own what belongs to who runs the node, and has the rights of anybody elsewhere."""
    return Forbidden(
        f"{origin} may not be read: {error.strerror or error}",
        code="source_forbidden",
        hint="let it belong to the user who runs the node, or let everybody read it (chmod o+r, o+rx for a folder): a slice has no other rights, not even root's",
    )


def _native(file: io.FileIO, location: str) -> pa.NativeFile:
    """Return Arrow's own file, which reads without Python's lock; opening it in Python first gave the better error."""
    file.close()
    return pa.OSFile(location)


class _RemoteFile:
    """A file elsewhere. What its package raises is told as what it means, also in the middle: it is seldom an OSError, and never our mistake."""

    def __init__(self, uri: str, stores: Stores) -> None:
        self._uri = uri
        filesystem, key = filesystem_of(uri, stores)
        self._file = self._told(filesystem.open, key, "rb")

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._told(self._file.read, size)
        return data

    def readinto(self, buffer: Any) -> int:
        return int(self._told(self._file.readinto, buffer) or 0)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._told(self._file.seek, offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()

    def _told(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except Exception as error:
            raise told_remote(error, self._uri) from error
