"""The first process of a cell, number 1 in its own pid namespace: reaps, forwards signals, and takes everything with it when it ends.

    what happens                       what it does
    a signal of FORWARDED comes        sends it to the worker
    a child has ended                  reaps it; orphans of the slice become its children too
    the worker has ended               says `worked` with how, and ends: the kernel then ends all that the slice has left
    the spawner's socket ends          ends

A first process ignores every signal that it has no handler for, and the kernel hides from others how it was ended from inside: hence `worked`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from typing import Final, NoReturn

from runink.sandbox import codec
from runink.sandbox.birth import EXIT_EXCEPTION
from runink.sandbox.inner_protocol import Worked
from runink.sandbox.kernel import (
    mask,
    name_process,
    reaped,
    signal_set,
    signals_read,
    signals_read_by,
)

FORWARDED: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGQUIT,
    signal.SIGCONT,
)
HEARD: Final = signal_set(signal.SIGCHLD, *FORWARDED)
_POLL_MS: Final = 60_000  # only so that no wait is without end; every event wakes us


def be_init(worker: int, link: int) -> NoReturn:
    """Serve until the worker or the spawner has ended. Everything but the link, a descriptor, is closed and all signals are blocked when it is called; of a child that has ended already the signal may be lost."""
    code = EXIT_EXCEPTION
    try:
        name_process("runi-init")
        signals = signals_read_by(HEARD)
        mask(HEARD)
        code = _serve(worker, link, signals)
    finally:
        os._exit(code)


def _serve(worker: int, link: int, signals: int) -> int:
    poll = select.poll()
    poll.register(signals, select.POLLIN)
    poll.register(link, select.POLLRDHUP)  # never read here: what comes is the worker's
    while True:  # ends with the worker or the spawner
        # Before the first wait, too: a child that has ended already may have gone unheard.
        for child in reaped():
            if child.pid == worker:
                worked = Worked(*child[1:])
                # Where the spawner is gone, so is who would hear it.
                with contextlib.suppress(OSError):
                    os.write(link, codec.encode("worked", worked))
                return _exit_code(worked.status)
        ready = dict(poll.poll(_POLL_MS))
        if link in ready:
            return EXIT_EXCEPTION
        if signals in ready:
            _forward(worker, signals_read(signals))


def _forward(worker: int, numbers: list[int]) -> None:
    for number in numbers:
        if number in FORWARDED:
            # Nobody else reaps it, so the number is still its own.
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, number)


def _exit_code(status: int) -> int:
    """Return what a shell would: 128 and the signal where one has ended it."""
    number = status & 0x7F
    return 128 + number if number else status >> 8 & 0xFF
