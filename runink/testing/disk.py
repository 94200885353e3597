"""A disk in memory that does what real disks do on a bad day, when a test says so.

It keeps what programs see and what would survive apart: every change is *pending* until it is synced (a write by `fdatasync` of its file, a name
by `fsync_directory`).  `crash` returns the disk that the next process finds: what was synced, and of the pending changes whatever the caller
chose.  Everything happens in the calling thread, and equal calls give equal disks.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Any

import anyio.lowlevel

from runink.storage.disk import FileHandle

SPACE_BYTES = 64 << 20  # more than any test writes
SECTOR_BYTES = 512  # what a disk writes as a whole; the order of sectors is its own


@dataclass(slots=True, eq=False)
class _File:
    """One file's bytes as programs see them, as synced, and the writes between the two, in order: those that a sync will put on disk, and those
    that a failed one has given up, though programs still see them.
    """

    seen: bytearray = field(default_factory=bytearray)
    synced: bytearray = field(default_factory=bytearray)
    given_up: list[tuple[int, bytes]] = field(default_factory=list)
    pending: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def unsure(self) -> list[tuple[int, bytes]]:
        """The writes that a power cut may undo."""
        return [*self.given_up, *self.pending]


def _put(target: bytearray, offset: int, data: bytes) -> None:
    if offset > len(target):
        target.extend(bytes(offset - len(target)))
    target[offset : offset + len(data)] = data


def _overlap(write: tuple[int, bytes], offset: int, data: bytes) -> bool:
    return write[0] < offset + len(data) and offset < write[0] + len(write[1])


class Cut(Exception):
    """The process ended here (`FaultyDisk.cut_after`)."""


class FaultyDisk:
    """A `Disk` in memory. Tests set `space_bytes`, `sync_error` and `before`, and call `crash` and `flip`."""

    def __init__(self, *, space_bytes: int = SPACE_BYTES) -> None:
        self.space_bytes = space_bytes
        self.sync_error: int | None = None  # the errno that every sync fails with
        self.before: Callable[[str], object] = str  # called with the name of each change to come
        self._names: dict[str, _File] = {}
        self._synced_names: dict[str, _File] = {}
        self._pending_names: list[dict[str, _File]] = []  # the directory after each change
        self._handles: dict[FileHandle, _File] = {}
        self._handles_made = 0

    @property
    def where(self) -> str:
        return "memory"

    def names(self) -> list[str]:
        return sorted(self._names)

    def open(self, name: str, *, create: bool = False) -> FileHandle:
        if name not in self._names:
            if not create:
                raise FileNotFoundError(errno.ENOENT, "no such file", name)
            self.before("create")
            self._names[name] = _File()
            self._pending_names.append(dict(self._names))
        self._handles_made += 1
        handle = FileHandle(self._handles_made)
        self._handles[handle] = self._names[name]
        return handle

    def close(self, handle: FileHandle) -> None:
        del self._handles[handle]

    def read(self, name: str) -> bytes:
        return bytes(self._names[name].seen)

    def size(self, name: str) -> int:
        return len(self._names[name].seen)

    def pread(self, handle: FileHandle, length: int, offset: int) -> bytes:
        return bytes(self._handles[handle].seen[offset : offset + length])

    def pwrite(self, handle: FileHandle, data: bytes, offset: int) -> None:
        self.before("pwrite")
        file = self._handles[handle]
        fits = max(0, len(file.seen) + max(0, self.free_bytes()) - offset)
        kept = data[
            :fits
        ]  # a disk without room takes what it can, and what is there can be overwritten
        _put(file.seen, offset, kept)
        file.pending.append((offset, kept))
        if len(kept) < len(data):
            raise OSError(errno.ENOSPC, "no space left on device")

    def fdatasync(self, handle: FileHandle) -> None:
        self.before("fdatasync")
        file = self._handles[handle]
        try:
            self._fail_sync()
        except OSError:
            file.given_up += file.pending
            raise
        else:
            for offset, data in file.pending:
                _put(file.synced, offset, data)
                file.given_up = [one for one in file.given_up if not _overlap(one, offset, data)]
        finally:
            file.pending.clear()

    def fsync_directory(self) -> None:
        self.before("fsync_directory")
        self._fail_sync()
        self._synced_names = dict(self._names)
        self._pending_names.clear()

    def rename(self, source: str, target: str) -> None:
        self.before("rename")
        self._names[target] = self._names.pop(source)
        self._pending_names.append(dict(self._names))

    def remove(self, name: str) -> None:
        self.before("remove")
        del self._names[name]
        self._pending_names.append(dict(self._names))

    def free_bytes(self) -> int:
        return self.space_bytes - sum(len(file.seen) for file in self._names.values())

    def shut(self) -> None:
        assert not self._handles, "files were left open"

    def flip(self, name: str, *, bit: int) -> None:
        """Turn one bit of a file over, for programs and for what survives."""
        file = self._names[name]
        file.seen[bit // 8] ^= 1 << bit % 8
        file.synced = bytearray(file.seen)
        file.given_up.clear()
        file.pending.clear()

    def pending_bytes(self) -> int:
        """How many bytes of writes would not be sure to survive now."""
        return sum(len(data) for file in self._names.values() for _, data in file.unsure)

    def cut_after(self, operations: int) -> None:
        """Have the change behind so many raise Cut, and every one behind that."""
        left = operations

        def cut(operation: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Cut(operation)

        self.before = cut

    def crash(self, *, kept_bytes: int = 0) -> FaultyDisk:
        """Return what is found after a power cut that kept this many bytes of the pending writes, in their order.

        Names follow the writes: none of the pending changes to the directory survives, unless all bytes do.
        """
        left = kept_bytes

        def keep(file: _File) -> bytearray:
            nonlocal left
            content = bytearray(file.synced)
            for offset, data in file.unsure:
                _put(content, offset, data[:left])
                left -= min(left, len(data))
            return content

        names = self._names if kept_bytes >= self.pending_bytes() > 0 else self._synced_names
        return self._survivor(names, keep)

    def crash_at_random(self, random: Random) -> FaultyDisk:
        """Return what is found after a power cut that kept any sectors of the pending writes, and any first few changes of names."""

        def keep(file: _File) -> bytearray:
            content = bytearray(file.synced)
            for offset, data in file.unsure:
                for begin in range(0, len(data), SECTOR_BYTES):
                    if random.random() < 0.5:
                        _put(content, offset + begin, data[begin : begin + SECTOR_BYTES])
            return content

        return self._survivor(random.choice([self._synced_names, *self._pending_names]), keep)

    def killed(self) -> FaultyDisk:
        """Return what is found after only the process died: everything that was written is seen, and no surer to survive than before."""
        disk = FaultyDisk(space_bytes=self.space_bytes)
        files = {id(file): deepcopy(file) for file in self._files()}

        def same(names: dict[str, _File]) -> dict[str, _File]:
            return {name: files[id(file)] for name, file in names.items()}

        disk._names = same(self._names)
        disk._synced_names = same(self._synced_names)
        disk._pending_names = [same(names) for names in self._pending_names]
        return disk

    def _files(self) -> Iterator[_File]:
        """Yield every file that has a name, or may have one after a power cut."""
        for names in (self._names, self._synced_names, *self._pending_names):
            yield from names.values()

    def _survivor(self, names: dict[str, _File], keep: Callable[[_File], bytearray]) -> FaultyDisk:
        disk = FaultyDisk(space_bytes=self.space_bytes)
        for name, file in sorted(names.items()):
            content = keep(file)
            disk._names[name] = _File(content, bytearray(content))
        disk._synced_names = dict(disk._names)
        return disk

    def _fail_sync(self) -> None:
        if self.sync_error is not None:
            raise OSError(self.sync_error, "the disk failed")


async def in_loop(function: Callable[..., Any], *args: Any) -> Any:
    """Run a blocking function right here, in place of a worker thread: virtual time would run past a thread."""
    await anyio.lowlevel.checkpoint()
    return function(*args)
