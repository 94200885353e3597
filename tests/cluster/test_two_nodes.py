"""Two worker nodes in one cluster, with a spawner each: slices go where there is room, and to the other node when one is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from barn_group import WAIT_S
from runi_project import Project
from runink import node
from runink.barn.keys import NODES, SLICES
from runink.cli.run import new_run_id, submission
from runink.clients.cluster import Cluster
from runink.clients.run_requests import RunView
from runink.config import NodeSettings
from runink.dag import Resources
from runink.names import NodeId
from runink.node import ControlPlane, control_plane, worker_node
from runink.projects import compile_file
from runink.runs.records import NodeRecord, RunState, SliceRecord, SliceState, Task
from runink.sandbox.client import Spawner
from runink.sandbox.starting import SpawnerPlace, running_spawner

LARGE = Resources(4_000, 1 << 32)
SMALL = Resources(50, 1 << 30)  # less than a slice asks for by default


def settings(root: Path, name: str, capacity: Resources = LARGE) -> NodeSettings:
    return NodeSettings(state=root / ".runink", node=NodeId(name), capacity=capacity, orphan_s=0.0)


@asynccontextmanager
async def control(project: Project) -> AsyncIterator[ControlPlane]:
    async with control_plane(settings(project.root, "control"), session="") as plane:
        yield plane


@pytest.fixture
def piped(project: Project) -> Project:
    """A gang of three slices joined by pipes, the first one waits until a file is there: in the folder above its pattern, which it is shown."""
    project.write("data/in.csv", "a,b\n1,x\n2,y\n3,z\n")
    project.step(
        "import os, time\n"
        '@step(each="record")\ndef work(row):\n'
        "    while not os.path.exists('data/go'): time.sleep(0.01)\n    return row\n"
        '@step(each="record")\ndef on(row):\n    return row\n'
    )
    project.pipeline(
        '@source("csv://data/*.csv")\n@step("work")\n@step("on", isolate=true)\n'
        '@sink("jsonl://out/o.jsonl")'
    )
    return project


async def submitted(cluster: Cluster, project: Project) -> str:
    compiled = compile_file(project.root / "features/p.dsl", parameters={})
    request = await submission(compiled, project.root / ".runink", new_run_id(), cluster=cluster)
    await cluster.submit(request)
    return request.run


async def ended(cluster: Cluster, run: str) -> RunView:
    last = None
    async for view in cluster.follow(run):
        last = view
    assert last is not None
    return last


def test_a_gang_goes_to_the_node_that_has_room_though_the_other_comes_first(piped: Project):
    piped.write("data/go", "")

    async def whole() -> RunView:
        async with control(piped) as plane:
            full = settings(piped.root, "a-full", SMALL)
            free = settings(piped.root, "b-free")
            async with worker_node(plane, full), worker_node(plane, free):
                nodes = await plane.cluster.barn.range(NODES.prefix(), NodeRecord)
                assert [found.value.node for found in nodes.items] == ["a-full", "b-free"]
                return await ended(plane.cluster, await submitted(plane.cluster, piped))

    view = anyio.run(whole)
    assert view.record.state is RunState.SUCCEEDED
    assert {one.node for one in view.slices if one.task is Task.CHAIN} == {"b-free"}
    assert len(piped.rows("out/o.jsonl")) == 3


def test_a_gang_whose_node_stops_is_repeated_on_the_other(piped: Project):
    async def whole() -> RunView:
        async with control(piped) as plane, worker_node(plane, settings(piped.root, "b-stays")):
            cluster = plane.cluster
            async with worker_node(plane, settings(piped.root, "a-goes")):
                run = await submitted(cluster, piped)
                await all_begun(cluster)
                nodes = {one.node for one in await slices(cluster)}
                assert nodes == {"a-goes"}, "the test wants the first node to be chosen"
            lease = (await cluster.barn.get(NODES.key("a-goes"), NodeRecord)).lease
            await cluster.barn.revoke_lease(lease)  # as its end would, half a minute later
            piped.write("data/go", "")
            return await ended(cluster, run)

    view = anyio.run(whole)
    assert view.record.state is RunState.SUCCEEDED
    chains = [one for one in view.slices if one.task is Task.CHAIN]
    assert {(one.node, one.attempt) for one in chains} == {("b-stays", 2)}
    assert len(piped.rows("out/o.jsonl")) == 3
    assert piped.files("out") == ["out/o.jsonl"]


async def slices(cluster: Cluster) -> list[SliceRecord]:
    listing = await cluster.barn.range(SLICES.prefix(), SliceRecord)
    return [found.value for found in listing.items]


async def all_begun(cluster: Cluster) -> None:
    """Wait until every slice of the cluster runs, by watching. The source may have written its few rows and ended before the others run."""
    revision = 0
    while True:
        found = await slices(cluster)
        if found and all(one.state in {SliceState.RUNNING, SliceState.SUCCEEDED} for one in found):
            return
        async for watched in cluster.barn.watch(SLICES.prefix(), after_revision=revision):
            revision = watched.revision
            break


def test_a_spawner_that_dies_before_its_agent_is_there_is_replaced(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    started: list[int] = []

    @asynccontextmanager
    async def first_one_dies(place: SpawnerPlace, **named: Any) -> AsyncIterator[Spawner]:
        async with running_spawner(place, **named) as spawner:
            started.append(spawner.pid)
            if len(started) == 1:
                os.kill(spawner.pid, signal.SIGKILL)
                await spawner.wait_ended()
            yield spawner

    monkeypatch.setattr(node, "running_spawner", first_one_dies)

    async def whole() -> None:
        async with control(project) as plane:
            with anyio.fail_after(WAIT_S):
                async with worker_node(plane, settings(project.root, "a")):
                    assert len(started) == 2

    anyio.run(whole)


def test_logs_rows_and_code_are_private_in_a_state_folder_that_others_may_enter(project: Project):
    project.write(".runink/there.txt", "")
    (project.root / ".runink").chmod(0o755)

    async def whole() -> None:
        async with control(project):
            pass

    anyio.run(whole)
    modes = {path.name: path.stat().st_mode & 0o777 for path in project.root.glob(".runink/*/")}
    assert modes == {"barn": 0o700, "bundles": 0o700, "runs": 0o700}
