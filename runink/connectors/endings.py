"""How a file is compressed, by the end of its path: `.gz`, `.zst`. Known without loading what unpacks it."""

from __future__ import annotations

from enum import Enum


class Compression(Enum):
    GZIP = ".gz"
    ZSTD = ".zst"


def compression_of(path: str) -> Compression | None:
    """Return how a file of that name is compressed, or nothing."""
    return next((kind for kind in Compression if path.endswith(kind.value)), None)
