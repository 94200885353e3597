"""A herd's store on a node: what is made there, what is not, and what is taken away."""

from __future__ import annotations

import stat
from pathlib import Path

import anyio
import pytest
import trio.testing
from agent_world import HERD, SOON_S, agent_world
from msgspec.structs import replace as changed
from runink.actors.herd_stores import drop_emptied, open_store, stored_in
from runink.actors.tidying import drop_stored
from runink.barn.keys import pipeline_key, run_key
from runink.dag import Resources, Sink
from runink.errors import Unavailable
from runink.jobs import Failed
from runink.names import HerdName, RunId, SliceId
from runink.runs.failures import may_pass
from runink.runs.records import PipelineRecord, RunRecord, SliceRecord, SliceState, Task

RUN = "01K9ZZZZZZ0000000000000000"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    return folder


def checkpoints(store: Path) -> str:
    return f"{store}/{RUN}/checkpoints"


def uri(store: Path) -> str:
    return f"file://{store}/{RUN}"


def test_a_runs_folder_is_made_for_its_owner_alone(store: Path) -> None:
    open_store(uri(store), {checkpoints(store): True, "/elsewhere": True})
    open_store(uri(store), {checkpoints(store): True})
    assert [path.name for path in store.iterdir()] == [RUN]
    assert stat.S_IMODE((store / RUN).stat().st_mode) == 0o700


def test_nothing_is_made_for_who_only_reads_or_has_nothing_to_do_with_it(store: Path) -> None:
    open_store(uri(store), {checkpoints(store): False, f"{store}/other": True})
    open_store("", {checkpoints(store): True})
    assert list(store.iterdir()) == []


@pytest.mark.parametrize("is_writable", [True, False])
def test_a_store_that_is_not_mounted_is_told_and_not_made(
    tmp_path: Path, *, is_writable: bool
) -> None:
    store = tmp_path / "gone"
    with pytest.raises(Unavailable) as caught:
        open_store(uri(store), {checkpoints(store): is_writable})
    assert caught.value.code == "store_missing"
    assert not store.exists()
    open_store(uri(store), {"/elsewhere": True})


def test_emptied_folders_of_runs_go_and_those_that_hold_something_stay(store: Path) -> None:
    emptied, used = store / RUN / "checkpoints", store / RUN.replace("9", "8") / "checkpoints"
    for folder in (emptied, used):
        folder.mkdir(parents=True)
    (used / ".runink-x").touch()
    drop_emptied([emptied, used, store / "gone/checkpoints"])
    assert list(store.iterdir()) == [used.parent]
    assert list(used.iterdir())


def test_folders_of_a_store_are_known_by_their_names(store: Path) -> None:
    state = store / "state"
    others = (f"{state}/runs/{RUN}/checkpoints", "/p/out/checkpoints", f"/p/{RUN}/out", "/p/out")
    assert stored_in((checkpoints(store), *others), state) == [Path(checkpoints(store))]


def slice_that(task: Task, shown: str) -> SliceRecord:
    return SliceRecord(
        slice=SliceId("x"),
        run=RunId(RUN),
        herd=HerdName("crm"),
        gang="x",
        state=SliceState.RUNNING,
        resources=Resources(0, 0),
        task=task,
        shown={shown: "rw"},
    )


@pytest.mark.anyio
async def test_only_the_slice_that_takes_away_has_emptied_folders_taken_away(store: Path) -> None:
    emptied = anyio.Path(checkpoints(store))
    await emptied.mkdir(parents=True)
    await drop_stored(slice_that(Task.CHAIN, str(emptied)), store / "state")
    assert await emptied.is_dir()
    await drop_stored(slice_that(Task.DISCARD, str(emptied)), store / "state")
    assert not await emptied.parent.exists()
    assert await anyio.Path(store).is_dir()


@pytest.mark.trio
async def test_a_slice_does_not_begin_on_a_node_without_the_store(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        nodes = tuple(
            changed(one, checkpoint=True) if isinstance(one, Sink) else one
            for one in world.dag.nodes
        )
        at = pipeline_key(HERD, world.dag.pipeline, world.dag.hash)
        await world.barn.put(at, PipelineRecord(changed(world.dag, nodes=nodes)))
        found = await world.barn.get(run_key(HERD, world.record("a").run), RunRecord)
        assert found is not None
        stored = changed(found.value, store=f"file://{tmp_path}/gone/{RUN}")
        await world.barn.put(found.key, stored)
        await world.place_gang()
        await anyio.sleep(SOON_S)
        record = await world.seen("a-1")
        assert record.state is SliceState.FAILED
        assert isinstance(record.report, Failed)
        assert record.report.error.code == "store_missing"
        assert may_pass(record), "another node may have it"
