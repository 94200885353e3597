"""A group of three loses two for good, under virtual time: the third goes on alone, others join it, and what is left of the old group is a stranger to it."""

from __future__ import annotations

from contextlib import suppress

import anyio
import pytest
import trio.testing
from member_world import Three, three_members
from runink.actors.recovering import Survivor, look, recover
from runink.barn.commands import NameCluster
from runink.barn.keyvalue import key_prefix
from runink.clients.barn import BarnClient
from runink.clients.membership import MembershipAdmin
from runink.errors import Conflict, Refused, RuninkError, WalCorrupt
from runink.testing.disk import FaultyDisk

pytestmark = pytest.mark.trio

SETTLED_S = 10.0  # of elections, if there were any


def recovered(disk: FaultyDisk, member: int) -> Survivor:
    survivor = look(disk, member)
    recover(disk, survivor, cluster="new")
    return survivor


async def keys_at(barn: BarnClient) -> dict[str, int]:
    return {found.key: found.value for found in (await barn.range("/k/", int)).items}


async def one_is_left(three: Three) -> tuple[int, dict[str, int]]:
    """Write, and kill all but one who has it all; return who that is, and what was acknowledged."""
    lead = await three.leader()
    left = lead % 3 + 1
    barn = three.client(lead)
    await barn.propose(NameCluster("old"))
    for number in range(30):
        await barn.put(f"/k/{number:02}", number)
    await three.until_applied(left, 30)
    three.cut.add(left)
    # The old group goes on without it for a while: in a later term, with entries that it does not have.
    other = (lead % 3 + 1) % 3 + 1
    with suppress(RuninkError):
        await three.client(other).put("/k/lost", -1)
    for member in (1, 2, 3):
        three.kill(member)
    return left, {f"/k/{number:02}": number for number in range(30)}


async def test_all_that_it_has_goes_on_and_the_old_members_change_nothing(
    autojump_clock: trio.testing.MockClock,
):
    async with three_members() as three:
        left, acknowledged = await one_is_left(three)
        survivor = recovered(three.disks[left], left)
        assert survivor.group.voters == (1, 2, 3)
        await three.begin(left)
        barn = three.client(left)
        assert await keys_at(barn) == acknowledged
        await barn.put("/k/new", 99)
        before = await three.status(left)
        assert (before.voters, before.lead, before.cluster) == ((left,), left, "new")

        olds = [member for member in (1, 2, 3) if member != left]
        await three.begin(olds[0])
        await anyio.sleep(SETTLED_S)
        alone = await three.status(olds[0])
        assert (alone.lead, alone.cluster, alone.voters) == (0, "old", (1, 2, 3))
        after = await three.status(left)
        assert (after.term, after.lead, after.revision) == (before.term, left, before.revision)

        # Two of them lead each other, as nobody can prevent; still the two groups do not mix.
        await three.begin(olds[1])
        await anyio.sleep(SETTLED_S)
        assert (await three.status(olds[0])).lead in olds
        await three.client(olds[0]).put("/k/old", 1)
        await barn.put("/k/newer", 100)
        await anyio.sleep(SETTLED_S)
        after = await three.status(left)
        assert (after.term, after.lead) == (before.term, left)
        assert await keys_at(barn) == acknowledged | {"/k/new": 99, "/k/newer": 100}
        assert set(await keys_at(three.client(olds[1]))) == {*acknowledged, "/k/lost", "/k/old"}


async def test_an_old_member_that_is_added_with_its_old_folder_does_not_come_in(
    autojump_clock: trio.testing.MockClock,
):
    async with three_members() as three:
        left, acknowledged = await one_is_left(three)
        recovered(three.disks[left], left)
        await three.begin(left)
        barn = three.client(left)
        old = left % 3 + 1
        await MembershipAdmin(barn).add(old, "127.0.0.1:1")
        await three.begin(old)
        await anyio.sleep(SETTLED_S)
        with pytest.raises(Conflict) as caught:
            await MembershipAdmin(barn).promote(old)
        assert caught.value.code == "not_caught_up"
        assert (await three.status(old)).cluster == "old"
        assert await keys_at(barn) == acknowledged


async def test_an_emptied_member_joins_and_votes(autojump_clock: trio.testing.MockClock):
    async with three_members() as three:
        left, acknowledged = await one_is_left(three)
        recovered(three.disks[left], left)
        await three.begin(left)
        admin = MembershipAdmin(three.client(left))
        for member in (member for member in (1, 2, 3) if member != left):
            three.disks[member] = FaultyDisk()
            await admin.add(member, "127.0.0.1:1")
            await three.begin(member, voters=())

            await three.until_applied(member, (await three.status(left)).revision)
            await admin.promote(member)
        # Before it is known everywhere who votes, the death of who leads could leave nobody to be elected.
        revision = await three.client(left).put("/done", 1)
        for member in (1, 2, 3):
            await three.until_applied(member, revision)
        three.kill(left)
        found = await three.leader()
        assert await keys_at(three.client(found)) == acknowledged
        assert (await three.status(found)).cluster == "new"


async def test_entries_that_are_not_known_to_be_committed_are_taken_in(
    autojump_clock: trio.testing.MockClock,
):
    async with three_members() as three:
        lead = await three.leader()
        await three.client(lead).put("/k/known", 1)
        three.cut = {1, 2, 3}
        with suppress(RuninkError):
            await three.client(lead, within_s=0.2).put("/k/unknown", 2)
        three.kill(lead)
        disk = three.disks[lead]
        survivor = look(disk, lead)
        assert survivor.uncertain >= 1
        state = recover(disk, survivor, cluster="new")
        assert [item.key for item in state.range(key_prefix("/k/")).items] == [
            "/k/known",
            "/k/unknown",
        ]
        assert look(disk, lead).is_alone


async def test_a_member_that_never_had_anything_is_refused():
    with pytest.raises(Refused) as caught:
        look(FaultyDisk(), 3)
    assert caught.value.code == "no_state"


async def test_damage_is_refused_and_left_as_it_is(autojump_clock: trio.testing.MockClock):
    async with three_members() as three:
        left, _ = await one_is_left(three)
        disk = three.disks[left]
        name = next(name for name in disk.names() if name.startswith("wal-"))
        disk.flip(name, bit=8 * 200)
        before = {name: disk.read(name) for name in disk.names()}
        with pytest.raises(WalCorrupt):
            look(disk, left)
        assert {name: disk.read(name) for name in disk.names()} == before
