"""Who has an environment: a lock for a moment's decision, leases for as long as it is used. Both are the kernel's, so no crash leaves them behind.

A lock's file may be removed by its holder alone, so who has locked one makes sure that the file still has its name.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
_MODE = 0o600


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """Lock a file that is made if it is not there, and return its descriptor; nothing while somebody else has it.

    Those who share it keep out who wants it alone.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        descriptor = os.open(path, _FLAGS, _MODE)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            if _has_name(descriptor, path):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # removed by who had it before us: its successor is another file


def new_lease(folder: Path, key: str) -> int:
    """Begin a use of `key`, and return the descriptor that holds it. Only who has the key's lock may ask."""
    path = folder / f"{key}.{os.urandom(8).hex()}"
    descriptor = os.open(path, _FLAGS | os.O_EXCL, _MODE)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def is_used(folder: Path, key: str) -> bool:
    """Say whether anybody holds a lease of `key`, and take away those that nobody holds any more. Only who has the key's lock may ask."""
    used = False
    for path in folder.glob(f"{key}.*"):
        descriptor = try_lock(path)
        if descriptor is None:
            used = True
            continue
        path.unlink()
        os.close(descriptor)
    return used


def drop_lock(path: Path, descriptor: int) -> None:
    """Give up a lock that we hold, and take its file away."""
    with suppress(FileNotFoundError):
        path.unlink()
    os.close(descriptor)


def _has_name(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
