"""A herd's key for masks, until secrets keep it: 32 random bytes in `keys/HERD.key` of the node's state, as 64 hexadecimal digits, for its owner alone.

A node that has none makes one.  The same key must be on each node of a cluster, and survive the state, or equal values have different hashes: so it is a file
that can be copied and kept.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any, Final

import msgspec

from runink.errors import Refused
from runink.names import HerdName
from runink.syncing import sync_place


class MaskingKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A herd's key on its way to a slice. No `repr` shows it."""

    data: bytes = b""

    def __repr__(self) -> str:
        return "MaskingKey(***)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("data", "***")]


NO_KEY: Final = MaskingKey()
FOLDER: Final = "keys"
KEY_BYTES: Final = 32
FILE_BYTES_MAX: Final = 1 << 10
_KEY: Final = re.compile(r"\s*([0-9A-Fa-f]{64})\s*")


def masking_key(state: Path, herd: HerdName) -> MaskingKey:
    """Return the herd's key, made now if there is none. Raises Refused for a file that others may read or that holds no key, OSError."""
    folder = state / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{herd}.key"
    try:
        return _read(path)
    except FileNotFoundError:
        _make(path)
        return _read(path)


def _read(path: Path) -> MaskingKey:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise Refused(
                f"{path} can be read by others, and whoever has it can try out what was masked",
                code="mask_key",
                hint=f"chmod 600 {path}",
            )
        found = _KEY.fullmatch(file.read(FILE_BYTES_MAX).decode(errors="replace"))
    if found is None:
        raise Refused(
            f"{path} holds no key: 64 hexadecimal digits",
            code="mask_key",
            hint="put the key back from where it was kept; without the file a new one is made, by which equal values get other hashes",
        )
    return MaskingKey(bytes.fromhex(found[1]))


def _make(path: Path) -> None:
    """Make a key whole or not at all: a file that is there already, of another process, stays."""
    aside = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(aside, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(KEY_BYTES).hex().encode() + b"\n")
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(aside, path)
        except FileExistsError:
            return
    finally:
        aside.unlink()
    sync_place(path.parent)
