"""A node reads the dead letters of its runs where their sinks have written them, as they were prepared, and no other file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import trio.testing
from agent_world import HERD, NODE, RUN, AgentWorld, agent_world
from msgspec.structs import replace as changed
from runink.actors.written_files import WrittenFiles
from runink.barn.keys import pipeline_key, run_key, slice_key
from runink.clients.node_files import FilePart, FileParts, Kept, ReadFiles, Wanted
from runink.dag import Sink
from runink.jobs import Done, Prepared
from runink.names import SliceId
from runink.runs.records import PipelineRecord, RunRecord, RunState, SliceState
from runink.testing.disk import in_loop

pytestmark = pytest.mark.trio
DATA = b"rejected\n"
NOTHING = FileParts((), is_all=True)
LETTER = "a.sink"


def written(path: Path, sink: str = LETTER) -> Prepared:
    path.write_bytes(DATA)
    digest = hashlib.sha256(DATA).hexdigest()
    return Prepared(sink, "csv://x", "file", str(path), str(path), "overwrite", 1, len(DATA), digest)  # fmt: skip


async def say(world: AgentWorld, **changes: Any) -> None:
    """Have the run's only sink be a dead letter, and say more of the run."""
    nodes = tuple(
        changed(one, dead_letter=True) if isinstance(one, Sink) else one for one in world.dag.nodes
    )
    found = await world.barn.get(run_key(HERD, RUN), RunRecord)
    assert found is not None
    at = pipeline_key(HERD, world.dag.pipeline, found.value.version)
    await world.barn.put(at, PipelineRecord(changed(world.dag, nodes=nodes)))
    await world.barn.put(run_key(HERD, RUN), changed(found.value, **changes))


async def read(letters: WrittenFiles, sink: str = LETTER, offset: int = 0) -> FileParts:
    wanted = (Wanted(sink, offset),)
    return await letters.read(ReadFiles(NODE, RUN, Kept.LETTERS, wanted, herd=HERD))


async def test_what_a_run_has_published_is_read_for_as_long_as_it_is_what_was_prepared(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    path = tmp_path / "dead.csv"
    async with agent_world(tmp_path) as world:
        letters = WrittenFiles(world.barn, offload=in_loop)
        await say(world, state=RunState.RUNNING, prepared=(written(path),))
        assert await read(letters) == NOTHING, "it is not published yet"
        await say(world, state=RunState.SUCCEEDED)
        for offset in (0, 3):
            found = FileParts((FilePart(LETTER, offset, DATA[offset:]),), is_all=True)
            assert await read(letters, offset=offset) == found
        assert await read(letters, "other") == NOTHING
        path.write_bytes(DATA[::-1])
        assert await read(letters) == NOTHING, "as long, and another thing"
        path.write_bytes(DATA)
        assert (await read(letters)).parts
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        assert await read(letters) == NOTHING, "a link is somebody's word"
        path.unlink()
        assert await read(letters) == NOTHING


async def test_what_a_failed_run_keeps_aside_is_read_and_nothing_that_it_does_not_keep(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        letters = WrittenFiles(world.barn, offload=in_loop)
        report = Done(prepared=(written(tmp_path / ".aside"),))
        one = changed(world.record("a"), state=SliceState.SUCCEEDED, report=report)
        await world.barn.put(slice_key(HERD, RUN, SliceId("a")), one)
        await say(world, state=RunState.FAILED)
        assert await read(letters) == NOTHING
        await say(world, kept=("a",))
        assert [part.data for part in (await read(letters)).parts] == [DATA]


async def test_no_other_sink_of_a_run_is_read_and_no_run_that_is_not_known(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        letters = WrittenFiles(world.barn, offload=in_loop)
        path = tmp_path / "out.csv"
        await say(world, state=RunState.SUCCEEDED, prepared=(written(path, "secrets"),))
        assert await read(letters, "secrets") == NOTHING
        await world.barn.delete(run_key(HERD, RUN))
        assert await read(letters) == NOTHING
