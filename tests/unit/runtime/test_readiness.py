"""Many descriptors watched as one: who is told of what, in which turns, and what becomes of numbers that are used again."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import anyio
import anyio.lowlevel
import pytest
from runink.errors import Broken
from runink.loops import READY_MAX, Readiness
from runink.testing.readiness import readiness_running

pytestmark = pytest.mark.anyio


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    source, target = os.pipe()
    os.set_blocking(source, False)
    try:
        yield source, target
    finally:
        for descriptor in (source, target):
            with suppress(OSError):
                os.close(descriptor)


async def some_turns() -> None:
    """Let the loop look for what has come; what a pipe brings is there at once."""
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def test_what_has_come_before_and_what_comes_is_told_once_each() -> None:
    told: list[bool] = []
    with pipe() as (source, target):
        os.write(target, b"x")
        async with readiness_running() as readiness:
            readiness.watch(source, told.append)
            await some_turns()
            assert told == [True], "though nothing was read: it tells what comes, not what is there"
            assert os.read(source, 10) == b"x"
            os.write(target, b"y")
            await some_turns()
            assert told == [True, True]
            readiness.forget(source)


async def test_an_end_is_told_apart_from_what_has_come() -> None:
    told: list[bool] = []
    with pipe() as (source, target):
        async with readiness_running() as readiness:
            readiness.watch(source, told.append)
            os.close(target)
            await some_turns()
            readiness.forget(source)
    assert told == [False]


async def test_a_socket_whose_other_end_was_reset_is_told_of() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    told: list[bool] = []
    with ours, theirs:
        async with readiness_running() as readiness:
            readiness.watch(ours.fileno(), told.append)
            ours.send(b"nobody reads this")
            theirs.close()
            await some_turns()
            readiness.forget(ours.fileno())
        with pytest.raises(ConnectionResetError):
            ours.recv(10)
    assert told


async def test_of_many_at_once_so_many_are_told_in_a_turn() -> None:
    told: list[int] = []
    ends: list[tuple[int, int]] = []
    readiness = Readiness()
    for number in range(READY_MAX + 1):
        ends.append(os.pipe())
        os.write(ends[-1][1], b"x")
        readiness.watch(ends[-1][0], lambda _, number=number: told.append(number))  # type: ignore[misc] # a default of its own
    readiness._tell()
    assert told == list(range(READY_MAX))
    readiness._tell()
    assert told == list(range(READY_MAX + 1))
    readiness.close()
    for descriptor in (one for pair in ends for one in pair):
        os.close(descriptor)


async def test_one_that_was_closed_while_another_was_told_is_told_of_no_more() -> None:
    told: list[str] = []
    with pipe() as (first, into_first), pipe() as (second, into_second):
        async with readiness_running() as readiness:

            def close_the_other(of: str, other: int) -> None:
                told.append(of)
                readiness.forget(other)
                os.close(other)

            readiness.watch(first, lambda _: close_the_other("first", second))
            readiness.watch(second, lambda _: close_the_other("second", first))
            os.write(into_first, b"x")
            os.write(into_second, b"x")
            await some_turns()
            assert len(told) == 1
            assert len(readiness) == 1
            readiness.forget(first if told == ["first"] else second)


async def test_a_number_that_is_used_again_at_once_is_told_of_its_new_pipe() -> None:
    told: list[bytes] = []
    with pipe() as (first, into_first):
        async with readiness_running() as readiness:
            os.write(into_first, b"old")
            readiness.watch(first, lambda _: pytest.fail("it was forgotten"))
            readiness.forget(first)
            kept = os.dup(first)  # as another process has it: the old pipe lives on
            with pipe() as (other, into_other):
                os.dup2(other, first, inheritable=False)

                def ready(_: bool) -> None:  # noqa: FBT001 - as `Readiness` has it
                    with suppress(BlockingIOError):
                        told.append(os.read(first, 10))

                readiness.watch(first, ready)
                await some_turns()
                assert told == []
                os.write(into_other, b"new")
                await some_turns()
                readiness.forget(first)
            os.close(kept)
    assert told == [b"new"]


async def test_what_fails_where_it_was_told_fails_who_runs_it() -> None:
    def fail(_: bool) -> None:  # noqa: FBT001 - as `Readiness` has it
        raise Broken("here")

    readiness = Readiness()
    with pipe() as (source, target):
        readiness.watch(source, fail)
        os.write(target, b"x")
        with pytest.raises(Broken, match="here"):
            await readiness.run()
        readiness.close()
        readiness.forget(source)  # is no error where nothing is told any more
