"""How much the scheduler reads before it decides: all that is told, but no more than 256 changes and for no longer than 5 ms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import trio.testing
from controlled_world import HERD, seen
from runink.actors.barn import Barn
from runink.actors.scheduler import BATCH_S, CHANGES_MAX, Scheduler
from runink.barn.keys import DECISIONS, PLACEMENTS, TURNS, herd_key, node_key, slice_key
from runink.clients.barn import BarnClient, Transaction
from runink.dag import Resources
from runink.names import NodeId, RunId, SliceId
from runink.runs.records import NodeRecord, SliceRecord, SliceState
from runink.runtime.actor import Actor, Context
from runink.runtime.supervisor import ChildSpec, supervise
from runink.scheduling.decisions import DecisionRecord
from runink.testing.disk import FaultyDisk, in_loop
from runink.testing.lives import now_ms

pytestmark = pytest.mark.trio

READING_S = 0.002


class Reader(Actor[Any]):
    """A scheduler that takes its time for each message, by the loop's clock, and begins with them when it is let."""

    def __init__(self, scheduler: Scheduler, clock: trio.testing.MockClock) -> None:
        self.reading_s = 0.0
        self.gate = anyio.Event()
        self.gate.set()
        self._scheduler = scheduler
        self._clock = clock

    async def started(self, context: Context[Any]) -> None:
        await self._scheduler.started(context)

    async def receive(self, message: Any) -> object:
        await self.gate.wait()
        if self.reading_s:
            self._clock.jump(self.reading_s)
        return await self._scheduler.receive(message)


def slices(first: int, count: int) -> Transaction:
    """Return what has so many slices wait."""
    found = Transaction()
    for number in range(first, first + count):
        name = SliceId(f"s{number:04}")
        one = SliceRecord(
            name, RunId("r"), HERD.herd, name, SliceState.PENDING, Resources(10, 1 << 20)
        )
        found = found.put(slice_key(one.herd, one.run, one.slice), one)
    return found


@asynccontextmanager
async def reading(clock: trio.testing.MockClock) -> AsyncIterator[tuple[BarnClient, Reader]]:
    """Yield a Barn, and a scheduler that has read all there is."""
    async with supervise() as supervisor:
        disk = FaultyDisk()
        barn = await supervisor.start(
            ChildSpec("barn", lambda: Barn(lambda: disk, offload=in_loop))
        )
        client = BarnClient(barn, new_id=lambda: "t")
        node = NodeRecord(NodeId("n1"), Resources(100_000, 8 << 30))
        known = Transaction().put(herd_key(HERD.herd), HERD).put(node_key(node.node), node)
        revision = (await client.commit(known)).revision
        reader = Reader(Scheduler(BarnClient(barn, new_id=lambda: "s"), now_ms=now_ms), clock)
        await supervisor.start(ChildSpec("scheduler", lambda: reader))
        await seen(client, TURNS.prefix(), 1, revision)
        await anyio.wait_all_tasks_blocked()
        yield client, reader


async def decided(
    client: BarnClient, reader: Reader, portions: list[int], *, reading_s: float
) -> list[int]:
    """Return how many slices each decision placed, where these have come in portions before the first was read, each a message."""
    reader.gate, reader.reading_s = anyio.Event(), reading_s
    revision = (await client.status()).revision
    first = 0
    for count in portions:
        await client.commit(slices(first, count))
        await anyio.wait_all_tasks_blocked()
        first += count
    reader.gate.set()
    await seen(client, PLACEMENTS.prefix(), first, revision)
    await anyio.wait_all_tasks_blocked()
    found = (await client.range(DECISIONS.prefix(), DecisionRecord)).items
    return [one.value.placed for one in sorted(found, key=lambda one: one.value.revision)]


async def test_what_is_told_while_it_reads_quickly_is_decided_together(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with reading(autojump_clock) as (client, reader):
        assert await decided(client, reader, [1] * 12, reading_s=0.0) == [12]


async def test_it_decides_when_it_has_been_reading_for_five_milliseconds(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with reading(autojump_clock) as (client, reader):
        found = await decided(client, reader, [1] * 12, reading_s=READING_S)
    assert sum(found) == 12
    # The first is read when its time has passed already, the others take theirs.
    assert found[0] == 1 + -(-BATCH_S // READING_S)


async def test_it_decides_when_it_has_read_so_many_changes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with reading(autojump_clock) as (client, reader):
        found = await decided(client, reader, [20] * 14, reading_s=0.0)
    assert sum(found) == 280
    assert CHANGES_MAX <= found[0] < CHANGES_MAX + 20
