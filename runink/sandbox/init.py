"""The first process of a cell, number 1 in its own pid namespace: reaps, forwards signals, and takes everything with it when it ends.

    what happens                       what it does
    a signal of FORWARDED comes        sends it to the worker
    a child has ended                  reaps it; orphans of the slice become its children too
    the worker has ended               says `worked` with how, and ends: the kernel then ends all that the slice has left
    the spawner's socket ends          ends

Of all that comes only its worker's end is what every one of them hears, so the way to that is short: it asks the kernel, and passes on what the kernel has written (`calls.py`).

A first process ignores every signal that it has no handler for, and the kernel hides from others how it was ended from inside: hence `worked`.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
from typing import Final, NoReturn

from runink.sandbox.birth import EXIT_EXCEPTION
from runink.sandbox.calls import Call, prctl
from runink.sandbox.inner_protocol import WORKED
from runink.sandbox.kernel import (
    WAITED_BYTES,
    masking,
    reading_signals,
    reaping,
    signal_set,
    signals_read,
    wait4,
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
_POLL_MS: Final = 60_000  # only so that no wait is without end; every event wakes us


class _Polled(ctypes.Structure):
    """Two of struct pollfd of sys/poll.h: the signals', and the link's."""

    _fields_ = (
        ("signals", ctypes.c_int),
        ("wanted", ctypes.c_short),
        ("have_come", ctypes.c_short),
        ("link", ctypes.c_int),
        ("wanted_of_link", ctypes.c_short),
        ("has_ended", ctypes.c_short),
    )


# Looked up beforehand, because a cell touches little (`calls.py`).
_LIBC: Final = ctypes.PyDLL(None, use_errno=True)
_write, _poll, _wait4 = _LIBC.write, _LIBC.poll, wait4
_exit: Final = os._exit
_polled: Final = _Polled(wanted=select.POLLIN, wanted_of_link=select.POLLRDHUP)
_WAITING: Final = (ctypes.byref(_polled), 2, _POLL_MS)
_word: Final = ctypes.create_string_buffer(WORKED, len(WORKED) + WAITED_BYTES)
_WORD: Final = ctypes.byref(_word)
_WORD_BYTES: Final = len(_word)
_REAPING: Final = reaping(_word, at=len(WORKED))
_STATUS: Final = ctypes.c_int.from_buffer(_word, len(WORKED))


def beginning(*, free: int) -> list[Call]:
    """Return what is done before `be_init`; `free` is the lowest descriptor that is."""
    return [
        prctl("name the first process", PR_SET_NAME, b"runi-init"),
        reading_signals(HEARD, free=free),
        masking(HEARD),
    ]


def hear(link: int, *, signals: int) -> None:
    """Say before the fork what `be_init` will wait for."""
    _polled.signals, _polled.link = signals, link


def be_init(worker: int, link: int, *, signals: int) -> NoReturn:
    """Serve until the worker or the spawner has ended; `signals` is where HEARD are read, and `hear` was told of both. All signals have been blocked since before the fork, everything else is closed;
    of a child that has ended already the signal may be lost.
    """
    code = EXIT_EXCEPTION
    try:
        code = _serve(worker, link, signals)
    finally:
        _exit(code)


def _serve(worker: int, link: int, signals: int) -> int:
    # The link is never read here: what comes is the worker's.
    has_waited = False
    while True:  # ends with the worker or the spawner
        # Before the first wait, too: a child that has ended already may have gone unheard.
        while (ended := _wait4(*_REAPING)) > 0:
            if ended == worker:
                # Where that fails the spawner is gone, and so is who would hear it.
                _write(link, _WORD, _WORD_BYTES)
                return _exit_code(_STATUS.value)
        if has_waited:
            if _polled.has_ended:
                return EXIT_EXCEPTION
            if _polled.have_come:
                _forward(worker, signals_read(signals))
                has_waited = False
                continue  # among them may be the word of a child that has ended since
        _poll(*_WAITING)
        has_waited = True


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
