"""Ranges of user ids, one for a herd on a node: claimed for as long as the spawner lives, across all spawners of the machine.

The ranges are RANGES pieces of IDS ids from FIRST on, which systemd's list of id ranges leaves to nobody (https://systemd.io/UIDS-GIDS/).  A claim is a lock on a file of a
folder that all spawners share; the kernel drops it with the process, so nothing is left to be cleaned.  The first piece is the zygotes'.
"""

from __future__ import annotations

import errno
import fcntl
import os
import zlib
from typing import Final

from runink.sandbox.namespaces import IDS

FIRST: Final = 0x7000_0000
RANGES: Final = 4000
HERDS_MAX: Final = (
    1000  # of one spawner: its agent names them, and other spawners of the machine need ranges too
)
ZYGOTE: Final = FIRST
FOLDER: Final = "/run/runink/ids"


class Ranges:
    """The ranges of one spawner. `folder` is where the machine's claims lie."""

    def __init__(self, folder: str = FOLDER) -> None:
        self._folder = folder
        self._first: dict[str, int] = {}
        self._claims: list[int] = []

    def of(self, herd: str) -> int:
        """Return the first id of the herd's range. Raises OSError where none is free, this spawner has too many, or the folder cannot be written."""
        if herd not in self._first:
            if len(self._first) >= HERDS_MAX:
                text = f"{HERDS_MAX} herds have had slices here since the spawner was started"
                raise OSError(errno.EAGAIN, text)
            self._first[herd] = self._claim(herd)
        return self._first[herd]

    def _claim(self, herd: str) -> int:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - the sandbox does without pathlib
        # A herd tends to get the same range again, which makes what it left in logs of the machine readable.
        start = zlib.crc32(herd.encode())
        for step in range(RANGES - 1):
            number = 1 + (start + step) % (RANGES - 1)
            if self._lock(f"{self._folder}/{number}"):
                return FIRST + number * IDS
        raise OSError(errno.EAGAIN, f"all {RANGES - 1} ranges of {self._folder} are taken")

    def _lock(self, path: str) -> bool:
        claim = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(claim)
            return False
        self._claims.append(claim)
        return True
