"""A follower whose disk is full, under virtual time: who needs what it could not write is sent on at once, and it catches up when there is room."""

from __future__ import annotations

import anyio
import pytest
import trio.testing
from member_world import Three, three_members
from runink.barn.keyvalue import one_key
from runink.barn.leases import TICK_S as LOOK_S
from runink.clients.barn_requests import Read, WatchFrom
from runink.errors import Unavailable

pytestmark = pytest.mark.trio

VALUE = bytes(8000)


async def fill(three: Three, full: int) -> int:
    """Fill the member's disk, and write through another one until it is behind; return the newest revision."""
    disk = three.disks[full]
    disk.space_bytes -= disk.free_bytes()
    writer = three.client(full % 3 + 1)
    revision = 0
    while (await three.status(full)).revision >= revision:  # ends: what it made room for is used up
        revision = await writer.put(f"/{revision}", VALUE)
        await anyio.sleep(0.1)
    return revision


async def test_who_reads_at_a_follower_that_cannot_write_what_it_must_know_is_sent_on_at_once(
    autojump_clock: trio.testing.MockClock,
):
    async with three_members() as three:
        full = await three.leader() % 3 + 1
        revision = await fill(three, full)
        with pytest.raises(Unavailable) as caught:
            await three.refs[full].ask(Read((one_key("/0"),)), within=1.0)
        assert caught.value.code == "disk_full"
        stale = await three.refs[full].ask(Read((one_key("/0"),), serializable=True), within=1.0)
        assert stale.pages[0].items[0].value is not None
        three.disks[full].space_bytes += 1 << 20
        await three.until_applied(full, revision)
        found = await three.client(full).get(f"/{revision - 1}", bytes)
        assert found is not None


async def test_who_waits_at_a_follower_that_gets_nothing_new_is_sent_on(
    autojump_clock: trio.testing.MockClock,
):
    async with three_members() as three:
        full = await three.leader() % 3 + 1
        refused: list[Unavailable] = []

        async def wait(after_revision: int) -> None:
            with pytest.raises(Unavailable) as caught:
                await three.refs[full].ask(WatchFrom(("/x",), after_revision), within=60.0)
            refused.append(caught.value)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, 0)
            revision = await fill(three, full)
            tasks.start_soon(wait, revision)  # that has seen more elsewhere
            await anyio.sleep(2 * LOOK_S)
            assert [error.code for error in refused] == ["disk_full", "disk_full"]
        three.disks[full].space_bytes += 1 << 20
        await three.until_applied(full, revision)
        waiting = await three.refs[full].ask(WatchFrom(("/x",), revision, wait_s=20.0), within=25.0)
        assert not waiting.changes
