"""Pipelines at hand: read once, and put on the node once for each run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from controlled_world import controlled
from msgspec.structs import replace as changed
from runink.actors.pipelines import Pipelines
from runink.dag import Dag
from runink.names import run_id
from runink.runs.records import RunRecord

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from run_world import staged_dag

pytestmark = pytest.mark.anyio


async def test_a_run_has_one_pipeline_on_its_node_and_another_run_another() -> None:
    asked: list[str] = []

    def placed(dag: Dag, run: RunRecord) -> Dag:
        asked.append(str(run.run))
        return changed(dag, title=str(run.run))

    async with controlled() as world:
        world.dag = staged_dag("a")
        first = await world.client.submit(world.request())
        second = changed(first, run=run_id(now_ms=9, entropy=bytes(10)))
        pipelines = Pipelines(world.client.barn, placed)
        found = [await pipelines.of(run) for run in (first, first, second, first)]
    assert [dag.title for dag in found] == [str(one.run) for one in (first, first, second, first)]
    assert asked == [first.run, second.run]
    assert found[0] is found[1] is found[3]
