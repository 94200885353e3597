"""Blocking calls that go to a thread together, and tasks that end together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from runink.actors.together import CALLS_MAX, Together, all_of

pytestmark = pytest.mark.anyio


class Held:
    """An Offload that keeps what it is given until it is let go, and counts how often it is given something."""

    def __init__(self) -> None:
        self.free = anyio.Event()
        self.count = 0

    async def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        self.count += 1
        await self.free.wait()
        return function(*args)


async def test_what_comes_while_others_are_under_way_is_handed_over_as_one() -> None:
    held = Held()
    together = Together(held)
    seen: list[int] = []
    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(together, seen.append, number)
        await anyio.wait_all_tasks_blocked()
        assert held.count == 1
        held.free.set()
    assert sorted(seen) == list(range(20))
    assert held.count == 2


async def test_no_portion_is_larger_than_its_limit_and_none_is_left() -> None:
    held = Held()
    together = Together(held)
    seen: list[int] = []
    async with anyio.create_task_group() as group:
        for number in range(1 + 2 * CALLS_MAX + 1):
            group.start_soon(together, seen.append, number)
        await anyio.wait_all_tasks_blocked()
        held.free.set()
    assert len(seen) == 2 * CALLS_MAX + 2
    assert held.count == 4
    await together(seen.append, -1)
    assert (held.count, seen[-1]) == (5, -1)


async def test_what_comes_soon_behind_a_portion_waits_for_more_until_somebody_is_in_a_hurry() -> (
    None
):
    held = Held()
    held.free.set()
    together = Together(held, gather_s=lambda: 60.0)
    seen: list[int] = []
    with anyio.fail_after(5.0):
        await together(seen.append, 0)
        async with anyio.create_task_group() as group:
            for number in (1, 2, 3):
                group.start_soon(together, seen.append, number)
            await anyio.wait_all_tasks_blocked()
            assert seen == [0]
            together.hurry()
    assert sorted(seen) == [0, 1, 2, 3]
    assert held.count == 2


async def test_a_full_portion_waits_for_no_more() -> None:
    held = Held()
    held.free.set()
    together = Together(held, gather_s=lambda: 60.0)
    seen: list[int] = []
    with anyio.fail_after(5.0):
        await together(seen.append, 0)
        async with anyio.create_task_group() as group:
            for number in range(CALLS_MAX):
                group.start_soon(together, seen.append, number)
    assert len(seen) == 1 + CALLS_MAX


async def test_each_caller_is_given_what_its_own_call_came_to() -> None:
    held = Held()
    together = Together(held)
    found: list[float | str] = []

    async def divide(by: int) -> None:
        try:
            found.append(await together(lambda: 6 / by))
        except ZeroDivisionError:
            found.append("error")

    async with anyio.create_task_group() as group:
        for by in (1, 0, 2, 3):
            group.start_soon(divide, by)
        await anyio.wait_all_tasks_blocked()
        held.free.set()
    assert sorted(map(str, found)) == ["2.0", "3.0", "6.0", "error"]


async def test_a_cancelled_caller_waits_for_its_call_and_the_others_go_on() -> None:
    held = Held()
    together = Together(held)
    seen: list[str] = []
    scope = anyio.CancelScope()

    async def call(name: str) -> None:
        await together(seen.append, name)

    async def cancelled() -> None:
        with scope:
            await call("first")

    async with anyio.create_task_group() as group:
        group.start_soon(cancelled)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(call, "second")
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        held.free.set()
    assert seen == ["first", "second"]


async def test_where_no_thread_can_be_had_each_caller_is_told_and_the_next_is_tried_again() -> None:
    refusals = [RuntimeError("no thread")] * 2

    async def refusing(function: Callable[..., Any], *args: Any) -> Any:
        await anyio.wait_all_tasks_blocked()
        if refusals:
            raise refusals.pop()
        return function(*args)

    together = Together(refusing)
    failed: list[str] = []

    async def call() -> None:
        try:
            await together(int)
        except RuntimeError as error:
            failed.append(str(error))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(call)
    assert failed == ["no thread"] * 3
    assert await together(max, 1, 2) == 2


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_all_calls_are_awaited_at_once(count: int) -> None:
    begun: list[int] = []
    all_begun = anyio.Event()

    async def call(number: int) -> None:
        begun.append(number)
        if len(begun) == count:
            all_begun.set()
        await all_begun.wait()

    with anyio.fail_after(60.0):
        await all_of([partial(call, number) for number in range(count)])
    assert sorted(begun) == list(range(count))
