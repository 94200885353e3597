"""A disk with a file system of its own, made of files: ext4, which the kernel has built in and which can be shown with other owners' ids.

Its files are laid out in a folder beside it first, and mke2fs copies them.  Everything on it belongs to root, whoever makes it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from debian_packages import PATH, CannotMake

FREE_BYTES = 512 << 20  # for what tests write; the file has holes there
INODES_FREE = 1 << 15
BLOCK_BYTES = 4096
# No journal: the disk lives as long as one boot.  All of its tables at once: the kernel would go on writing them behind the tests.
LAYOUT = ("-t", "ext4", "-O", "^has_journal,^resize_inode", "-m", "0", "-b", str(BLOCK_BYTES))
EXTENDED = "lazy_itable_init=0,discard"
FORMAT_S = 120
# Who is not root has its files taken for root's in a namespace where it is.
AS_ROOT = ("unshare", "--map-root-user")


class Disk:
    """A disk that is being filled. Paths are absolute paths in the machine; `with` writes it to `target`, unless something fails."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._folder = target.resolve().with_name(f"{target.name}.files")
        self._bytes = 0
        self._inodes = 0

    def __enter__(self) -> Self:
        self._folder.mkdir()
        self._folder.chmod(0o755)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._write()
        shutil.rmtree(self._folder)

    def folder(self, path: PurePosixPath, mode: int = 0o755) -> None:
        """Make a folder and those above it, where they are not there."""
        if path.parent == path:
            return
        place = self._place(path)
        if not place.is_dir():
            self.folder(path.parent)
            place.mkdir()
            place.chmod(mode)
            self._count(BLOCK_BYTES)

    def file(self, path: PurePosixPath, content: bytes, *, mode: int = 0o644) -> None:
        self.folder(path.parent)
        place = self._place(path)
        place.unlink(missing_ok=True)
        place.write_bytes(content)
        place.chmod(mode)
        self._count(len(content))

    def link(self, path: PurePosixPath, target: str) -> None:
        """Make a symbolic link."""
        self.folder(path.parent)
        place = self._place(path)
        place.unlink(missing_ok=True)
        place.symlink_to(target)
        self._count(0)

    def _place(self, path: PurePosixPath) -> Path:
        """Return where it lies here. Raises ValueError where a link of the disk's would lead out of it."""
        place = self._folder / path.relative_to("/")
        place.parent.resolve().relative_to(self._folder)
        return place

    def _count(self, size: int) -> None:
        self._bytes += -(-size // BLOCK_BYTES) * BLOCK_BYTES
        self._inodes += 1

    def _write(self) -> None:
        size = int(self._bytes * 1.05) + FREE_BYTES
        inodes = self._inodes + INODES_FREE
        command = ["mke2fs", "-q", "-F", *LAYOUT, "-E", EXTENDED, "-N", str(inodes)]
        command += ["-d", str(self._folder), str(self._target), f"{size >> 10}k"]
        done = subprocess.run(
            [*(AS_ROOT if os.geteuid() else ()), *command],
            env={**os.environ, "PATH": PATH},
            capture_output=True,
            text=True,
            check=False,
            timeout=FORMAT_S,
        )
        if done.returncode:
            raise CannotMake(f"{' '.join(command)} failed: {done.stderr}")
