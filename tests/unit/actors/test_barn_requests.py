"""The Barn's actor answers what people and tools ask: the past, leases, hashes, backups, snapshots on demand; it compacts by time and says when it is full."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise

import anyio
import pytest
import trio.testing
from runink.actors.barn import Barn
from runink.barn import image
from runink.barn.checks import QUOTA_BYTES_MIN
from runink.barn.commands import By, Put, Range, SetLimits, Txn
from runink.barn.keyvalue import one_key
from runink.barn.store import Store
from runink.barn.watching import Interest, Skip
from runink.clients.barn import BarnClient
from runink.clients.barn_admin import BarnAdmin
from runink.errors import NotFound, Refused, Unavailable
from runink.runtime.supervisor import ChildSpec, supervise
from runink.testing.disk import FaultyDisk, in_loop

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def barn_on(disk: FaultyDisk, *, keep_s: float = 3600.0) -> AsyncIterator[BarnClient]:
    def make() -> Barn:
        return Barn(lambda: disk, offload=in_loop, new_id=lambda: "id-1", keep_s=keep_s)

    async with supervise() as supervisor:
        yield BarnClient(await supervisor.start(ChildSpec("barn", make)))


async def keys_in(admin: BarnAdmin, query: Range) -> list[list[str]]:
    async with aclosing(admin.pages(query)) as pages:
        return [[item.key for item in page.items] async for page in pages]


async def test_the_past_is_read_and_refused_when_it_is_not_kept():
    async with barn_on(FaultyDisk()) as barn:
        await barn.put("/a", 1)
        await barn.put("/a", 2)
        was = await barn.read(one_key("/a"), revision=1)
        assert was.pages[0].items[0].value == b"1"
        await BarnAdmin(barn).compact(2)
        with pytest.raises(Refused) as refused:
            await barn.read(one_key("/a"), revision=1)
        assert (refused.value.code, refused.value.revision) == ("compacted", 2)
        async with aclosing(barn.watch("/a", after_revision=refused.value.revision)) as changes:
            await barn.put("/a", 3)
            assert (await anext(changes)).revision == 3


async def test_pages_go_on_where_an_answer_was_full_at_one_revision():
    async with barn_on(FaultyDisk()) as barn:
        for first in range(0, 24, 8):
            puts = tuple(Put(f"/{n:02}", bytes(200_000)) for n in range(first, first + 8))
            await barn.propose(Txn((), puts))
        await barn.put("/zz", 1)
        admin = BarnAdmin(barn)
        for _ in range(2):
            extra = tuple(Put(f"/x{n}", bytes(900_000)) for n in range(2))
            await barn.propose(Txn((), extra))
        large = [Put(f"/y{n}", bytes(900_000)) for n in range(8)]
        for put in large:
            await barn.propose(put)
        pages = await keys_in(admin, Range("/", ""))
        assert len(pages) > 1
        whole = [key for page in pages for key in page]
        assert len(whole) == 35
        assert whole == sorted(whole)
        back = await keys_in(admin, Range("/", "", descending=True))
        assert [key for page in back for key in page] == whole[::-1]
        listing = await barn.range("/", bytes)
        assert [found.key for found in listing.items] == whole
        limited = await barn.range("/", bytes, limit=30)
        assert len(limited.items) == 30
        by_revision = await keys_in(admin, Range("/", "", by=By.CREATE_REVISION, limit=2))
        assert by_revision == [["/00", "/01"]]


async def test_a_new_cluster_has_its_id_for_ever():
    disk = FaultyDisk()
    async with barn_on(disk) as barn:
        await barn.put("/a", 1)
        assert (await barn.status()).cluster == "id-1"
    async with barn_on(disk.crash()) as barn:
        status = await barn.status()
        assert (status.cluster, status.keys) == ("id-1", 1)


async def test_leases_are_listed_with_their_time_and_keys():
    async with barn_on(FaultyDisk()) as barn:
        admin = BarnAdmin(barn)
        lease = await barn.grant_lease(100.0)
        other = await barn.grant_lease(50.0)
        await barn.put("/b", 1, lease=lease)
        await barn.put("/a", 1, lease=lease)
        facts = await admin.lease(lease)
        assert facts.keys == ("/a", "/b")
        assert 90_000 < facts.left_ms <= facts.ttl_ms == 100_000
        assert [one.lease for one in await admin.leases()] == [lease, other]
        await barn.revoke_lease(lease)
        with pytest.raises(NotFound):
            await admin.lease(lease)


async def test_a_lease_that_is_kept_alive_lasts():
    async with barn_on(FaultyDisk()) as barn:
        lease = await barn.grant_lease(5.0)
        async with aclosing(BarnAdmin(barn).keep_alive(lease, every_s=0.0)) as renewals:
            async for times in renewals:
                if times == 3:
                    break
        assert (await BarnAdmin(barn).lease(lease)).renewals == 3


async def test_a_backup_is_the_state_of_the_moment():
    async with barn_on(FaultyDisk()) as barn:
        for number in range(20):
            await barn.put(f"/{number:02}", bytes(100_000))
        admin = BarnAdmin(barn)
        parts: list[bytes] = []
        async with aclosing(admin.backup()) as backup:
            async for part in backup:
                parts.append(part)
                await barn.put("/00", "later")
        store = Store.restore(image.decode(b"".join(parts)))
        assert len(parts) > 1
        assert store.revision == 20
        first = store.get("/00")
        assert first is not None
        assert first.value == bytes(100_000)


async def test_the_hash_of_a_revision_stays_and_survives_a_restart():
    disk = FaultyDisk()
    async with barn_on(disk) as barn:
        await barn.put("/a", 1)
        first = await BarnAdmin(barn).hash_at()
        await barn.put("/a", 2)
        assert await BarnAdmin(barn).hash_at(1) == first
        second = await BarnAdmin(barn).hash_at()
        assert second.digest == (await barn.status()).digest != first.digest
    async with barn_on(disk.crash()) as barn:
        assert await BarnAdmin(barn).hash_at(1) == first
        assert await BarnAdmin(barn).hash_at() == second


async def test_a_snapshot_is_written_when_it_is_asked_for():
    disk = FaultyDisk()
    async with barn_on(disk) as barn:
        await barn.put("/a", 1)
        applied = (await barn.status()).applied_index
        done = await BarnAdmin(barn).defrag()
        assert done.snapshot_index >= applied
        assert (await barn.status()).snapshot_index == done.snapshot_index
        await barn.put("/b", 1)
    async with barn_on(disk.crash()) as barn:
        assert (await barn.status()).keys == 2


async def test_a_full_store_refuses_puts_says_so_and_takes_them_again():
    async with barn_on(FaultyDisk()) as barn:
        admin = BarnAdmin(barn)
        await admin.set_limits(SetLimits(quota_bytes=QUOTA_BYTES_MIN))
        for number in range(5):
            await barn.put(f"/{number}", bytes(200_000))
        with pytest.raises(Unavailable, match="that it may have") as full:
            await barn.put("/5", bytes(200_000))
        assert full.value.code == "quota_exceeded"
        status = await barn.status()
        assert status.is_alarmed
        assert status.size_bytes <= status.quota_bytes == QUOTA_BYTES_MIN
        await barn.delete_prefix("/")
        await admin.compact((await barn.status()).revision)
        assert not (await barn.status()).is_alarmed
        await barn.put("/5", bytes(200_000))


async def test_a_watch_is_told_what_it_asked_for_and_nothing_else():
    async with barn_on(FaultyDisk()) as barn:
        await barn.put("/a", 1)
        interest = Interest((), (one_key("/a"),), Skip.PUTS, want_before=True)
        async with anyio.create_task_group() as group, aclosing(barn.polls(interest, 0)) as answers:

            async def write() -> None:
                await barn.put("/a", 2)
                await barn.put("/b", 1)
                await barn.delete("/a")

            group.start_soon(write)
            async for watched in answers:
                if watched.changes:
                    break
        (change,) = watched.changes
        assert (change.revision, change.now) == (4, None)
        assert change.before is not None
        assert change.before.value == b"2"


async def test_watches_of_one_prefix_are_all_told_everything_in_order():
    async with barn_on(FaultyDisk()) as barn:
        seen: dict[int, list[int]] = {}

        async def watch(number: int) -> None:
            seen[number] = []
            async with aclosing(barn.watch("/a/", after_revision=0)) as changes:
                async for watched in changes:
                    seen[number] += [change.revision for change in watched.changes]
                    if watched.revision >= 30:
                        return

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(watch, number)
            for number in range(30):
                await barn.put(f"/a/{number % 7}", number)
        assert all(revisions == list(range(1, 31)) for revisions in seen.values())


@pytest.mark.trio
async def test_changes_are_forgotten_after_their_time(autojump_clock: trio.testing.MockClock):
    async with barn_on(FaultyDisk(), keep_s=60.0) as barn:
        for number in range(5):
            await barn.put("/a", number)
        await anyio.sleep(50.0)
        assert (await barn.status()).compacted == 0
        await barn.put("/a", 5)
        await anyio.sleep(12.0)
        status = await barn.status()
        assert (status.compacted, status.revision, status.history_changes) == (5, 6, 1)


@pytest.mark.trio
async def test_a_watch_that_sees_nothing_is_told_how_far_nothing_has_happened(
    autojump_clock: trio.testing.MockClock,
):
    async with barn_on(FaultyDisk()) as barn:
        revisions = []
        async with aclosing(barn.polls(Interest(("/none",)), 0)) as answers:
            async for watched in answers:
                assert watched.changes == ()
                revisions.append(watched.revision)
                if len(revisions) == 3:
                    break
                await barn.put("/other", 1)
        assert all(after > before for before, after in pairwise(revisions))
