"""Files for their owner alone: keys. They are made whole or not at all, and not read where others may read them, too."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from runink.errors import Refused
from runink.syncing import sync_place

FOLDER_MODE: Final = 0o700
FILE_BYTES_MAX: Final = 64 << 10


def make_private_folder(folder: Path) -> None:
    """Make a folder for its owner alone; one that is there stays as it is. Raises OSError."""
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def read_private(path: Path, *, code: str, harm: str = "has its owner's rights") -> bytes:
    """Return what is in the file. Raises Refused (`code`) if others may read it, saying what whoever has it can do (`harm`), OSError, also for a link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
            text = f"{path} can be read by others, and whoever has it {harm}"
            raise Refused(text, code=code, hint=f"chmod 600 {path}")
        return file.read(FILE_BYTES_MAX)


def create_private(path: Path, content: bytes) -> bool:
    """Make the file if there is none, and say whether we did. Raises OSError."""
    aside = _written_aside(path, content)
    try:
        os.link(aside, path)
    except FileExistsError:
        return False
    finally:
        aside.unlink()
    sync_place(path.parent)
    return True


def replace_private(path: Path, content: bytes) -> None:
    """Have this in the file, or what was there before. Raises OSError."""
    aside = _written_aside(path, content)
    try:
        aside.rename(path)
    except BaseException:
        aside.unlink()
        raise
    sync_place(path.parent)


def _written_aside(path: Path, content: bytes) -> Path:
    """Return a file beside the path that holds the content, and is on the disk."""
    aside = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(aside, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        aside.unlink()
        raise
    return aside
