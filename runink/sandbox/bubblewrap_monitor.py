"""Bubblewrap's own process, of a slice that it closes off: it stays outside, waits for the slice's first process, and ends as that does."""

from __future__ import annotations

import os
from typing import Final

COMPLAINT_BYTES_MAX: Final = 2000  # of what it says, and what is told of it


class Monitor:
    """What it complains of, on its standard error, until the slice begins. `complaints` is the pipe's reading end, ours to close from here on."""

    def __init__(self, complaints: int) -> None:
        self._complaints = complaints
        os.set_blocking(complaints, False)

    def complained(self) -> str:
        """Return what it has said; nothing once that is closed."""
        if self._complaints < 0:
            return ""
        try:
            said = os.read(self._complaints, COMPLAINT_BYTES_MAX)
        except BlockingIOError:
            return ""
        return said.decode(errors="replace").strip()

    def close(self) -> None:
        if self._complaints >= 0:
            os.close(self._complaints)
            self._complaints = -1


def first_process(monitor: int) -> int:
    """Return a pidfd of the one child of bubblewrap's own process. Raises OSError."""
    pid = _child_of(monitor)
    pidfd = os.pidfd_open(pid)
    # It is not reaped as long as it is listed, so then the number was its own when it was opened.
    if _child_of(monitor) != pid:
        os.close(pidfd)
        raise ProcessLookupError(f"process {pid} is not bubblewrap's any more")
    return pidfd


def _child_of(monitor: int) -> int:
    with open(f"/proc/{monitor}/task/{monitor}/children", encoding="ascii") as listing:  # noqa: PTH123 - the sandbox does without pathlib
        found = listing.read().split()
    if len(found) != 1:
        raise ProcessLookupError(f"bubblewrap has {len(found)} children")
    return int(found[0])
