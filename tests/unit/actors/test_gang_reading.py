"""What an agent reads of the Barn for a gang that it is to launch."""

from __future__ import annotations

import sys
from contextlib import aclosing
from pathlib import Path

import pytest
from controlled_world import HERD, Controlled, controlled
from runink.actors.gang_reading import read_gang
from runink.actors.pipelines import Pipelines
from runink.barn.keys import PLACEMENTS, pipeline_key
from runink.clients.barn import BarnClient
from runink.names import RunId
from runink.runs.clearing import DISCARD
from runink.runs.records import Placement, SliceState

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from run_world import staged_dag

pytestmark = pytest.mark.anyio


async def placed(world: Controlled, run: RunId) -> list[Placement]:
    """Wait until something of the run is placed, and return its placements."""
    changes = world.client.barn.watch(PLACEMENTS.prefix(), after_revision=0)
    async with aclosing(changes):
        async for watched in changes:
            if any(change.now is not None for change in watched.changes):
                break
    listing = await world.client.barn.range(PLACEMENTS.prefix(), Placement)
    return [found.value for found in listing.items if found.value.run == run]


async def until_placed(world: Controlled, run: RunId, name: str) -> None:
    async with aclosing(world.client.follow(run)) as views:
        async for view in views:
            if any(one.slice == name and one.state is SliceState.PLACED for one in view.slices):
                return
    raise AssertionError(f"the run has ended without {name}")


async def read(world: Controlled, placements: list[Placement]) -> list[str]:
    barn = world.client.barn
    sight = await read_gang(barn, Pipelines(barn), placements)
    assert sight is not None
    assert sight.run.run == placements[0].run
    assert len(sight.herd) == 1
    return sorted(found.value.slice for found in sight.slices)


async def test_a_gang_is_read_with_what_its_sources_have_staged_and_nothing_else() -> None:
    async with controlled() as world:
        world.dag = staged_dag("a", "b", "c", fan=2)
        await world.add_node()
        run = (await world.client.submit(world.request())).run
        assert await read(world, await placed(world, run)) == ["a", "a-1"]
        await world.end_placed()
        await until_placed(world, run, "b")
        assert await read(world, await placed(world, run)) == ["a", "a-1", "b", "b-1"]


async def test_what_ends_a_run_is_read_with_all_of_its_slices() -> None:
    async with controlled() as world:
        world.dag = staged_dag("a", "b")
        await world.add_node()
        run = (await world.client.submit(world.request())).run
        await until_placed(world, run, "a")
        await world.end_placed()
        await until_placed(world, run, "b")
        await world.client.cancel(run)
        await until_placed(world, run, DISCARD)
        end = Placement(run, DISCARD, HERD.herd, DISCARD, 1)
        assert await read(world, [end]) == [DISCARD, "a", "b"]


async def test_where_the_pipeline_is_not_there_all_slices_are_read_for_the_launch_to_tell() -> None:
    async with controlled() as world:
        world.dag = staged_dag("a", "b")
        await world.add_node()
        record = await world.client.submit(world.request())
        placements = await placed(world, record.run)
        await world.client.barn.delete(pipeline_key(record.herd, record.pipeline, record.version))
        assert await read(world, placements) == ["a"]


async def test_of_a_run_that_was_cleaned_away_nothing_is_read() -> None:
    async with controlled() as world:
        gone = Placement(RunId("0" * 26), HERD.herd, HERD.herd, "g", 1)  # type: ignore[arg-type] # any text
        barn: BarnClient = world.client.barn
        assert await read_gang(barn, Pipelines(barn), [gone]) is None
