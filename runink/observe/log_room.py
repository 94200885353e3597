"""Whether the disk has room for logs: they leave free what the node keeps for its system, because the cluster's own state mostly lies on the same disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

LOOK_S: Final = 1.0  # in which a whole node's slices print `log_pace.NODE_BYTES` at most
PART_MAX: Final = (
    20  # a twentieth: on a small disk what is kept for a large one would leave no room at all
)


class Room:
    """The room on a folder's disk beyond the bytes that are kept. May be asked by several threads."""

    def __init__(
        self,
        folder: Path,
        kept_bytes: int,
        *,
        now_s: Callable[[], float] = time.monotonic,
        look: Callable[[Path], os.statvfs_result] = os.statvfs,
    ) -> None:
        self._folder = folder
        self._kept_bytes = kept_bytes
        self._now_s = now_s
        self._look = look
        self._looked_s = float("-inf")
        self._is_left = True

    def is_left(self) -> bool:
        """Say whether there is any, as of a moment ago; also where nobody can tell."""
        now_s = self._now_s()
        if now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            self._is_left = self._has_room()
        return self._is_left

    def _has_room(self) -> bool:
        try:
            disk = self._look(self._folder)
        except OSError:
            return True
        kept_bytes = min(self._kept_bytes, disk.f_blocks * disk.f_frsize // PART_MAX)
        return disk.f_bavail * disk.f_frsize >= kept_bytes
