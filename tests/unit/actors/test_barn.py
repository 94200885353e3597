"""The Barn's actor: what it answers, when watches are answered, when leases end, and what a restart finds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import anyio
import pytest
import trio.testing
from runink.actors.barn import Barn
from runink.barn.keyvalue import key_prefix, one_key
from runink.clients.barn import BarnClient, Transaction
from runink.clients.barn_requests import WatchFrom
from runink.errors import Invalid, NotFound, Refused
from runink.runtime.supervisor import ChildSpec, supervise
from runink.testing.disk import FaultyDisk, in_loop


@asynccontextmanager
async def barn_on(disk: FaultyDisk) -> AsyncIterator[BarnClient]:
    async with supervise() as supervisor:
        ref = await supervisor.start(ChildSpec("barn", lambda: Barn(lambda: disk, offload=in_loop)))
        yield BarnClient(ref)


@pytest.mark.anyio
async def test_what_is_put_is_read_at_its_revision():
    async with barn_on(FaultyDisk()) as barn:
        assert await barn.put("/a", {"n": 1}) == 1
        found = await barn.get("/a", dict)
        assert found is not None
        assert (found.value, found.revision, found.version) == ({"n": 1}, 1, 1)
        assert await barn.get("/b", dict) is None


@pytest.mark.anyio
async def test_several_spans_are_read_at_one_revision():
    async with barn_on(FaultyDisk()) as barn:
        await barn.put("/a/1", 1)
        await barn.put("/b", 2)
        pages = await barn.read(key_prefix("/a/"), one_key("/b"))
        assert pages.revision == 2
        assert [[item.key for item in page.items] for page in pages.pages] == [["/a/1"], ["/b"]]


@pytest.mark.anyio
async def test_a_transaction_whose_condition_does_not_hold_changes_nothing_and_names_the_key():
    async with barn_on(FaultyDisk()) as barn:
        await barn.put("/a", 1)
        committed = await barn.commit(Transaction().if_absent("/a").put("/a", 2))
        assert (committed.succeeded, committed.failed) == (False, ("/a",))
        found = await barn.get("/a", int)
        assert found is not None
        assert found.value == 1


@pytest.mark.anyio
async def test_a_command_beyond_a_limit_is_refused_before_it_is_in_the_log():
    async with barn_on(FaultyDisk()) as barn:
        before = await barn.status()
        with pytest.raises(Invalid) as refused:
            await barn.put("/a", b"x" * (1 << 21))
        assert refused.value.code == "value_too_large"
        assert (await barn.status()).applied_index == before.applied_index


@pytest.mark.anyio
async def test_a_watch_is_answered_by_the_change_that_it_waits_for():
    async with barn_on(FaultyDisk()) as barn:
        seen: list[str] = []

        async def watch() -> None:
            async with aclosing(barn.watch("/a/", after_revision=0)) as changes:
                async for watched in changes:
                    seen.extend(change.key for change in watched.changes)
                    if len(seen) == 2:
                        return

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            for key in ("/a/1", "/b", "/a/2"):
                await barn.put(key, 0)
        assert seen == ["/a/1", "/a/2"]


@pytest.mark.anyio
async def test_a_watch_without_prefixes_is_refused():
    async with barn_on(FaultyDisk()) as barn:
        with pytest.raises(Refused) as refused:
            await barn._barn.ask(WatchFrom((), 0), within=1)
        assert refused.value.code == "invalid_watch"


@pytest.mark.anyio
async def test_a_restart_finds_what_was_acknowledged():
    disk = FaultyDisk()
    async with barn_on(disk) as barn:
        await barn.put("/a", 1)
        before = await barn.status()
    async with barn_on(disk.crash()) as barn:
        found = await barn.get("/a", int)
        assert found is not None
        assert found.value == 1
        assert (await barn.status()).term == before.term + 1


@pytest.mark.trio
async def test_a_watch_that_sees_nothing_is_answered_when_its_time_is_over(
    autojump_clock: trio.testing.MockClock,
):
    async with barn_on(FaultyDisk()) as barn:
        began_s = anyio.current_time()
        watched = await barn._barn.ask(WatchFrom(("/a/",), 0, 10, 30.0), within=40)
        assert watched.changes == ()
        assert 30.0 <= anyio.current_time() - began_s <= 31.0
        assert (await barn.status()).watches == 0


@pytest.mark.trio
async def test_a_lease_that_is_not_renewed_ends_with_its_keys(
    autojump_clock: trio.testing.MockClock,
):
    async with barn_on(FaultyDisk()) as barn:
        lease = await barn.grant_lease(10.0)
        await barn.put("/nodes/a", 1, lease=lease)
        for _ in range(3):
            await anyio.sleep(8.0)
            await barn.keep_lease(lease)
        assert await barn.get("/nodes/a", int) is not None
        await anyio.sleep(11.0)
        assert await barn.get("/nodes/a", int) is None
        with pytest.raises(NotFound):
            await barn.keep_lease(lease)


@pytest.mark.trio
async def test_a_restart_begins_the_time_of_every_lease_anew(
    autojump_clock: trio.testing.MockClock,
):
    disk = FaultyDisk()
    async with barn_on(disk) as barn:
        lease = await barn.grant_lease(10.0)
        await barn.put("/nodes/a", 1, lease=lease)
        await anyio.sleep(9.0)
    async with barn_on(disk.crash()) as barn:
        await anyio.sleep(9.0)
        assert await barn.get("/nodes/a", int) is not None
        await anyio.sleep(2.0)
        assert await barn.get("/nodes/a", int) is None
