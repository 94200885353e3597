"""One thread beside the event loop."""

from __future__ import annotations

import threading

import anyio
import pytest
from runink.actors.offload import OneThread

pytestmark = pytest.mark.anyio


async def test_calls_come_one_after_the_other_in_one_thread():
    thread = OneThread("t")
    seen: list[tuple[int, int]] = []

    async def call(number: int) -> None:
        assert await thread(lambda: seen.append((number, threading.get_ident()))) is None

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(call, number)
    thread.close()
    assert sorted(number for number, _ in seen) == list(range(20))
    assert len({ident for _, ident in seen}) == 1
    assert threading.get_ident() not in {ident for _, ident in seen}


async def test_what_a_call_returns_or_raises_comes_back():
    thread = OneThread("t")
    assert await thread(max, 1, 2) == 2
    with pytest.raises(ZeroDivisionError):
        await thread(lambda: 1 / 0)
    assert await thread(max, 3, 4) == 4
    thread.close()


async def test_a_cancelled_caller_waits_for_the_end_of_its_call():
    thread = OneThread("t")
    may_end = threading.Event()
    begun = anyio.Event()
    ended: list[bool] = []

    def work() -> None:
        anyio.from_thread.run_sync(begun.set, token=token)
        assert may_end.wait(60)
        ended.append(True)

    token = anyio.lowlevel.current_token()
    async with anyio.create_task_group() as group:
        group.start_soon(thread, work)
        await begun.wait()
        group.cancel_scope.cancel()
        may_end.set()
    assert ended == [True]
    thread.close()


async def test_after_the_close_the_thread_is_gone_and_the_next_call_begins_another():
    thread = OneThread("a name that nobody else has")
    await thread(max, 1, 2)
    thread.close()
    assert not [one for one in threading.enumerate() if one.name == "a name that nobody else has"]
    assert await thread(max, 1, 2) == 2
    thread.close()
