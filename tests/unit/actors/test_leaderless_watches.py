"""Watches at a member that is cut off, under virtual time: they are sent on within some seconds, and no event is lost or told twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
import trio.testing
from member_world import Three, three_members
from runink.actors.group import TICK_S
from runink.barn.leases import TICK_S as LOOK_S
from runink.barn.pending import LEADERLESS_TICKS
from runink.barn.watching import Interest
from runink.clients.barn import WATCH_WAIT_S, BarnClient
from runink.clients.barn_requests import WatchFrom
from runink.clients.members import reaching
from runink.errors import Unavailable
from runink.runtime.ref import Ref

pytestmark = pytest.mark.trio

ELECTION_S = 1.0  # without a leader's word, at most, until a member notices
NOTICED_S = ELECTION_S + LEADERLESS_TICKS * TICK_S + LOOK_S + TICK_S


@asynccontextmanager
async def reached(three: Three, member: int) -> AsyncIterator[Ref[Any]]:
    """Reach a member as a client does whom the cut between the members does not touch."""
    yield three.refs[member]


async def refused_after_s(three: Three, member: int, after_revision: int) -> float:
    """Watch at a member; return how long it took to be sent on."""
    began_s = anyio.current_time()
    with pytest.raises(Unavailable) as caught:
        await three.refs[member].ask(WatchFrom(("/",), after_revision), within=WATCH_WAIT_S + 5)
    assert caught.value.code == "no_leader"
    return anyio.current_time() - began_s


@pytest.mark.parametrize("leads", [True, False])
async def test_who_waits_at_a_member_that_is_cut_off_is_sent_on(
    autojump_clock: trio.testing.MockClock, *, leads: bool
):
    async with three_members() as three:
        lead = await three.leader()
        cut = lead if leads else lead % 3 + 1
        revision = await three.client(lead).put("/a", 1)
        await three.until_applied(cut, revision)
        three.cut.add(cut)
        waited_s = await refused_after_s(three, cut, revision)
        assert LEADERLESS_TICKS * TICK_S <= waited_s <= NOTICED_S
        assert await refused_after_s(three, cut, revision) == 0.0
        # What is known there is told all the same.
        known = await three.refs[cut].ask(WatchFrom(("/",), 0), within=1.0)
        assert [change.key for change in known.changes] == ["/a"]
        three.cut.clear()
        await three.leader()
        await anyio.sleep(2 * TICK_S)  # each tick it looks whether it has heard of one
        waiting = await three.refs[cut].ask(WatchFrom(("/",), revision, wait_s=20.0), within=25.0)
        assert not waiting.changes


async def test_a_watch_that_has_seen_more_than_a_member_that_is_cut_off_is_sent_on(
    autojump_clock: trio.testing.MockClock,
):
    async with three_members() as three:
        lead = await three.leader()
        cut = lead % 3 + 1
        three.cut.add(cut)
        revision = await three.client(lead).put("/a", 1)
        assert await refused_after_s(three, cut, revision) <= NOTICED_S


async def test_nobody_is_sent_on_by_an_election(autojump_clock: trio.testing.MockClock):
    async with three_members() as three:
        lead = await three.leader()
        other, third = lead % 3 + 1, (lead + 1) % 3 + 1
        revision = await three.client(lead).put("/a", 1)
        await three.until_applied(other, revision)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(three.client(third).put, "/b", 2)
            three.kill(lead)
            found = await three.refs[other].ask(WatchFrom(("/",), revision), within=10.0)
        assert [change.key for change in found.changes] == ["/b"]


async def test_a_client_of_several_members_goes_on_at_another_one_and_is_told_everything_once(
    autojump_clock: trio.testing.MockClock,
):
    async with (
        three_members() as three,
        reaching({member: partial(reached, three, member) for member in (1, 2, 3)}) as members,
    ):
        seen: list[tuple[str, int]] = []
        told = anyio.Event()

        async def watch() -> None:
            nonlocal told
            async with aclosing(BarnClient(members).polls(Interest(("/",)), 0)) as answers:
                async for watched in answers:
                    seen.extend((change.key, change.revision) for change in watched.changes)
                    told.set()
                    told = anyio.Event()

        async with anyio.create_task_group() as tasks:
            await three.leader()
            tasks.start_soon(watch)
            expected: list[tuple[str, int]] = []
            for turn in range(6):
                cut = turn % 3 + 1
                three.cut = {cut}
                began_s = anyio.current_time()
                writer = three.client(cut % 3 + 1)
                for number in range(3):
                    key = f"/{turn}/{number}"
                    expected.append((key, await writer.put(key, number)))
                while len(seen) < len(expected):
                    await told.wait()
                assert anyio.current_time() - began_s < NOTICED_S + 2 * ELECTION_S
                three.cut = set()
                await three.leader()
            tasks.cancel_scope.cancel()
        assert seen == expected
