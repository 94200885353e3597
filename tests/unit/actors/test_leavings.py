"""What slices leave on a node for runs that ended elsewhere while it was away goes when it is back, and nothing that a run still wants."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio.testing
from agent_world import HERD, NODE, RUN, AgentWorld, agent_world, launched
from msgspec.structs import replace as changed
from runink.actors import leavings
from runink.actors.registration import HEARTBEAT_S
from runink.barn.keys import herd_key, node_key, pipeline_key, run_key
from runink.dag import Sink
from runink.herds.record import HerdRecord, Retention
from runink.runs.records import NodeRecord, PipelineRecord, RunRecord, RunState

pytestmark = pytest.mark.trio
BACK_S = 3 * HEARTBEAT_S
FOLDER = Path("runs") / RUN


async def say(world: AgentWorld, **changes: Any) -> None:
    """Change the run's record."""
    found = await world.barn.get(run_key(HERD, RUN), RunRecord)
    assert found is not None
    await world.barn.put(run_key(HERD, RUN), changed(found.value, **changes))


async def come_back(world: AgentWorld) -> None:
    """Have the node be lost for the cluster, and be there again."""
    found = await world.barn.get(node_key(NODE), NodeRecord)
    assert found is not None
    await world.barn.revoke_lease(found.lease)
    await anyio.sleep(BACK_S)
    assert await world.barn.get(node_key(NODE), NodeRecord) is not None


async def left(world: AgentWorld) -> list[Path]:
    """Launch a gang on a node of a cluster elsewhere; return what its sink has left aside, and a log."""
    world.is_away = True
    await world.crash()
    await say(world, project=str(world.folder / "project"))
    await launched(world)
    (noted,) = (world.folder / FOLDER / "aside").iterdir()
    assert noted.name == "a-1.1", "the slice with the sink"
    paths = [*map(Path, json.loads(noted.read_text())), world.folder / FOLDER / "logs/a.1.jsonl"]
    for path in paths:
        assert path.is_relative_to(world.folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


async def test_what_lies_aside_of_a_run_that_ended_elsewhere_goes_when_the_node_is_back(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        *asides, log = await left(world)
        await come_back(world)
        assert all(one.exists() for one in asides), "the run goes on"
        await say(world, state=RunState.CANCELLED)
        await come_back(world)
        assert not any(one.exists() for one in asides)
        assert log.exists(), "people may read it"


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_run_s_folder_in_a_store_goes_with_the_last_that_lay_in_it(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        nodes = tuple(
            changed(one, checkpoint=True) if isinstance(one, Sink) else one
            for one in world.dag.nodes
        )
        at = pipeline_key(HERD, world.dag.pipeline, world.dag.hash)
        await world.barn.put(at, PipelineRecord(changed(world.dag, nodes=nodes)))
        (tmp_path / "shared").mkdir()
        await say(world, store=f"file://{tmp_path}/shared/{RUN}")
        *asides, _ = await left(world)
        assert {one.parent for one in asides} == {tmp_path / "shared" / RUN / "checkpoints"}
        await come_back(world)
        assert names_in(tmp_path / "shared") == [RUN]
        await say(world, state=RunState.CANCELLED)
        await come_back(world)
        assert names_in(tmp_path / "shared") == []


async def test_it_goes_at_the_next_look_though_the_node_was_never_lost(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leavings, "KEEP_S", BACK_S)  # a Barn's hour takes a minute here
    async with agent_world(tmp_path) as world:
        *asides, _ = await left(world)
        await say(world, state=RunState.FAILED, kept=("a-1",), kept_until_ms=1)
        await anyio.sleep(2 * BACK_S)
        assert all(one.exists() for one in asides), "who resumes the run may want it"
        await say(world, kept=(), kept_until_ms=0)
        await anyio.sleep(2 * BACK_S)
        assert not any(one.exists() for one in asides)


@pytest.mark.parametrize("keeps_others", [False, True])
async def test_all_of_a_run_that_was_forgotten_goes_unless_another_cluster_has_its_runs_there(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    keeps_others: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    if keeps_others:
        (tmp_path / "barn").mkdir()
    async with agent_world(tmp_path) as world:
        *asides, log = await left(world)
        await world.barn.delete(run_key(HERD, RUN))
        await come_back(world)
        assert not any(one.exists() for one in asides)
        assert log.exists(), "it is of today: perhaps it is the Barn that has forgotten too much"
        os.utime(tmp_path / FOLDER, (0, 0))
        await come_back(world)
        assert log.exists() is keeps_others


async def test_a_node_that_is_its_whole_cluster_notes_nothing(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        await launched(world)
        assert not (tmp_path / FOLDER / "aside").exists()


@pytest.mark.parametrize(("said", "gone"), [("logs_ms", "logs"), ("dead_letters_ms", "dead")])
async def test_logs_and_rejected_rows_go_when_their_herd_keeps_them_no_longer(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, said: str, gone: str
) -> None:
    async with agent_world(tmp_path) as world:
        await left(world)
        (tmp_path / FOLDER / "dead").mkdir()
        await world.barn.put(herd_key(HERD), HerdRecord(HERD, retention=Retention(**{said: 1})))
        await come_back(world)
        assert {"logs", "dead"} <= set(names_in(tmp_path / FOLDER)), "the run goes on"
        await say(world, state=RunState.FAILED, ended_ms=1)
        await come_back(world)
        assert {"logs", "dead"} - set(names_in(tmp_path / FOLDER)) == {gone}


async def test_what_cannot_be_cleared_in_one_runs_folder_keeps_no_other_run_from_it(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        *asides, _ = await left(world)
        await say(world, state=RunState.CANCELLED)
        older = world.folder / "runs" / ("0" * 25 + "1") / "aside"
        older.mkdir(parents=True)
        (older / "a.1").write_text(json.dumps([str(older)]))  # a folder, which is no file to unlink
        os.utime(older.parent, (1, 1))
        await come_back(world)
        assert not any(one.exists() for one in asides)
        assert (older / "a.1").exists(), "it is tried again"
