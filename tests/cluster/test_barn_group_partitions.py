"""Three real members in network namespaces, with TLS between them: who goes on, and who says that it cannot, when packets are lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from barn_group import ANSWER_S, WAIT_S, BarnGroup, Namespaces, begun, until
from runink.barn.keyvalue import one_key
from runink.clients.barn_requests import Read
from runink.errors import RuninkError, TimedOut

pytestmark = pytest.mark.anyio

TRIES = 5  # a busy machine has elections by itself: what a fault must not do is seen where it leaves one time quiet


@pytest.fixture
def anyio_backend() -> str:
    """Processes are the same under both; asyncio sometimes reads from a Unix socket for somebody who was cancelled just then."""
    return "trio"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BarnGroup]:
    """Three members, for all of these tests: each leaves them whole."""
    with begun(tmp_path_factory.mktemp("apart"), Namespaces()) as group:
        yield group


@asynccontextmanager
async def apart(group: BarnGroup) -> AsyncIterator[tuple[BarnGroup, Namespaces]]:
    network = group.network
    assert isinstance(network, Namespaces)
    await group.ready()
    await group.leader()
    try:
        yield group, network
    finally:
        network.heal()


async def refuses(group: BarnGroup, member: int) -> None:
    """Check that a member takes neither writes nor linearizable reads, says so, and still tells what it knows."""
    async with group.client(member, within_s=2.0) as barn:
        await until(barn.status, f"connection to member {member}")
        with pytest.raises(RuninkError) as refused:
            await barn.put("/t/refused", member)
        assert refused.value.code in {"outcome_unknown", "timed_out", "no_leader"}
    async with group.connect(member) as ref:
        with pytest.raises(TimedOut):
            await ref.ask(Read((one_key("/t/a"),)), within=1.0)
        old = await ref.ask(Read((one_key("/t/a"),), serializable=True), within=ANSWER_S)
        assert len(old.pages[0].items) == 1


async def takes(group: BarnGroup, *members: int) -> int:
    """Check that each of these members takes writes, and shows them; return the last revision."""
    revision = 0
    for member in members:
        async with group.client(member, within_s=WAIT_S) as barn:
            revision = await barn.put("/t/a", member)
            found = await barn.get("/t/a", int)
            assert found is not None
            assert found.revision == revision
    return revision


async def leaderless(group: BarnGroup, member: int) -> bool:
    return (await group.status(member)).lead == 0


async def test_a_leader_that_is_cut_off_gives_up_and_the_others_go_on(running: BarnGroup):
    async with apart(running) as (group, network):
        await takes(group, 1, 2, 3)
        lead = await group.leader()
        others = sorted(set(group.members) - {lead})
        network.isolate(lead)
        await takes(group, *others)
        await until(partial(leaderless, group, lead), "member that gave up")
        await refuses(group, lead)
        network.heal()
        await group.equal(await takes(group, 1, 2, 3))


async def test_with_everybody_cut_off_nobody_takes_anything_until_it_is_over(running: BarnGroup):
    async with apart(running) as (group, network):
        await takes(group, 1)
        network.cut(*((a, b) for a in group.members for b in group.members if a != b))
        for member in group.members:
            await until(partial(leaderless, group, member), "member that gave up")
        for member in group.members:
            await refuses(group, member)
        network.heal()
        await group.equal(await takes(group, 1, 2, 3))


@pytest.mark.parametrize("direction", ["deafen", "mute"])
async def test_a_leader_that_is_only_heard_or_only_hears_is_replaced(
    running: BarnGroup, direction: str
):
    async with apart(running) as (group, network):
        await takes(group, 1)
        lead = await group.leader()
        others = sorted(set(group.members) - {lead})
        getattr(network, direction)(lead)
        await takes(group, *others)
        await refuses(group, lead)
        network.heal()
        await group.equal(await takes(group, 1, 2, 3))


async def test_a_follower_that_hears_nobody_disturbs_nobody(running: BarnGroup):
    async with apart(running) as (group, network):
        for _ in range(TRIES):
            if await stays_quiet(group, network):
                return
        raise AssertionError("each time a term has ended, or a leader has gone")


async def stays_quiet(group: BarnGroup, network: Namespaces) -> bool:
    """Have a follower hear nobody for a while; say whether term and leader are the same while it does and behind that."""
    await takes(group, 1)
    lead = await group.leader()
    follower = lead % 3 + 1
    term = (await group.status(lead)).term
    network.deafen(follower)
    await until(partial(leaderless, group, follower), "member that lost its leader")
    await takes(group, *(set(group.members) - {follower}))
    term_then = (await group.status(lead)).term  # the pre-vote keeps it from pushing terms
    network.heal()
    revision = await takes(group, 1, 2, 3)
    await group.equal(revision)
    return term_then == term and await group.leader() == lead


async def test_two_members_that_reach_each_other_only_by_the_third_go_on(running: BarnGroup):
    async with apart(running) as (group, network):
        lead = await bridging_leader(group, network)
        bridge = lead % 3 + 1
        network.part(lead, next(iter(set(group.members) - {lead, bridge})))
        await takes(group, lead, bridge)
        await until(partial(agree, group, bridge), "leader that the bridge follows")
        await takes(group, bridge)
        network.heal()
        await group.equal(await takes(group, 1, 2, 3))


async def bridging_leader(group: BarnGroup, network: Namespaces) -> int:
    """Part the two that follow, so that the leader is the bridge; return it when nothing has changed by that."""
    for _ in range(TRIES):
        await takes(group, 1)
        lead = await group.leader()
        network.part(*sorted(set(group.members) - {lead}))
        await takes(group, 1, 2, 3)
        if (await group.status(lead)).lead == lead:
            return lead
        network.heal()
    raise AssertionError("each time the leader has changed")


async def agree(group: BarnGroup, bridge: int) -> bool:
    """Say whether the bridge follows somebody; whom, both sides may want, but not for ever."""
    return (await group.status(bridge)).lead != 0
