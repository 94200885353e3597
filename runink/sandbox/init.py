"""The first process of a cell, number 1 in its own pid namespace: reaps, forwards signals, and takes everything with it when it ends.

    what happens                       what it does
    a signal of FORWARDED comes        sends it to the worker
    a child has ended                  reaps it; orphans of the slice become its children too
    the worker has ended               says `worked` with how, and ends: the kernel then ends all that the slice has left
    the spawner's socket ends          ends

A first process ignores every signal that it has no handler for, and the kernel hides from others how it was ended from inside: hence `worked`.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import struct
from typing import Final, NoReturn

from runink.sandbox.birth import EXIT_EXCEPTION
from runink.sandbox.calls import Call, prctl
from runink.sandbox.codec import numeric
from runink.sandbox.inner_protocol import Worked
from runink.sandbox.kernel import (
    masking,
    reading_signals,
    reap,
    signal_set,
    signals_read,
)
from runink.sandbox.syscalls import PR_SET_NAME

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
_WORKED: Final = numeric("worked", Worked._fields)
_POLL_MS: Final = 60_000  # only so that no wait is without end; every event wakes us
_POLLED: Final = struct.Struct("=ihhihh")  # two of struct pollfd of sys/poll.h
_POLLIN: Final = select.POLLIN
_POLLRDHUP: Final = select.POLLRDHUP
# Looked up beforehand, because a cell touches little (`calls.py`).
_write: Final = os.write
_exit: Final = os._exit
_poll: Final = ctypes.PyDLL(None, use_errno=True).poll
_polled: Final = ctypes.create_string_buffer(_POLLED.size)
_WAITING: Final = (ctypes.byref(_polled), 2, _POLL_MS)


def beginning(*, free: int) -> list[Call]:
    """Return what is done before `be_init`; `free` is the lowest descriptor that is."""
    return [
        prctl("name the first process", PR_SET_NAME, b"runi-init"),
        reading_signals(HEARD, free=free),
        masking(HEARD),
    ]


def be_init(worker: int, link: int, *, signals: int) -> NoReturn:
    """Serve until the worker or the spawner has ended; `signals` is where HEARD are read. All signals have been blocked since before the fork, everything else is closed;
    of a child that has ended already the signal may be lost.
    """
    code = EXIT_EXCEPTION
    try:
        code = _serve(worker, link, signals)
    finally:
        _exit(code)


def _serve(worker: int, link: int, signals: int) -> int:
    # The link is never read here: what comes is the worker's.
    _POLLED.pack_into(_polled, 0, signals, _POLLIN, 0, link, _POLLRDHUP, 0)
    while True:  # ends with the worker or the spawner
        # Before the first wait, too: a child that has ended already may have gone unheard.
        while (ended := reap()) is not None:
            if ended[0] == worker:
                _say_worked(link, ended[1:])
                return _exit_code(ended[1])
        _, _, have_come, _, _, has_ended = _POLLED.unpack(_polled)
        if has_ended:
            return EXIT_EXCEPTION
        if have_come:
            _forward(worker, signals_read(signals))
        _poll(*_WAITING)


def _say_worked(link: int, worked: tuple[float, ...]) -> None:
    try:
        _write(link, (_WORKED % worked).encode())
    except OSError:
        return  # the spawner is gone, and so is who would hear it


def _forward(worker: int, numbers: list[int]) -> None:
    for number in numbers:
        if number in FORWARDED:
            # Nobody else reaps it, so the number is still its own.
            try:
                os.kill(worker, number)
            except ProcessLookupError:
                return


def _exit_code(status: int) -> int:
    """Return what a shell would: 128 and the signal where one has ended it."""
    number = status & 0x7F
    return 128 + number if number else status >> 8 & 0xFF
