"""The word on how a process ended comes before or after somebody asks for it, and is taken once."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from runink.actors.exits import Exits
from runink.runs.records import Exit
from runink.sandbox.client import Exited
from runink.sandbox.protocol import UNCOUNTED

pytestmark = pytest.mark.anyio


def word(name: str, *, code: int) -> Exited:
    return Exited(
        slice=name, attempt=1, cause="exited", code=code, signal=0, utime_s=1.5, stime_s=0.5,
        memory_bytes_max=7, read_bytes=1, written_bytes=2, oom_kills=3, processes_refused=4,
        throttled_s=5.5, wall_s=3.0, survivors=0, voluntary_switches=6, involuntary_switches=0,
        wall_time_s=60.0,
    )  # fmt: skip


async def test_a_word_that_came_first_is_kept_and_taken_once() -> None:
    exits = Exits()
    exits.tell(word("a", code=1))
    ended = Exit(
        "exited", code=1, cpu_s=2.0, memory_bytes_max=7, wall_s=3.0, read_bytes=1, written_bytes=2,
        oom_kills=3, processes_refused=4, throttled_s=5.5, voluntary_switches=6,
        involuntary_switches=0, wall_time_s=60.0,
    )  # fmt: skip
    assert await exits.wait("a") == ended
    exits.tell(word("a", code=2))
    assert (await exits.wait("a")).code == 2


async def test_context_switches_that_nobody_counted_are_none_and_not_a_number() -> None:
    exits = Exits()
    killed = word("a", code=0)._replace(
        voluntary_switches=UNCOUNTED, involuntary_switches=UNCOUNTED
    )
    exits.tell(killed)
    found = await exits.wait("a")
    assert (found.voluntary_switches, found.involuntary_switches) == (None, None)


async def test_who_asks_first_waits_for_the_word_on_its_own_process() -> None:
    exits = Exits()
    codes: list[int] = []

    async def wait() -> None:
        codes.append((await exits.wait("a")).code)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.lowlevel.checkpoint()
        exits.tell(word("b", code=5))
        await anyio.lowlevel.checkpoint()
        assert codes == []
        exits.tell(word("a", code=6))
    assert codes == [6]
