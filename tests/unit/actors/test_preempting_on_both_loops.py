"""A run that gives way, under asyncio and under trio alike, with nothing waited for but the Barn."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace as changed
from runink.barn.keys import PLACEMENTS, RESERVATIONS, SLICES, slice_key
from runink.dag import Resources
from runink.names import RunId
from runink.runs.records import SliceRecord, SliceState

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from controlled_world import HERD, NODE, Controlled, controlled

pytestmark = pytest.mark.anyio
WITHIN_S = 30.0


async def until(world: Controlled, is_so: Callable[[], Awaitable[bool]]) -> None:
    """Return when it is so, looking again whenever the Barn has changed."""
    barn = world.client.barn
    revision = (await barn.status()).revision
    prefixes = (SLICES.prefix(), PLACEMENTS.prefix(), RESERVATIONS.prefix())
    with anyio.fail_after(WITHIN_S):
        if await is_so():
            return
        async with aclosing(barn.watch(*prefixes, after_revision=revision)) as changes:
            async for _ in changes:
                if await is_so():
                    return


async def test_a_run_gives_way_and_begins_anew() -> None:
    async with controlled() as world:

        async def one_of(run: RunId) -> SliceRecord:
            (one,) = await world.slices(run)
            return one

        async def begins(run: RunId) -> bool:
            slices = await world.slices(run)
            return bool(slices) and slices[0].state is SliceState.PLACED

        async def is_told() -> bool:
            listing = await world.client.barn.range(PLACEMENTS.prefix(NODE, low.run), bytes)
            return not listing.items

        async def waits_again() -> bool:
            one = await one_of(low.run)
            return (one.state, one.attempt) == (SliceState.PENDING, 2)

        await world.add_node(Resources(100, 8 << 30))
        low, high = world.request(), changed(world.request(), priority=1)
        await world.client.submit(low)
        await until(world, lambda: begins(low.run))
        running = changed(await one_of(low.run), state=SliceState.RUNNING, launched_ms=1)
        key = slice_key(HERD.herd, low.run, running.slice)
        await world.client.barn.put(key, running)
        await world.client.submit(high)
        await until(world, is_told)
        assert not await begins(high.run), "its room is taken still"
        ended = changed(running, state=SliceState.CANCELLED, ended_ms=2)
        await world.client.barn.put(key, ended)
        await until(world, lambda: begins(high.run))
        await until(world, waits_again)
