"""What the Barn counts, and that all of it stands in the table of metrics."""

from __future__ import annotations

from contextlib import aclosing

import pytest
import trio.testing
from member_world import three_members
from msgspec import convert, to_builtins
from runink.barn.keyvalue import one_key
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import Measure, Measures, Read
from runink.errors import NotFound
from runink.observe.metrics import METRICS, Reading

pytestmark = pytest.mark.trio


async def readings(barn: BarnClient) -> dict[tuple[str, str], Reading]:
    """Return what a member tells, by name and label."""
    found = convert(to_builtins(await barn.ask(Measure())), Measures).readings  # as over the wire
    return {
        (one.name.removeprefix("runink_barn_"), ",".join(one.labels.values())): one for one in found
    }


async def test_a_leader_tells_every_metric_of_the_table_and_a_follower_but_one(
    autojump_clock: trio.testing.MockClock,
):
    async with three_members() as three:
        leader = await three.leader()
        await three.client(leader).put("/a", 1)
        names = {name for name in METRICS if name.startswith("runink_barn_")}
        told = {reading.name for reading in (await readings(three.client(leader))).values()}
        assert told == names
        other = min({1, 2, 3} - {leader})
        told = {reading.name for reading in (await readings(three.client(other))).values()}
        assert names - told == {"runink_barn_peer_behind_entries"}


async def test_what_is_done_is_counted(autojump_clock: trio.testing.MockClock):
    async with three_members() as three:
        leader = await three.leader()
        barn = three.client(leader)
        before = await readings(barn)
        lease = await barn.grant_lease(1.0)
        await barn.put("/a", 1, lease=lease)
        with pytest.raises(NotFound):
            await barn.put("/b", 1, lease=99)
        await barn.ask(Read((one_key("/a"),), serializable=True))
        async with aclosing(barn.watch("/a", after_revision=0)) as changes:
            assert (await anext(changes)).revision == 1
            assert (await anext(changes)).revision == 2  # nobody keeps the lease
        assert await barn.get("/a", int) is None
        now = await readings(barn)
    grown = {key: now[key].value - before[key].value for key in now}
    assert grown["proposals_total", "applied"] == 3  # the end of the lease is the member's own
    assert grown["proposals_total", "declined"] == 1
    assert grown["leases_expired_total", ""] == 1
    assert grown["reads_total", "linearizable"] == grown["reads_total", "serializable"] == 1
    assert (grown["watch_answers_total", ""], grown["watch_changes_total", ""]) == (2, 2)
    assert grown["log_entries_total", ""] == 4
    assert sum(now["proposal_seconds", ""].counts) == sum(before["proposal_seconds", ""].counts) + 4
    assert now["leader_changes_total", ""].value >= 1
    others = {str(member) for member in (1, 2, 3)} - {str(leader)}
    assert all(grown["peer_messages_total", other] > 0 for other in others)
    assert {now["peer_behind_entries", other].value for other in others} == {0}
