"""Archives that the kernel unpacks as its first root file system: cpio in the `newc` form.

    offset  bytes  what
    0       6      070701
    6       8 * 13 inode, mode, uid, gid, links, mtime, bytes of content, device of the file (major, minor), device that it
                   is (major, minor), bytes of the name with its zero, checksum (none here); each in eight hex digits
    110            the name with its zero, filled up to four bytes; the content, filled up to four bytes

Everything belongs to root, whoever made the archive.  A folder is written once, before what is in it: the kernel makes no folder by
itself, and it would replace a link to a folder by a folder.
"""

from __future__ import annotations

import stat
from pathlib import PurePosixPath
from typing import BinaryIO, Self


class Archive:
    """An archive that is being written. Paths are absolute paths in the machine; `with` ends it."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._folders = {PurePosixPath("/")}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._write("TRAILER!!!", 0, b"", 0)

    def folder(self, path: PurePosixPath, mode: int = 0o755) -> None:
        """Make a folder and those above it, where they are not there."""
        if path not in self._folders:
            self.folder(path.parent)
            self._folders.add(path)
            self._write(path, stat.S_IFDIR | mode, b"", 0)

    def file(
        self, path: PurePosixPath, content: bytes, *, mode: int = 0o644, mtime: int = 0
    ) -> None:
        self.folder(path.parent)
        self._write(path, stat.S_IFREG | mode, content, mtime)

    def link(self, path: PurePosixPath, target: str) -> None:
        """Make a symbolic link."""
        self.folder(path.parent)
        self._write(path, stat.S_IFLNK | 0o777, target.encode(), 0)

    def _write(self, path: PurePosixPath | str, mode: int, content: bytes, mtime: int) -> None:
        name = str(path).lstrip("/").encode() + b"\0"
        links = 1  # of two, the kernel would look for the other
        fields = (0, mode, 0, 0, links, mtime, len(content), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
        for part in (head, content):
            self._target.write(part + bytes(-len(part) % 4))
