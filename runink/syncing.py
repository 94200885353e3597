"""What is to be on the disk before anybody relies on it."""

from __future__ import annotations

import os
from pathlib import Path


def sync_place(path: Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
