"""A herd's key for masks, until secrets keep it: 32 random bytes in `keys/HERD.key` of the node's state, as 64 hexadecimal digits, for its owner alone.

A node that has none makes one.  The same key must be on each node of a cluster, and survive the state, or equal values have different hashes: so it is a file
that can be copied and kept.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

import msgspec

from runink.errors import Refused
from runink.names import HerdName
from runink.private_files import create_private, make_private_folder, read_private


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
_KEY: Final = re.compile(r"\s*([0-9A-Fa-f]{64})\s*")


def masking_key(state: Path, herd: HerdName) -> MaskingKey:
    """Return the herd's key, made now if there is none. Raises Refused for a file that others may read or that holds no key, OSError."""
    folder = state / FOLDER
    make_private_folder(folder)
    path = folder / f"{herd}.key"
    try:
        return _read(path)
    except FileNotFoundError:
        create_private(path, os.urandom(KEY_BYTES).hex().encode() + b"\n")
        return _read(path)  # ours, or that of another process, which was there first


def _read(path: Path) -> MaskingKey:
    content = read_private(path, code="mask_key", harm="can try out what was masked")
    found = _KEY.fullmatch(content.decode(errors="replace"))
    if found is None:
        raise Refused(
            f"{path} holds no key: 64 hexadecimal digits",
            code="mask_key",
            hint="put the key back from where it was kept; without the file a new one is made, by which equal values get other hashes",
        )
    return MaskingKey(bytes.fromhex(found[1]))
