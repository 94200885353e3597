"""Where slices of real pipelines go among three nodes that differ, and what `runi why` says of those that can go nowhere: one test a rule.

    w1  zone=x, sees crm and the bucket
    w2  zone=x, for the herd finance only
    w3  zone=y, a label gpu, sees bank and the bucket

Where a node is to be full, or to hold what another stands apart of, a step waits on it until `data/go` is there.  All runs of a test end with it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from barn_group import WAIT_S, until
from object_store import ObjectStore
from runi_project import Project
from runink.barn.keys import NODES, RUNS, SLICES
from runink.clients.standings import say
from runink.names import NodeId
from runink.runs.records import NodeRecord, RunRecord, SliceRecord, SliceState, Standing, Task
from team_world import ROWS, Team, team
from test_cluster_life import GATED

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

BUCKET = "lake"
GATE = "data/go"
FILLED = "data/filled"
# A step that lets go by itself of the node that it fills.
FILL = GATED.replace(GATE, FILLED).replace("def work", "def fill")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    """Where runs write that may be on several nodes: files would bind them to one."""
    with ObjectStore().serving() as server, pytest.MonkeyPatch.context() as patch:
        server.client.create_bucket(Bucket=BUCKET)
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory, store: ObjectStore) -> AsyncIterator[Team]:
    project = Project(tmp_path_factory.mktemp("project"))
    project.write("runink.toml", "")
    project.write("data/in.csv", "a,b\n1,x\n2,y\n3,z\n")
    project.step(GATED + FILL)
    folder = tmp_path_factory.mktemp("nodes") / "team"
    bucket = f"s3://{BUCKET}"
    try:
        async with team(folder, project, options=("--allow-host-network",), size=1) as found:
            found.hire("w1", "--label", "zone=x", "--sees", "crm", "--sees", bucket)
            found.hire("w2", "--label", "zone=x", "--herd", "finance")
            labels = ("--label", "zone=y", "--label", "gpu")
            found.hire("w3", *labels, "--sees", "bank", "--sees", bucket)
            for name in ("w1", "w2", "w3"):
                await found.is_there(name)
            yield found
    finally:
        project.end()


class Runs:
    """The runs of one test, by the names of their pipelines, each of which writes `out/NAME.jsonl`."""

    def __init__(self, made: Team) -> None:
        self._made = made
        self._project = made.project
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self, name: str, *asks: str, herd: str = "", step: str = "work") -> None:
        """Run a pipeline of one scenario whose step asks for this."""
        lines = ('@source("csv://data/*.csv")', f'@step("{step}")', *asks)
        body = "\n".join((*lines, f'@sink("jsonl://out/{name}.jsonl")'))
        self._begin(name, self._project.pipeline(body, file=f"features/{name}.dsl", herd=herd))

    def begin_both(self, name: str, first: str, other: str) -> None:
        """Run a pipeline of two scenarios, `a` and `b`, whose steps ask for this and that; neither writes a file."""
        scenarios = (
            f"""
  @module(layer="{layer}")
  Scenario: {layer}
    @source("csv://data/*.csv")
    @step("work", as={layer}s)
    {asks}
    @sink("jsonl+s3://{BUCKET}/{name}/{layer}.jsonl")
"""
            for layer, asks in (("a", first), ("b", other))
        )
        text = "".join(("Feature: two\n", *scenarios))
        self._project.write(f"features/{name}.dsl", text)
        self._begin(name, f"features/{name}.dsl")

    def _begin(self, name: str, file: str) -> None:
        self._children[name] = self._project.popen(
            "run", file, "-o", "json", "-q", stderr=subprocess.STDOUT
        )

    async def _record(self, name: str) -> RunRecord | None:
        assert self._children[name].poll() is None, self._children[name].communicate()
        listing = await self._made.barn.range(RUNS.prefix(), RunRecord)
        found = (one.value for one in listing.items if one.value.pipeline == name)
        return next((one for one in found if not one.state.is_over), None)

    async def _slices(self, name: str) -> list[SliceRecord]:
        record = await self._record(name)
        if record is None:
            return []
        listing = await self._made.barn.range(SLICES.prefix(), SliceRecord)
        mine = (one.value for one in listing.items if one.value.run == record.run)
        return [one for one in mine if one.task is Task.CHAIN]

    async def stand(self, name: str) -> dict[str, str]:
        """Return the nodes of a run's slices, when all of them run."""

        async def found() -> dict[str, str]:
            slices = await self._slices(name)
            runs = slices and all(one.state is SliceState.RUNNING for one in slices)
            return {str(one.slice): str(one.node) for one in slices} if runs else {}

        return await until(found, f"run of {name} that stands")

    async def why(self, name: str, of: str = "") -> dict[str, Any]:
        """Return what is said of the one gang of a run that waits, when that has been found to wait; its counts are those of all nodes."""

        async def found() -> RunRecord | None:
            waits = [one.waits_for for one in await self._slices(name) if of in ("", one.slice)]
            return await self._record(name) if any(waits) else None

        record = await until(found, f"run of {name} that waits")
        words = ("why", record.run, *([of] if of else []), "-o", "json")
        said = await anyio.to_thread.run_sync(self._project.runi, *words)
        (gang,) = said.document["gangs"]
        assert gang["stands"] == "waiting", said
        assert said.document["nodes"] == sum(gang["counts"].values()) == 3
        assert not gang["is_final"]
        return gang

    async def end(self) -> dict[str, set[str]]:
        """Let all go on, and return on which nodes each stood when they have ended well."""
        self._project.write(GATE, "")
        return {name: await self._ended(name) for name in self._children}

    async def _ended(self, name: str) -> set[str]:
        child = self._children[name]
        out, _ = await anyio.to_thread.run_sync(lambda: child.communicate(timeout=WAIT_S))
        assert child.returncode == 0, out.decode()
        slices = json.loads(out)["slices"]
        return {one["node"] for one in slices if not one["name"].startswith("@")}

    def kill(self) -> None:
        for child in self._children.values():
            child.kill()
            child.communicate()


@pytest.fixture
async def runs(made: Team) -> AsyncIterator[Runs]:
    (made.project.root / GATE).unlink(missing_ok=True)
    found = Runs(made)
    yield found
    found.kill()


@asynccontextmanager
async def shut(made: Team, *names: str) -> AsyncIterator[None]:
    """Have nodes take nothing new for as long as the block."""
    for name in names:
        await say(made.barn, NodeId(name), Standing.CORDONED)
    try:
        yield
    finally:
        for name in names:
            await say(made.barn, NodeId(name), None)


def remedies(gang: dict[str, Any]) -> list[str]:
    (part,) = gang["parts"]
    return part["remedies"]


async def test_a_slice_goes_where_what_it_needs_may_be_seen(made: Team, runs: Runs) -> None:
    async with shut(made, "w1"):
        runs.begin("customers", "@requires(sees=crm)")
        gang = await runs.why("customers")
        assert gang["counts"] == {"herd": 1, "sight": 1, "state": 1}
        assert gang["shut"] == [{"node": "w1", "state": "cordoned"}]
        assert "w1 taking new work again: runi node uncordon w1" in remedies(gang)
        assert "a node that may see crm" in remedies(gang)
    assert await runs.end() == {"customers": {"w1"}}
    assert made.project.rows("out/customers.jsonl") == ROWS


async def test_a_slice_goes_to_nodes_of_its_herd_and_to_those_of_all(
    made: Team, runs: Runs
) -> None:
    async with shut(made, "w1", "w3"):
        runs.begin("ours", herd="finance")
        runs.begin("theirs")
        assert await runs.stand("ours") == {"one": "w2"}
        gang = await runs.why("theirs")
        assert gang["counts"] == {"herd": 1, "state": 2}
        assert "a node that takes slices of herd default" in remedies(gang)
    ended = await runs.end()
    assert ended["ours"] == {"w2"}
    assert ended["theirs"] < {"w1", "w3"}


async def test_runs_that_say_a_word_share_no_node(made: Team, runs: Runs) -> None:
    async with shut(made, "w3"):
        runs.begin("first", "@affinity(anti=heavy)")
        assert await runs.stand("first") == {"one": "w1"}
        runs.begin("second", "@affinity(anti=heavy)")
        gang = await runs.why("second")
        assert gang["counts"] == {"herd": 1, "apart": 1, "state": 1}
        assert "a node on which nothing stands that it stands apart of" in remedies(gang)
    assert await runs.stand("second") == {"one": "w3"}
    assert await runs.end() == {"first": {"w1"}, "second": {"w3"}}


async def test_a_step_stands_apart_from_another_of_its_run(made: Team, runs: Runs) -> None:
    async with shut(made, "w3"):
        runs.begin_both("apart", "", '@affinity(anti="step:as")')
        gang = await runs.why("apart", "b")
        assert gang["counts"] == {"herd": 1, "apart": 1, "state": 1}
        assert "a node on which nothing stands that it stands apart of" in remedies(gang)
    assert await runs.stand("apart") == {"a": "w1", "b": "w3"}
    assert await runs.end() == {"apart": {"w1", "w3"}}


async def test_steps_that_are_to_stand_together_wait_together_and_ask_for_the_same_labels(
    made: Team, runs: Runs
) -> None:
    async with shut(made, "w3"):
        runs.begin_both(
            "together", '@requires(label="gpu")', '@affinity(colocate_with="step:as", domain=node)'
        )
        gang = await runs.why("together")
        assert gang["slices"] == ["a", "b"]
        assert gang["counts"] == {"herd": 1, "label": 1, "state": 1}
        assert "a node with gpu" in remedies(gang)
    assert await runs.stand("together") == {"a": "w3", "b": "w3"}
    assert await runs.end() == {"together": {"w3"}}


async def test_a_skew_has_a_slice_wait_for_the_emptier_zone_where_that_is_full(
    made: Team, runs: Runs
) -> None:
    record = await made.barn.get(NODES.key("w3"), NodeRecord)
    assert record is not None
    most = record.value.capacity.cpu_m
    runs.begin("full", f'@requires(cpu={most * 3 // 4}m, label="gpu")', step="fill")
    assert await runs.stand("full") == {"one": "w3"}
    even = f"@requires(cpu={most // 3}m) @affinity(domain=zone, skew=1)"
    runs.begin_both("even", even, even)
    gang = await runs.why("even")
    assert gang["counts"] == {"herd": 1, "spread": 1, "cpu": 1}
    assert "more free on w3" in remedies(gang)[0]
    made.project.write(FILLED, "")
    assert sorted((await runs.stand("even")).values()) == ["w1", "w3"]
    assert await runs.end() == {"full": {"w3"}, "even": {"w1", "w3"}}
