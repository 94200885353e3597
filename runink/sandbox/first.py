"""What an entry does that is its cell's first process, number 1 in its own pid namespace.  Its module says so (`birth.REAPS`); most cells' slices are such (`cell.py`).

What a first process must know
- The kernel ignores every signal that it has no handler for, from wherever that comes but SIGKILL and SIGSTOP from outside.  So those by which it is told to end, or that it is to
  (WAITING) wait until it has its handlers, and calls `let_in`.
- Orphans of the slice become its children.  Nothing tells them from children of its own whose parent was a thread that has ended, and to reap such a one would take
  its exit code from who waits for it.  So they are reaped only when there are many (ORPHANS): what has ended costs nothing but its number, of which a slice has a limited count.
- Children of this thread that were there before (an import may have started them) are somebody's: where there are any, nobody is reaped.
- SIGABRT that it sends itself is ignored once; `abort` then ends it by SIGSEGV.  SIGKILL that it sends itself is seen to by the filter (`seccomp.py`).
"""

from __future__ import annotations

import os
import signal
from typing import Final

from runink.sandbox.kernel import NO_SIGNALS, children, mask, signal_set
from runink.sandbox.protocol import TOLD

FIRST: Final = 1
WAITING: Final = signal_set(signal.SIGTERM, signal.SIGINT, TOLD)
ORPHANS: Final = 32  # children at a time that are left alone
_WNOTHREAD: Final = 0x20000000  # of linux/wait.h: those of this thread only


def let_in() -> Orphans | None:
    """Let signals in, whose handlers are there, and return what reaps; nothing in a process that is no first one."""
    mask(NO_SIGNALS)
    return Orphans() if os.getpid() == FIRST else None


class Orphans:
    """What the main thread of a first process does now and then, when it waits itself."""

    def __init__(self) -> None:
        self._are_ours: bool | None = None

    def reap(self) -> None:
        """Reap those that have ended, if there are many. What there is the first time is not ours to reap, nor is what comes then."""
        if self._are_ours is None:
            self._are_ours = not _has_any()
        elif self._are_ours and len(children()) > ORPHANS:
            while _reap_one():
                pass


def _has_any() -> bool:
    """Say whether this thread has children."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WNOTHREAD)
    except ChildProcessError:
        return False
    return True


def _reap_one() -> bool:
    """Reap a child of this thread that has ended. False if there is none."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | _WNOTHREAD) is not None
    except ChildProcessError:
        return False
