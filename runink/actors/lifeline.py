"""The end of a slice's control socket: nobody is left who would want its result, so it is cancelled, and ends by force where that takes longer than END_S.

The kernel says so, by SIGIO: to begin a thread that waits for it, for each slice and nearly always for nothing, was a fifteenth of what a small one costs.  The handler runs in the main thread, as that of
SIGTERM does, which waits for the strands there; only then a thread is begun, for the end by force.

In a cell with walls nothing depends on it: when the spawner ends, the kernel ends all that is in its pid namespace.  Of plain slices whose fork server ends with it, one whose main thread is
in a call that no signal interrupts is cancelled when that returns, and one whose step takes SIGIO for itself ends when it cannot report.  The kernel tells this process alone: children that have the
socket open hear nothing.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # private; the functions of signal itself look each number's name up
import _thread
import fcntl
import os
import select
import signal
import sys
import time
from typing import Final

END_S: Final = 5.0  # for a slice that nobody waits for any more; a batch takes far less
EXIT_UNWANTED: Final = 1

# Looked up beforehand: a slice that looks for them in their modules has pages copied for each.
_set_signal, _fcntl, _write, _pid = _signal.signal, fcntl.fcntl, os.write, os.getpid
_SAID: Final = int(signal.SIGIO)
_OWNER, _SET, _GET, _SAYS = fcntl.F_SETOWN, fcntl.F_SETFL, fcntl.F_GETFL, os.O_ASYNC


def end_with(control: int) -> None:
    """From now on end this process when the socket has ended, by SIGTERM and then by force. To be called in the main thread. Raises OSError."""
    _set_signal(_SAID, lambda _number, _frame: _look(control))
    _fcntl(control, _OWNER, _pid())
    _fcntl(control, _SET, _fcntl(control, _GET) | _SAYS)
    try:
        # Fails where the socket had ended before, which nobody says; to ask as _has_ended does is ten pages more.
        _write(control, b"")
    except ConnectionError:
        os.kill(_pid(), _SAID)


def rehearse(control: int) -> None:
    """Do what `end_with` does with a socket that has not ended, and undo it. Raises OSError."""
    before = _signal.getsignal(_SAID)
    end_with(control)
    _fcntl(control, _SET, _fcntl(control, _GET) & ~_SAYS)
    _set_signal(_SAID, before)


def _look(control: int) -> None:
    """Begin the end where there is one: the kernel says the same when something has come."""
    if _has_ended(control):
        _set_signal(_SAID, _signal.SIG_IGN)  # once is enough
        _thread.start_new_thread(_end, ())


def _has_ended(control: int) -> bool:
    poll = select.poll()
    poll.register(control, select.POLLRDHUP)
    return bool(poll.poll(0))


def _end() -> None:
    """Cancel what runs, as the agent does, and end the process where that takes too long. In a thread of its own."""
    print("nobody waits for this slice any more: it ends", file=sys.stderr)  # noqa: T201 - into its log, if anybody reads that
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(END_S)
    os._exit(EXIT_UNWANTED)
