"""The first process of a cell, as a process of its own: what it hears of its children."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterator

import pytest
from runink.sandbox import init
from runink.sandbox.calls import next_free, perform
from runink.sandbox.codec import BadMessage
from runink.sandbox.init import be_init, beginning, hear
from runink.sandbox.inner_protocol import WORKED, worked
from runink.sandbox.kernel import WAITED_BYTES
from runink.sandbox.packets import receive

CODE = 7
WAIT_S = 10


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def first_process_of_an_ended_worker(link: int) -> int:
    """Start a first process whose worker has ended, and the signal of it is gone, before it begins to hear."""
    child = os.fork()
    if child:
        return child
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        worker = os.fork()
        if not worker:
            os._exit(CODE)
        os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
        signals = next_free()
        perform(beginning(free=signals))
        hear(link, signals=signals)
        be_init(worker, link, signals=signals)
    finally:
        os._exit(1)


def test_a_worker_that_ended_before_anybody_heard_signals_is_told_of(ends):
    ours, theirs = ends
    first = first_process_of_an_ended_worker(theirs.fileno())
    try:
        assert select.select([ours], [], [], WAIT_S)[0], "nothing was said"
        packet = receive(ours)
    finally:
        os.kill(first, signal.SIGKILL)
        _, status = os.waitpid(first, 0)
    assert packet is not None
    said = worked(packet.body)
    assert said is not None
    assert os.waitstatus_to_exitcode(said.status) == CODE
    assert said.maxrss_bytes > 0
    assert os.waitstatus_to_exitcode(status) in (CODE, -signal.SIGKILL)


def first_process_whose_worker_ends_while_signals_are_read(link: int) -> int:
    """Start a first process that has its worker end after it has looked for ended ones, before it reads which signals came."""
    child = os.fork()
    if child:
        return child
    try:
        read = init.signals_read
        signals = next_free()
        perform(beginning(free=signals))
        hear(link, signals=signals)
        worker = os.fork()
        if not worker:
            signal.pause()

        def ending_it_first(descriptor: int) -> list[int]:
            os.kill(worker, signal.SIGKILL)
            os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
            return read(descriptor)

        init.signals_read = ending_it_first
        os.kill(os.getpid(), signal.SIGUSR1)
        be_init(worker, link, signals=signals)
    finally:
        os._exit(1)


def test_a_worker_that_ends_while_another_signal_is_read_is_told_of_at_once(ends):
    ours, theirs = ends
    first = first_process_whose_worker_ends_while_signals_are_read(theirs.fileno())
    try:
        assert select.select([ours], [], [], WAIT_S)[0], "nothing was said"
        packet = receive(ours)
    finally:
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)
    assert packet is not None
    said = worked(packet.body)
    assert said is not None
    assert os.waitstatus_to_exitcode(said.status) == -signal.SIGKILL


@pytest.mark.parametrize(
    "record",
    [bytes(WAITED_BYTES - 1), bytes(WAITED_BYTES + 1), b"\xff" * WAITED_BYTES],
    ids=["cut", "longer", "of negative numbers"],
)
def test_a_word_of_a_workers_end_that_cannot_be_is_refused(record):
    assert worked(WORKED + bytes(WAITED_BYTES)) is not None
    with pytest.raises(BadMessage):
        worked(WORKED + record)


def test_what_says_something_else_is_no_word_of_a_workers_end():
    assert worked(b'{"kind":"started"}') is None
