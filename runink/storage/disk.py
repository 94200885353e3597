"""One directory of a disk: the few operations that the log and the snapshots need, and nothing else.

Both are written against the `Disk` protocol, so that tests run the real formats over `runink.testing.disk.FaultyDisk`, which
tears, loses and refuses writes.  Rules that every implementation keeps:

- Names are plain file names in the one directory; there are no sub-directories.
- A write is on disk when `fdatasync` of its file has returned; a created, renamed or removed name when `fsync_directory` has.
- `pwrite` writes everything or raises: there are no short writes for the caller to think of.
- What the world does wrong is an `OSError`, also here: the callers know whether it can be mended.
- One process at a time: the directory is locked (flock) for as long as the disk is open.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NewType, Protocol

from runink.errors import Unavailable
from runink.syncing import sync_place

FileHandle = NewType("FileHandle", int)

FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})  # more space, and the call works
_FILE_MODE: Final = 0o600  # the state of a cluster is nobody else's to read
_DIRECTORY_MODE: Final = 0o700


class Disk(Protocol):
    """A locked directory; see the module for what each implementation promises."""

    @property
    def where(self) -> str:
        """The directory, for messages to people."""
        ...

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        ...

    def open(self, name: str, *, create: bool = False) -> FileHandle: ...

    def close(self, handle: FileHandle) -> None: ...

    def read(self, name: str) -> bytes:
        """Return a whole file."""
        ...

    def size(self, name: str) -> int: ...

    def pread(self, handle: FileHandle, length: int, offset: int) -> bytes:
        """Return `length` bytes from `offset`; fewer only where the file ends."""
        ...

    def pwrite(self, handle: FileHandle, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`, or raise OSError; then any part of it may have been written."""
        ...

    def fdatasync(self, handle: FileHandle) -> None: ...

    def fsync_directory(self) -> None: ...

    def rename(self, source: str, target: str) -> None: ...

    def remove(self, name: str) -> None: ...

    def free_bytes(self) -> int: ...

    def shut(self) -> None:
        """Give the directory free. Handles that are still open stay their owner's to close."""
        ...


def disk_full(where: str) -> Unavailable:
    """Return the error for a disk without room: nothing was changed, and it works again when there is room."""
    return Unavailable(
        f"no space left on the disk of {where}: nothing is written there until there is",
        code="disk_full",
        hint="free some space there; it goes on by itself then",
    )


@contextmanager
def telling_full(where: str) -> Iterator[None]:
    """Tell an error for want of space as `disk_full`; every other one passes."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_ERRNOS:
            raise disk_full(where) from error
        raise


def _make_directory(path: Path) -> None:
    """Make a directory where it is missing, and those above it; each has its name on disk when this returns."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    for made in missing:
        sync_place(made.parent)


class RealDisk:
    """A directory of this machine; made where it is missing, locked until `shut`."""

    def __init__(self, path: Path) -> None:
        """Open and lock the directory. Raises Unavailable (`storage_locked`) where another process has it."""
        self._path = path
        _make_directory(path)
        self._directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._directory)
            raise Unavailable(
                f"{path} is in use by another process",
                code="storage_locked",
                hint="stop the other `runi up`, or use another directory",
            ) from None

    @property
    def where(self) -> str:
        return str(self._path)

    def names(self) -> list[str]:
        return sorted(path.name for path in self._path.iterdir())

    def open(self, name: str, *, create: bool = False) -> FileHandle:
        flags = os.O_RDWR | (os.O_CREAT if create else 0)
        return FileHandle(os.open(name, flags, _FILE_MODE, dir_fd=self._directory))

    def close(self, handle: FileHandle) -> None:
        os.close(handle)

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def size(self, name: str) -> int:
        return (self._path / name).stat().st_size

    def pread(self, handle: FileHandle, length: int, offset: int) -> bytes:
        pieces = [os.pread(handle, length, offset)]
        read = len(pieces[0])
        while read < length and pieces[-1]:  # ends: every round reads at least a byte, or the end
            pieces.append(os.pread(handle, length - read, offset + read))
            read += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def pwrite(self, handle: FileHandle, data: bytes, offset: int) -> None:
        written = os.pwrite(handle, data, offset)
        while written < len(data):  # ends: every round writes at least a byte or raises
            more = os.pwrite(handle, data[written:], offset + written)
            if more == 0:
                raise OSError(errno.EIO, "the disk takes no more bytes and does not say why")
            written += more

    def fdatasync(self, handle: FileHandle) -> None:
        os.fdatasync(handle)

    def fsync_directory(self) -> None:
        os.fsync(self._directory)

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def remove(self, name: str) -> None:
        os.unlink(name, dir_fd=self._directory)

    def free_bytes(self) -> int:
        facts = os.fstatvfs(self._directory)
        return facts.f_bavail * facts.f_frsize

    def shut(self) -> None:
        os.close(self._directory)
