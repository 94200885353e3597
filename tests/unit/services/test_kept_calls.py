"""Records of calls in the Barn: of two who write at once one does, and each is there for a day and then goes by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from runink.barn.keys import KEPT_CALLS
from runink.errors import Overloaded
from runink.operations.idempotency import Record, place_of
from runink.services import kept_calls
from runink.services.kept_calls import KEPT_ALIVE_MS, LEASE_SINCE_MS, BarnCalls
from runink.testing.served import Served, served

pytestmark = pytest.mark.anyio
RECORD = Record(b"\x00\xff", 1, 2, 201, (("ETag", '"7-1"'),), b"{}")


@asynccontextmanager
async def kept() -> AsyncIterator[tuple[BarnCalls, Served]]:
    async with served() as cluster:
        yield BarnCalls(cluster.barn, clock=lambda: cluster.now_ms), cluster


async def leases(cluster: Served) -> set[int]:
    listing = await cluster.barn.range(KEPT_CALLS.prefix(), Record)
    return {one.lease for one in listing.items}


async def test_what_is_written_is_read_by_every_member_and_changed_by_who_has_read_it():
    async with kept() as (store, cluster):
        other = BarnCalls(cluster.barn)
        assert await store.read("a") == (None, 0)
        version = await store.write("a", RECORD, version=0)
        assert await other.read("a") == (RECORD, version)
        assert await other.write("a", RECORD, version=0) == 0
        after = await other.write("a", RECORD, version=version)
        assert after > version
        assert await store.write("a", RECORD, version=version) == 0


async def test_one_lease_of_a_day_serves_for_the_records_of_an_hour():
    async with kept() as (store, cluster):
        await store.write("a", RECORD, version=0)
        cluster.now_ms += LEASE_SINCE_MS - 1
        await store.write("b", RECORD, version=0)
        assert len(await leases(cluster)) == 1
        (first,) = await leases(cluster)
        status = await cluster.barn.status()
        assert status.leases == 1
        cluster.now_ms += 1
        await store.write("c", RECORD, version=0)
        assert len(await leases(cluster)) == 2
        await cluster.barn.revoke_lease(first)
        assert await store.read("a") == (None, 0)
        assert (await store.read("c"))[0] == RECORD


async def test_a_lease_is_kept_alive_while_records_are_attached_to_it_once_a_minute(monkeypatch):
    async with kept() as (store, cluster):
        renewed: list[int] = []
        keep = cluster.barn.keep_lease

        async def counted(lease: int) -> None:
            renewed.append(lease)
            await keep(lease)

        monkeypatch.setattr(store._barn, "keep_lease", counted)
        for place in range(4):
            await store.write(str(place), RECORD, version=0)
            cluster.now_ms += KEPT_ALIVE_MS // 2
        assert len(renewed) == 1
        assert await leases(cluster) == set(renewed)


async def test_a_lease_that_somebody_has_ended_is_made_anew():
    async with kept() as (store, cluster):
        await store.write("a", RECORD, version=0)
        (lease,) = await leases(cluster)
        await cluster.barn.revoke_lease(lease)
        assert await store.write("b", RECORD, version=0)
        (lease,) = await leases(cluster)
        await cluster.barn.revoke_lease(lease)
        cluster.now_ms += KEPT_ALIVE_MS
        assert await store.write("c", RECORD, version=0)


async def test_who_sends_a_new_key_with_each_request_takes_none_of_others(monkeypatch):
    monkeypatch.setattr(kept_calls, "NEW_OF_ONE_MAX", 2)
    async with kept() as (store, cluster):
        for key in ("1", "2"):
            await store.write(place_of("user:corp:ann", "", "runs.submit", key), RECORD, version=0)
        with pytest.raises(Overloaded, match="you have"):
            await store.write(place_of("user:corp:ann", "", "runs.submit", "3"), RECORD, version=0)
        await store.write(place_of("user:corp:ben", "", "runs.submit", "3"), RECORD, version=0)
        cluster.now_ms += LEASE_SINCE_MS
        await store.write(place_of("user:corp:ann", "", "runs.submit", "3"), RECORD, version=0)


async def test_who_sends_a_new_key_with_each_request_does_not_fill_the_barn(monkeypatch):
    monkeypatch.setattr(kept_calls, "NEW_PER_LEASE_MAX", 2)
    async with kept() as (store, cluster):
        version = await store.write("a", RECORD, version=0)
        await store.write("b", RECORD, version=0)
        with pytest.raises(Overloaded):
            await store.write("c", RECORD, version=0)
        assert await store.write("a", RECORD, version=version)
        cluster.now_ms += LEASE_SINCE_MS
        assert await store.write("c", RECORD, version=0)
