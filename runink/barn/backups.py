"""Backups: the state of one moment, handed out in parts, and the file that they make.

    offset  bytes  what (big-endian)
         0      8  magic `RNKBAK01`; the last two digits are the format's version
         8     32  SHA-256 of the body
        40      8  bytes of the body
        48         the body: an image (`image.py`)

A backup is begun with a picture of the state, which costs next to nothing and does not change; its parts are asked for one after the other, the same one again
if its answer was lost.  One that nobody asks for is forgotten after IDLE_S.

A restored state is that of a *new* cluster; see `refounding.py`.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from runink.barn import image
from runink.barn.image import Image
from runink.errors import Broken, NotFound, Overloaded

MAGIC: Final = b"RNKBAK01"
HEADER_BYTES: Final = 48
PART_BYTES: Final = 1 << 20  # some 10 ms of encoding
BACKUPS_MAX: Final = 2  # each keeps a picture of the state in memory
IDLE_S: Final = 60.0  # longer than a client takes to ask for the next part

_HEAD: Final = struct.Struct(">8s32sQ")


class _Backup:
    def __init__(self, state: Image, now_s: float) -> None:
        self.chunks = image.encode(state)
        self.asked_s = now_s
        self.part = -1
        self.data = b""
        self.is_last = False

    def next(self) -> None:
        """Make the next part."""
        parts: list[bytes] = []
        size = 0
        self.is_last = True
        for chunk in self.chunks:
            parts.append(chunk)
            size += len(chunk)
            if size >= PART_BYTES:
                self.is_last = False
                break
        self.part += 1
        self.data = b"".join(parts)


class Backups:
    """The backups under way, by number."""

    def __init__(self) -> None:
        self._backups: dict[int, _Backup] = {}
        self._count = 0

    def begin(self, state: Image, *, now_s: float) -> int:
        """Begin a backup and return its number. Raises Overloaded (`too_many_backups`)."""
        idle = [number for number, one in self._backups.items() if now_s - one.asked_s > IDLE_S]
        for number in idle:
            del self._backups[number]
        if len(self._backups) >= BACKUPS_MAX:
            raise Overloaded(
                f"{BACKUPS_MAX} backups are under way already",
                code="too_many_backups",
                hint="wait until one has ended",
            )
        self._count += 1
        self._backups[self._count] = _Backup(state, now_s)
        return self._count

    def part(self, number: int, part: int, *, now_s: float) -> tuple[bytes, bool]:
        """Return the next part, or the last one again, and whether it is the last of all. Raises NotFound (`backup_gone`)."""
        backup = self._backups.get(number)
        if backup is None or part not in (backup.part, backup.part + 1) or part < 0:
            raise NotFound(
                f"part {part} of backup {number} is not there any more",
                code="backup_gone",
                hint="begin the backup anew",
            )
        if part > backup.part:
            if backup.is_last:
                raise NotFound(f"backup {number} has ended", code="backup_gone")
            backup.next()
        backup.asked_s = now_s
        return backup.data, backup.is_last


def header_of(digest: bytes, body_bytes: int) -> bytes:
    """Return the first bytes of a file with a body of this SHA-256 and length."""
    return _HEAD.pack(MAGIC, digest, body_bytes)


def verified(data: bytes, *, where: str) -> Image:
    """Return the state that a file holds. Raises Broken (`backup_corrupt`, `snapshot_version`) for one that is not what was written."""
    if len(data) < HEADER_BYTES or data[: len(MAGIC)] != MAGIC:
        raise _corrupt(
            where, "it is no backup of a Barn, or of a format that this version does not know"
        )
    _, digest, length = _HEAD.unpack_from(data)
    body = memoryview(data)[HEADER_BYTES:]
    if len(body) != length:
        raise _corrupt(where, f"it has {len(body)} bytes of {length}")
    if hashlib.sha256(body).digest() != digest:
        raise _corrupt(where, "its SHA-256 is not the one that was written with it")
    return image.decode(body)


def _corrupt(where: str, text: str) -> Broken:
    return Broken(f"{where}: {text}", code="backup_corrupt", hint="take another backup")
