"""What an agent does and hears is counted, over all its lives."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
import trio.testing
from agent_world import SOON_S, AgentWorld, agent_world, launched
from runink.actors.node_metrics import NodeMetrics
from runink.errors import Overloaded
from runink.jobs import Done, NodeFacts, Progress
from runink.observe.metrics import METRICS

pytestmark = pytest.mark.trio


def values(world: AgentWorld, name: str) -> dict[tuple[str, ...], float]:
    """Return a metric's readings by the values of their labels, the herd and pipeline left out."""
    return {
        tuple(value for label, value in one.labels.items() if label not in ("herd", "pipeline")): (
            one.value
        )
        for one in world.metrics.readings(world.folder)
        if one.name == f"runink_{name}"
    }


async def test_launches_progress_and_ends_are_counted(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        await launched(world)
        assert values(world, "slice_launches_total") == {("launched",): 2}
        assert values(world, "slices_running") == {(): 2}
        world.slice("a").report(Progress((NodeFacts("a.source", rows_out=3),)))
        world.slice("a").print(b"one\ntwo\n")
        await anyio.sleep(SOON_S)
        assert values(world, "step_rows_out_total") == {("a.source",): 3}
        world.slice("a").report(Done((NodeFacts("a.source", rows_out=5),)))
        world.slice("a").exit(0)
        world.slice("a-1").die()
        await anyio.sleep(SOON_S)
        assert values(world, "step_rows_out_total") == {("a.source",): 5}
        assert values(world, "slice_exits_total") == {("exited",): 1, ("signalled",): 1}
        assert values(world, "agent_log_lines_total") == {(): 2}
        assert values(world, "slices_running") == {}


async def test_what_the_spawner_refuses_is_counted_as_refused(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        world.spawner.failures = [Overloaded("no room"), None]
        await world.place_gang()
        await anyio.sleep(SOON_S)
        assert values(world, "slice_launches_total") == {("refused",): 1, ("launched",): 1}


async def test_a_new_life_counts_on_with_the_slices_that_it_finds(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        await launched(world)
        world.slice("a").report(Progress((NodeFacts("a.source", rows_out=3),)))
        await anyio.sleep(SOON_S)
        await world.crash()
        assert values(world, "slices_running") == {(): 2}
        world.slice("a").report(Progress((NodeFacts("a.source", rows_out=10),)))
        await anyio.sleep(SOON_S)
        assert values(world, "step_rows_out_total") == {("a.source",): 10}
        assert values(world, "slice_launches_total") == {("launched",): 2}
        pipelines = {
            one.labels["pipeline"]
            for one in world.metrics.readings(tmp_path)
            if one.name.startswith("runink_step_")
        }
        assert pipelines == {world.dag.pipeline}


async def test_another_process_s_agent_names_the_pipeline_of_what_it_finds(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        await launched(world)
        world.metrics = NodeMetrics(now_s=anyio.current_time)
        await world.crash()
        (running,) = (
            one for one in world.metrics.readings(tmp_path) if one.name == "runink_slices_running"
        )
        assert (running.labels["pipeline"], running.value) == (world.dag.pipeline, 2)


async def test_every_reading_of_a_node_stands_in_the_table_with_its_labels(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
):
    async with agent_world(tmp_path) as world:
        await launched(world)
        for one in world.metrics.readings(tmp_path):
            assert METRICS[one.name].labels == tuple(one.labels), one
