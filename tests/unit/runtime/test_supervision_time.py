"""Supervision in virtual time: pauses, windows and limits of hours take no time at all."""

from __future__ import annotations

import math

import anyio
import pytest
import trio.testing
from runink.errors import Broken, NotFound, OutcomeUnknown, TimedOut
from runink.runtime.supervisor import RestartPolicy
from runtime_world import Crash, Diary, Get, Hang, Store, one_store

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


async def test_pauses_double_up_to_their_maximum():
    policy = RestartPolicy(restarts_max=10, window_s=1e6, delay_s=3600, delay_s_max=4 * 3600)
    pauses = []
    async with one_store(policy=policy) as ref:
        for _ in range(5):
            with pytest.raises(OutcomeUnknown):
                await ref.ask(Crash(), within=math.inf)
            began = anyio.current_time()
            with pytest.raises(NotFound):
                await ref.ask(Get("a"), within=math.inf)
            pauses.append(round((anyio.current_time() - began) / 3600))
    assert pauses == [1, 2, 4, 4, 4]


async def test_crashes_that_lie_far_apart_never_escalate_and_close_ones_do():
    policy = RestartPolicy(restarts_max=2, window_s=30, delay_s=1)

    async def crash(ref, times: int, *, pause_s: float) -> None:
        for _ in range(times):
            with pytest.raises(OutcomeUnknown):
                await ref.ask(Crash(), within=60)
            await anyio.sleep(pause_s)

    async with one_store(policy=policy) as ref:
        await crash(ref, 20, pause_s=16)
    with pytest.raises(Broken):
        async with one_store(policy=policy) as ref:
            await crash(ref, 20, pause_s=5)


async def test_an_asker_waits_exactly_as_long_as_it_said():
    async with one_store() as ref:
        began = anyio.current_time()
        with pytest.raises(TimedOut):
            await ref.ask(Hang(), within=7200)
        assert anyio.current_time() - began == pytest.approx(7200)


async def test_stopped_has_a_limit_of_its_own():
    class Stuck(Store):
        async def stopped(self) -> None:
            await anyio.sleep_forever()

    began = anyio.current_time()
    with pytest.raises(Broken) as info:
        async with one_store(lambda: Stuck(Diary())):
            pass
    assert info.value.code == "stop_timed_out"
    assert anyio.current_time() - began == pytest.approx(5)


async def test_stopped_is_shielded_from_the_cut():
    done = []

    class Thorough(Store):
        async def stopped(self) -> None:
            await anyio.sleep(4)
            done.append(anyio.current_time())

    with anyio.CancelScope() as scope:
        async with one_store(Thorough, stop_s_max=10) as ref:
            await ref.tell(Hang())
            began = anyio.current_time()
            scope.cancel()
            await anyio.sleep_forever()
    assert done == [pytest.approx(began + 14)]
