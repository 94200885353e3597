"""A flag is set once, for all."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from runink.loops import Flag

pytestmark = pytest.mark.anyio


async def test_all_who_wait_are_woken_and_who_comes_later_does_not_wait() -> None:
    flag = Flag()
    woken: list[int] = []

    async def wait(number: int) -> None:
        await flag.wait()
        woken.append(number)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(wait, number)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        assert not woken
        assert not flag.is_set()
        flag.set()
    assert sorted(woken) == [0, 1, 2]
    assert flag.is_set()
    with anyio.fail_after(60.0):
        await flag.wait()


async def test_who_gives_up_waiting_leaves_the_others() -> None:
    flag = Flag()
    with anyio.move_on_after(0):
        await flag.wait()
    async with anyio.create_task_group() as group:
        group.start_soon(flag.wait)
        await anyio.lowlevel.checkpoint()
        flag.set()
