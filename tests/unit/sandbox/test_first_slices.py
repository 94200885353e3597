"""What a slice that is its cell's first process does with children that it did not start."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from runink.sandbox import first
from runink.sandbox.first import ORPHANS, Orphans, let_in
from runink.sandbox.kernel import children, mask
from runink.sandbox.namespaces import thread_id_address

WAIT_S = 10


def alone(test: Callable[..., None]) -> Callable[..., None]:
    """Run the test in a thread of its own, which has no children yet: those that other tests keep are the main thread's."""

    @functools.wraps(test)
    def run(**given: object) -> None:
        with ThreadPoolExecutor(1) as threads:
            threads.submit(test, **given).result()

    return run


@pytest.fixture
def ended() -> Iterator[Callable[[], int]]:
    """Start children that end, and wait until they have; those that nobody reaped are reaped in the end."""
    made: list[int] = []

    def start() -> int:
        child = os.fork()
        if not child:
            os._exit(7)
        made.append(child)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        return child

    yield start
    for child in set(made) & set(children()):
        os.waitpid(child, 0)


@alone
def test_few_that_have_ended_are_left_to_who_may_wait_for_them(ended):
    orphans = Orphans()
    orphans.reap()
    child = ended()
    orphans.reap()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@alone
def test_many_that_have_ended_are_reaped(ended):
    orphans = Orphans()
    orphans.reap()
    made = {ended() for _ in range(ORPHANS + 1)}
    orphans.reap()
    assert not made & set(children())


@alone
def test_where_there_was_one_before_nobody_is_reaped(ended):
    orphans = Orphans()
    before = ended()
    orphans.reap()
    made = {before, *(ended() for _ in range(ORPHANS + 1))}
    orphans.reap()
    assert made <= set(children())


def test_signals_that_wait_come_when_there_are_handlers_and_another_process_reaps_nobody():
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    mask(first.WAITING)
    try:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        assert came == []
        assert let_in() is None
        assert came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_where_c_keeps_a_threads_number_there_is_that_number():
    address = thread_id_address()
    assert address == 0 or int.from_bytes(_memory(address, 4), "little") == os.getpid()


def _memory(address: int, count: int) -> bytes:
    with Path("/proc/self/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(count)
