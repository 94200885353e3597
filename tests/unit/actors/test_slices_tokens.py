"""Tokens of slices: for an attempt that runs at a node, and for as long as it does."""

from __future__ import annotations

import anyio
import msgspec
import pytest
import trio.testing
from access_world import HERD, WITHIN_S, AccessWorld, access_world, code_of
from runink.actors.access_board import LOOK_S
from runink.barn.keys import run_key, slice_key
from runink.clients.identity_requests import MintedToken, MintForSlice
from runink.dag import Resources
from runink.identity.vocabulary import Resource, Verb
from runink.names import BundleHash, NodeId, PipelineName, RunId, SliceId
from runink.runs.records import RunRecord, RunState, SliceRecord, SliceState

pytestmark = pytest.mark.trio
RUN, SLICE, NODE = RunId("01JDYX5K3QW8R2M4N6P7S9T0V1"), SliceId("bronze"), NodeId("w1")
OF_RUN = RunRecord(RUN, HERD, PipelineName("daily"), "v", "daily", "d.dsl", ".", BundleHash("b"), RunState.RUNNING, 0)  # fmt: skip
OF_SLICE = SliceRecord(SLICE, RUN, HERD, "a", SliceState.RUNNING, Resources(), attempt=2, node=NODE)


async def put(world: AccessWorld, record: RunRecord | SliceRecord) -> None:
    key = run_key(HERD, RUN) if isinstance(record, RunRecord) else slice_key(HERD, RUN, SLICE)
    await world.barn.put(key, record)


async def running(world: AccessWorld) -> None:
    await world.declare()
    await put(world, OF_RUN)
    await put(world, OF_SLICE)


async def minted(world: AccessWorld, node: str = NODE, attempt: int = 2) -> MintedToken:
    asked = MintForSlice(NodeId(node), HERD, RUN, SLICE, attempt)
    return await world.first.identity.ask(asked, within=WITHIN_S)


async def test_a_slice_has_a_token_of_its_run_that_is_good_at_every_member(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world() as world:
        await running(world)
        made = await minted(world)
        for member in world.members:
            principal = await member.board.authenticate(made.token)
            assert principal.subject == f"slice:sales/{RUN}/bronze/2"
            assert member.allows(principal, Verb.GET, Resource.RUNS, HERD, RUN)
            assert not member.allows(principal, Verb.GET, Resource.RUNS, HERD, "01A")
            assert not member.allows(principal, Verb.CANCEL, Resource.RUNS, HERD, RUN)


async def test_only_an_attempt_that_runs_at_that_node_has_one(
    autojump_clock: trio.testing.MockClock,
):
    async with access_world(members=1) as world:
        assert await code_of(minted(world)) == "no_such_attempt"
        await running(world)
        for asked in (minted(world, "w2"), minted(world, attempt=1), minted(world, attempt=3)):
            assert await code_of(asked) == "no_such_attempt"
        assert await minted(world)


@pytest.mark.parametrize(
    "then",
    [
        msgspec.structs.replace(OF_RUN, state=RunState.CANCELLED),
        msgspec.structs.replace(OF_SLICE, state=SliceState.SUCCEEDED),
        msgspec.structs.replace(OF_SLICE, attempt=3),
        msgspec.structs.replace(OF_SLICE, node=NodeId("w2")),
    ],
)
async def test_its_token_ends_with_the_attempt_within_two_seconds(
    then: RunRecord | SliceRecord, autojump_clock: trio.testing.MockClock
):
    async with access_world() as world:
        await running(world)
        token = (await minted(world)).token
        assert not any([await one.refuses(token) for one in world.members])
        await put(world, then)
        await anyio.sleep(LOOK_S)
        assert all([await one.refuses(token) for one in world.members])


async def test_it_is_looked_for_again_only_after_a_while(autojump_clock: trio.testing.MockClock):
    async with access_world(members=1) as world:
        await running(world)
        token = (await minted(world)).token
        assert not await world.first.refuses(token)
        world.first.line.is_cut = True
        assert not await world.first.refuses(token)
        await anyio.sleep(LOOK_S)
        assert await code_of(world.first.board.authenticate(token)) == "link_lost"
