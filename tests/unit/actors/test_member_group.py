"""Three members in one process, under virtual time: elections, writes through any of them, slow and lost ones, states that are sent whole."""

from __future__ import annotations

from contextlib import aclosing
from random import Random

import anyio
import pytest
import trio.testing
from member_world import Three, three_members
from runink.actors import peers, snapshot_transfer
from runink.barn.keyvalue import one_key
from runink.clients.barn_requests import HashAt, MoveLeader, Read
from runink.errors import RuninkError, TimedOut
from runink.storage import log_storage

pytestmark = pytest.mark.trio

FAILOVER_S = 5.0  # an election takes a second or two


async def agree(three: Three, revision: int) -> None:
    """Wait until all members have applied so much, and check that their states came about in the same way."""
    for member in (1, 2, 3):
        await three.until_applied(member, revision)
    hashes = {
        (await three.refs[member].ask(HashAt(revision), within=5.0)).digest for member in (1, 2, 3)
    }
    assert len(hashes) == 1


async def test_every_member_takes_writes_and_reads_what_any_has_written(
    autojump_clock: trio.testing.MockClock,
):
    async with three_members() as three:
        for writer in (1, 2, 3):
            revision = await three.client(writer).put(f"/{writer}", writer)
            for reader in (1, 2, 3):
                found = await three.client(reader).get(f"/{writer}", int)
                assert found is not None
                assert (found.value, found.revision) == (writer, revision)
        await agree(three, 3)


async def test_a_leader_that_dies_is_followed_by_another_one_and_nothing_is_lost(
    autojump_clock: trio.testing.MockClock,
):
    async with three_members() as three:
        for turn in range(4):
            lead = await three.leader()
            before = await three.client(lead).put(f"/{turn}/before", turn)
            three.kill(lead)
            other = lead % 3 + 1
            began_s = anyio.current_time()
            after = await three.client(other).put(f"/{turn}/after", turn)
            assert anyio.current_time() - began_s < FAILOVER_S
            assert after > before
            listed = await three.client(other).range("/", int)
            assert [item.key for item in listed.items] == sorted(
                f"/{number}/{when}" for number in range(turn + 1) for when in ("before", "after")
            )
            await three.begin(lead)
        await agree(three, 8)


async def test_all_of_them_may_lose_power_at_once(autojump_clock: trio.testing.MockClock):
    async with three_members() as three:
        for number in range(20):
            await three.client(number % 3 + 1).put(f"/{number:03}", number)
        for member in (1, 2, 3):
            three.kill(member)
        for member in (1, 2, 3):
            await three.begin(member)
        listed = await three.client(2).range("/", int)
        assert [item.value for item in listed.items] == list(range(20))
        await agree(three, 20)


async def test_a_member_that_is_cut_off_takes_no_writes_and_no_linearizable_reads(
    autojump_clock: trio.testing.MockClock,
):
    async with three_members() as three:
        lead = await three.leader()
        await three.client(lead).put("/a", 1)
        three.cut.add(lead)
        old, new = three.client(lead, within_s=5.0), three.client(lead % 3 + 1)
        with pytest.raises(RuninkError):
            await old.put("/a", 2)
        await new.put("/a", 3)
        with pytest.raises(TimedOut):
            await old.get("/a", int)
        stale = await three.refs[lead].ask(Read((one_key("/a"),), serializable=True), within=1.0)
        assert stale.pages[0].items[0].value == b"1"
        assert (await three.status(lead)).lead == 0
        three.cut.clear()
        found = await three.client(lead).get("/a", int)
        assert found is not None
        assert found.value == 3  # the one that was not acknowledged is nowhere
        await agree(three, found.revision)


async def test_a_member_that_lags_behind_the_log_gets_the_state_in_chunks_and_goes_on_after_an_interruption(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log_storage, "SNAPSHOT_ENTRIES", 40)
    monkeypatch.setattr(log_storage, "KEPT_ENTRIES", 5)
    monkeypatch.setattr(snapshot_transfer, "CHUNK_BYTES", 1000)
    async with three_members() as three:
        lead = await three.leader()
        away = lead % 3 + 1
        three.kill(away)
        barn = three.client(lead)
        for number in range(120):
            await barn.put(f"/{number % 20:03}", bytes(500))
        three.chunks_until_cut = 4
        await three.begin(away)
        await three.interrupted.wait()
        sent = list(three.chunks)
        assert [offset for _, offset, _ in sent] == [0, 0, 1000, 2000, 3000]
        three.kill(away)  # a new life goes on with what the last one received
        await three.begin(away)
        found = await three.until_applied(away, 120)
        assert found.snapshot_index > 80
        resumed = three.chunks[len(sent) :]
        assert {receiver for receiver, _, _ in resumed} == {away}
        await agree(three, 120)


async def test_a_watch_at_a_member_whose_state_is_replaced_misses_nothing(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log_storage, "SNAPSHOT_ENTRIES", 40)
    monkeypatch.setattr(log_storage, "KEPT_ENTRIES", 5)
    async with three_members() as three:
        lead = await three.leader()
        away = lead % 3 + 1
        seen: list[int] = []

        async def watch() -> None:
            async with aclosing(three.client(away).watch("/a/", after_revision=0)) as changes:
                async for watched in changes:
                    seen.extend(change.revision for change in watched.changes)
                    if len(seen) >= 100:
                        return

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            for number in range(100):
                if number == 10:
                    three.cut.add(away)
                await three.client(lead).put(f"/a/{number}", number)
            three.cut.clear()
        assert seen == list(range(1, 101))
        assert any(receiver == away for receiver, _, _ in three.chunks)


async def test_a_slow_member_holds_nobody_up_and_comes_to_the_same_state(
    autojump_clock: trio.testing.MockClock,
):
    async with three_members() as three:
        lead = await three.leader()
        slow = lead % 3 + 1
        three.delays_s[slow] = 0.3
        began_s = anyio.current_time()
        for number in range(200):
            await three.client(lead).put(f"/{number}", number)
        assert anyio.current_time() - began_s < 1.0
        assert await three.leader() == lead
        await agree(three, 200)


async def test_a_member_whose_queue_overflows_is_caught_up_all_the_same(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(peers, "PEER_BYTES_MAX", 600_000)  # a full message fits
    async with three_members() as three:
        lead = await three.leader()
        slow = lead % 3 + 1
        three.delays_s[slow] = 0.4
        for number in range(100):
            await three.client(lead).put(f"/{number}", bytes(40_000))
        three.delays_s.clear()
        await agree(three, 100)


async def test_the_leadership_is_handed_over_without_an_election_time_out(
    autojump_clock: trio.testing.MockClock,
):
    async with three_members() as three:
        lead = await three.leader()
        successor = lead % 3 + 1
        began_s = anyio.current_time()
        await three.refs[lead].ask(MoveLeader(successor), within=5.0)
        await three.client(lead).put("/a", 1)
        assert await three.leader() == successor
        assert anyio.current_time() - began_s < 0.5


@pytest.mark.parametrize("seed", range(5))
async def test_clients_that_retry_are_applied_once_whoever_dies(
    autojump_clock: trio.testing.MockClock, seed: int
):
    random = Random(seed)
    async with three_members() as three:
        acknowledged: list[int] = []

        async def write(writer: int) -> None:
            for _ in range(30):
                member = random.choice((1, 2, 3))
                try:
                    acknowledged.append(
                        await three.client(member, within_s=30.0).put(f"/{writer}", 0)
                    )
                except RuninkError:
                    continue
                await anyio.sleep(random.random() / 10)

        async def kill() -> None:
            for _ in range(4):
                await anyio.sleep(random.random())
                member = random.choice((1, 2, 3))
                three.kill(member)
                await anyio.sleep(random.random())
                await three.begin(member)

        async with anyio.create_task_group() as group:
            group.start_soon(kill)
            for writer in range(4):
                group.start_soon(write, writer)
        await three.leader()
        listed = await three.client(1).range("/", int)
        assert len(acknowledged) == len(set(acknowledged))
        versions = 0
        for item in listed.items:
            versions += item.version
        assert len(acknowledged) <= versions <= 120
        await agree(three, listed.revision)
