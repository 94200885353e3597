"""Lock files: of several commands that change one file of a person's, each finds what the one before has made.

The file itself cannot be locked, as it is replaced by each change.  A lock ends with its process, however that ends; the lock file stays.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runink.errors import TimedOut

LOOK_S: Final = 0.05  # between two tries


@contextmanager
def locked_file(path: Path, *, within_s: float, busy: TimedOut) -> Iterator[None]:
    """Have a lock file to oneself; it is made where there is none. Raises `busy` where another process holds it for longer than `within_s`, and OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    until_s = time.monotonic() + within_s
    try:
        while not _lock(descriptor):  # ends with the lock, or with the time
            if time.monotonic() >= until_s:
                raise busy
            time.sleep(LOOK_S)
        yield
    finally:
        os.close(descriptor)  # and with it the lock


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
