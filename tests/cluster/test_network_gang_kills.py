"""Whoever is killed in the middle of a gang on two nodes, with rows on both sides of the wire: its output is complete, and no row comes twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import anyio
import pytest
from barn_group import WAIT_S, until
from barn_networks import Loopback
from runi_project import Project
from runink.runs.records import SliceRecord, SliceState
from team_world import Team, team
from test_network_gangs import hire

pytestmark = pytest.mark.anyio

ROWS = 20_000
STEPS = """
import os, time
@step(each="stream")
def work(batches):
    for batch in batches:
        half = batch.num_rows // 2
        yield batch.slice(0, half)
        print("begun", flush=True)
        while not os.path.exists("data/go"):
            time.sleep(0.01)
        yield batch.slice(half)
@step(each="batch")
def on(batch):
    print("begun", flush=True)
    return batch
"""


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@pytest.fixture
def halved(project: Project) -> Project:
    """The first step has half of the rows go on to the other node, and the rest when `data/go` is there; the sink adds to what is there."""
    project.write("data/in.csv", "a\n" + "".join(f"{number}\n" for number in range(ROWS)))
    project.step(STEPS)
    project.pipeline(
        '@source("csv://data/*.csv")\n@step("work")\n@retry(1, delay=10ms)\n@affinity(label="gpu")\n'
        '@step("on")\n@retry(1, delay=10ms)\n@affinity(label="eu")\n@sink("jsonl://out/o", mode=append)'
    )
    return project


async def kill_server(made: Team) -> None:
    """Kill the member that acts, and wait until another does."""
    acting = await made.acting()
    made.group.kill(acting)

    async def another() -> bool:
        return await made.acting() not in (0, acting)

    await until(another, "another member that acts")


async def gang(made: Team, attempt: int) -> dict[str, SliceRecord]:
    """Return a gang's slices by the labels of their nodes, when both of them have rows in this attempt."""

    async def both_have_rows() -> dict[str, SliceRecord] | None:
        chains = await made.chains()
        begun = [one for one in chains if one.attempt == attempt and made.has_begun(one)]
        return {one.labels[0]: one for one in begun} if len(begun) == 2 else None

    return await until(both_have_rows, f"rows on both nodes in attempt {attempt}")


async def test_a_gang_on_two_nodes_gives_all_rows_once_though_server_slice_and_agent_are_killed(
    tmp_path: Path, halved: Project
):
    async with team(tmp_path / "team", halved) as made:
        hire(made, Loopback(), g="gpu", e="eu", f="eu")
        for name in ("g", "e", "f"):
            await made.is_there(name)
        child = made.submit()
        first = await gang(made, 1)
        await kill_server(made)
        same = await gang(made, 1)
        assert {one.pid for one in same.values()} == {one.pid for one in first.values()}
        os.kill(same["eu"].pid, signal.SIGKILL)  # it reads from the wire
        second = await gang(made, 2)
        assert second["eu"].node is not None
        await made.lose(second["eu"].node)  # its slice writes the output
        third = await gang(made, 3)
        assert third["eu"].node not in (None, second["eu"].node)
        halved.write("data/go", "")
        out, _ = await anyio.to_thread.run_sync(lambda: child.communicate(timeout=WAIT_S))
        assert child.returncode == 0, out.decode()
        parts = halved.files("out")
        found = [int(row["a"]) for path in parts for row in halved.rows(path)]
        assert sorted(found) == list(range(ROWS)), "all rows, and none twice"
        assert len(parts) == 1
        after = await made.chains()
        assert {(one.attempt, one.state) for one in after} == {(3, SliceState.SUCCEEDED)}
