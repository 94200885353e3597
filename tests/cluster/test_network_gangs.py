"""Gangs on several nodes, each a process with a relay of its own: what no single node has all labels for goes over the wire, whole and once."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from barn_group import WAIT_S, until
from barn_networks import Loopback
from runi_project import Project
from runink.jobs import Done, Transport
from runink.runs.records import SliceState
from team_world import Team, team

pytestmark = pytest.mark.anyio

ROWS = 20_000
STEPS = """
import os, time
@step(each="batch")
def work(rows):
    print("begun", flush=True)
    while not os.path.exists("data/go"):
        time.sleep(0.01)
    return rows
@step(each="record")
def on(row):
    return row
"""


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@pytest.fixture
def parted(project: Project) -> Project:
    """A pipeline whose steps ask for different labels; the first one waits until `data/go` is there."""
    lines = "".join(f"{number},x{number}\n" for number in range(ROWS))
    project.write("data/in.csv", f"a,b\n{lines}")
    project.step(STEPS)
    project.pipeline(
        '@source("csv://data/*.csv")\n@step("work")\n@affinity(label="gpu")\n'
        '@step("on")\n@affinity(label="eu")\n@sink("jsonl://out/o.jsonl")'
    )
    return project


def hire(made: Team, ports: Loopback, **labels: str) -> None:
    """Start nodes by their names, each with a label, that listen for each other."""
    for number, (name, label) in enumerate(labels.items(), 100):
        listen = f"{ports.host(number)}:{ports.port(number)}"
        made.hire(name, "--label", label, "--listen", listen)


def written(child: subprocess.Popen[bytes], project: Project) -> None:
    """Check that a run has ended well, and that its output is all of its input, once and in order."""
    out, _ = child.communicate(timeout=WAIT_S)
    assert child.returncode == 0, out.decode()
    found = [json.loads(line) for line in project.read("out/o.jsonl").splitlines()]
    assert found == [{"a": number, "b": f"x{number}"} for number in range(ROWS)]
    assert project.files("out") == ["out/o.jsonl"]


async def test_steps_that_no_node_may_run_together_are_one_gang_on_two(
    tmp_path: Path, parted: Project
):
    parted.write("data/go", "")
    async with team(tmp_path / "team", parted) as made:
        hire(made, Loopback(), g="gpu", e="eu")
        await made.is_there("g")
        await made.is_there("e")
        written(made.submit(), parted)
        chains = {one.slice: one for one in await made.chains()}
        assert {one.node for one in chains.values()} == {"g", "e"}
        assert {one.attempt for one in chains.values()} == {1}
        reports = [one.report for one in chains.values() if isinstance(one.report, Done)]
        wires = [
            edge for report in reports for edge in report.edges if edge.transport is Transport.WIRE
        ]
        assert [edge.rows for edge in wires] == [ROWS]


async def test_a_gang_that_loses_one_of_its_nodes_is_repeated_whole_on_others(
    tmp_path: Path, parted: Project
):
    async with team(tmp_path / "team", parted) as made:
        hire(made, Loopback(), g="gpu", h="gpu", e="eu")
        for name in ("g", "h", "e"):
            await made.is_there(name)
        child = made.submit()

        async def all_run() -> bool:
            chains = await made.chains()
            return len(chains) == 2 and all(one.state is SliceState.RUNNING for one in chains)

        await until(all_run, "a gang on both nodes")
        before = {one.slice: str(one.node) for one in await made.chains()}
        name, other = sorted(("g", "h"), key=lambda node: node not in before.values())
        await made.lose(name)

        async def again() -> bool:
            return {one.node for one in await made.chains()} == {other, "e"}

        await until(again, "the gang's next attempt")
        parted.write("data/go", "")
        written(child, parted)
        assert {one.attempt for one in await made.chains()} == {2}
