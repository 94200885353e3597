"""What governance answers from the Barn, in virtual time, beside the scheduler that decides."""

from __future__ import annotations

import anyio
import pytest
import trio.testing
from controlled_world import HERD, SOON_S, Controlled, controlled
from runink.actors.reasoning import replay, why
from runink.clients.barn_admin import BarnAdmin
from runink.clients.run_requests import WhyOf
from runink.dag import Resources
from runink.errors import Invalid, NotFound, Refused
from runink.names import RunId
from runink.scheduling.answers import WhyAnswer
from runink.scheduling.what_if import CHANGES_MAX
from runink.testing.disk import in_loop

pytestmark = pytest.mark.trio


async def asked(world: Controlled, run: RunId, slice_: str = "", *changes: str) -> WhyAnswer:
    request = WhyOf(HERD.herd, run, slice_, changes)
    return await why(world.client.barn, request, in_loop)


async def two_runs(world: Controlled) -> tuple[RunId, RunId]:
    """Return a run that has its place on a node of 100 milli-cores, and one that waits for it."""
    await world.add_node(Resources(100, 8 << 30))
    first, second = world.request(), world.request()
    await world.client.submit(first)
    await anyio.sleep(SOON_S)
    await world.client.submit(second)
    await anyio.sleep(SOON_S)
    return first.run, second.run


async def test_what_waits_is_decided_on_now(autojump_clock: trio.testing.MockClock) -> None:
    async with controlled() as world:
        _, waits = await two_runs(world)
        found = await asked(world, waits)
        (gang,) = found.gangs
        assert (gang.stands, gang.counts, found.nodes) == ("waiting", {"cpu": 1}, 1)
        assert gang.parts[0].remedies == ("cpu 100m more free on n1",)
        then = await asked(world, waits, "a", "node n2 cpu=1 memory=1Gi")
        assert then.gangs[0].nodes == ("n2",)
        assert [one.after for one in then.differences] == ["placed on n2"]
        assert (await asked(world, waits)).differences == (), "nothing has been changed"


async def test_what_has_a_node_is_told_as_it_was_decided(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        placed, _ = await two_runs(world)
        before = await asked(world, placed)
        (gang,) = before.gangs
        (one,) = await world.slices(placed)
        assert (gang.stands, gang.nodes, gang.decision) == ("placed", ("n1",), one.decision)
        made = await replay(world.client.barn, gang.decision, in_loop)
        assert made.digest == made.stored
        assert [one.unit for one in made.placed] == [f"{placed}/a"]
        await world.add_node(Resources(9000, 8 << 30))
        await anyio.sleep(SOON_S)
        assert await replay(world.client.barn, gang.decision, in_loop) == made
        assert (await asked(world, placed)).gangs == before.gangs


async def test_a_revision_that_the_barn_has_forgotten_is_told_as_such(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        placed, _ = await two_runs(world)
        (one,) = await world.slices(placed)
        revision = (await world.client.barn.status()).revision
        await BarnAdmin(world.client.barn).compact(revision)
        for asking in (
            lambda: replay(world.client.barn, one.decision, in_loop),
            lambda: asked(world, placed),
        ):
            with pytest.raises(Refused) as caught:
                await asking()
            assert caught.value.code == "compacted"
            assert f"revision {one.decision}" in caught.value.text


async def test_what_is_not_there_is_told(autojump_clock: trio.testing.MockClock) -> None:
    async with controlled() as world:
        placed, waits = await two_runs(world)
        with pytest.raises(NotFound):
            await asked(world, RunId("0" * 25 + "Z"))
        with pytest.raises(NotFound) as caught:
            await asked(world, placed, "b")
        assert caught.value.hint == "it has a"
        with pytest.raises(NotFound) as caught:
            await replay(world.client.barn, 999, in_loop)
        assert caught.value.code == "no_such_decision"
        with pytest.raises(Invalid):
            await asked(world, waits, "", *["priority 1"] * (CHANGES_MAX + 1))


async def test_a_run_that_is_paused_is_held(autojump_clock: trio.testing.MockClock) -> None:
    async with controlled() as world:
        _, waits = await two_runs(world)
        await world.client.pause(waits, paused=True)
        await anyio.sleep(SOON_S)
        (gang,) = (await asked(world, waits)).gangs
        assert (gang.stands, gang.text) == ("held", "it is paused")
