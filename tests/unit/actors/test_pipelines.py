"""Pipelines at hand: read once, and put on the node once for each run."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from controlled_world import controlled
from msgspec.structs import replace as changed
from runink.actors.pipelines import Pipelines
from runink.barn.keyvalue import Span
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import Pages
from runink.dag import Dag, Node, Sink
from runink.errors import Unavailable
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


class CountingBarn(BarnClient):
    """A client that counts what it reads, and fails as often as it is told to."""

    def __init__(self, barn: BarnClient, failures: int = 0) -> None:
        self._asked = barn
        self.reads = 0
        self.failures = failures

    async def read(self, *spans: Span, limit: int = 0, revision: int = 0) -> Pages:
        self.reads += 1
        await anyio.lowlevel.checkpoint()
        if self.failures:
            self.failures -= 1
            raise Unavailable("not now", code="no_leader")
        return await self._asked.read(*spans, limit=limit, revision=revision)


async def read_by_five(pipelines: Pipelines, run: RunRecord) -> list[Dag | None]:
    found: list[Dag | None] = []

    async def read() -> None:
        try:
            found.append(await pipelines.of(run))
        except Unavailable:
            found.append(None)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(read)
    return found


async def test_a_pipeline_that_many_need_at_once_is_read_once() -> None:
    async with controlled() as world:
        run = await world.client.submit(world.request())
        barn = CountingBarn(world.client.barn)
        found = await read_by_five(Pipelines(barn), run)
    assert barn.reads == 1
    assert found[0] is not None
    assert all(dag is found[0] for dag in found)


async def test_who_waited_for_a_pipeline_that_another_could_not_read_reads_it() -> None:
    async with controlled() as world:
        run = await world.client.submit(world.request())
        barn = CountingBarn(world.client.barn, failures=1)
        found = await read_by_five(Pipelines(barn), run)
    assert found.count(None) == 1


async def test_a_run_that_is_admitted_to_a_store_has_another_pipeline_from_then_on() -> None:
    async with controlled() as world:
        dag = staged_dag("a")
        world.dag = changed(dag, nodes=tuple(_as_checkpoint(node) for node in dag.nodes))
        run = await world.client.submit(world.request())
        pipelines = Pipelines(world.client.barn)
        found = [
            await pipelines.of(changed(run, store=store))
            for store in ("", "file:///s/1", "file:///s/1")
        ]
    paths = [dag.nodes[1].path for dag in found if isinstance(dag.nodes[1], Sink)]
    assert paths == ["a.csv", *["file:///s/1/checkpoints/a.csv"] * 2]
    assert found[1] is found[2]


def _as_checkpoint(node: Node) -> Node:
    return changed(node, checkpoint=True) if isinstance(node, Sink) else node
