"""A slow reader on one node holds the source on another: little is under way between them, neither relay grows, and nothing is lost."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from urllib.request import urlopen

import anyio
import pytest
from barn_group import WAIT_S, until
from barn_networks import Loopback, free_port
from prometheus_client.parser import text_string_to_metric_families
from runi_project import Project
from runink.relay.connection import READ_BYTES
from runink.relay.ends import WINDOW_BYTES
from runink.relay.switchboard import UNSENT_BYTES_MAX
from team_world import Team, team

pytestmark = pytest.mark.anyio

BATCHES = 32
ROWS = 100  # of a batch
BATCH_BYTES = 1 << 20
PIPES_BYTES = 2 << 20  # one on each node
WORKED_ON = 8  # batches: two steps and two ends of edges, each with one in hand and one that waits
GROWTH_BYTES_MAX = 12 << 20  # of a relay: a window, what the connection keeps, and Python's own
STEPS = f"""
import os, time
@step(each="stream")
def made(batches):
    for _ in batches:
        pass
    for number in range({BATCHES}):
        print("batch", number, flush=True)
        texts = [os.urandom({BATCH_BYTES // ROWS // 2}).hex() for _ in range({ROWS})]
        yield {{"n": list(range(number * {ROWS}, (number + 1) * {ROWS})), "x": texts}}
@step(each="batch")
def slow(rows):
    while not os.path.exists("out/go"):
        time.sleep(0.01)
    return {{"n": rows.column("n").to_pylist()}}
"""


@pytest.fixture
def anyio_backend() -> str:
    """The processes are the same whatever the test's own loop is."""
    return "asyncio"


@pytest.fixture
def parted(project: Project) -> Project:
    """A step that makes much of nothing, and one on another node that takes nothing until `out/go` is there: what its sink writes beside is all that it sees."""
    project.write("out/there", "")
    project.write("data/in.csv", "a\n1\n")
    project.step(STEPS)
    project.pipeline(
        '@source("csv://data/*.csv")\n@step("made")\n@affinity(label="gpu")\n'
        '@step("slow")\n@affinity(label="eu")\n@sink("jsonl://out/o.jsonl")'
    )
    return project


def relay_told(port: int) -> Counter[str]:
    """Return what a node's page says of its relay, by metric and label."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WAIT_S) as answer:
        text = answer.read().decode()
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name.startswith("runink_relay_"):
                name = one.name.removeprefix("runink_relay_")
                found[" ".join((name, *one.labels.values()))] += one.value
    return found


def relay_memory(made: Team, node: str, figure: str) -> int:
    """Return what a node's relay has in memory (VmRSS), or had at most (VmHWM)."""
    log = (made.group.folder / node / f"relay-{node}.log").read_text()
    pid = json.loads(log.splitlines()[0])["pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    (found,) = re.findall(rf"{figure}:\s+(\d+) kB", status)
    return int(found) << 10


def batches_made(made: Team, node: str) -> int:
    """Return how many batches the source has begun to make."""
    logs = (made.group.folder / node / "runs").glob("*/logs/*.jsonl")
    return sum(path.read_text().count('"batch ') for path in logs)


async def test_a_reader_that_takes_nothing_holds_a_source_on_another_node(
    tmp_path: Path, parted: Project
):
    places, ports = Loopback(), {"g": free_port(), "e": free_port()}
    async with team(tmp_path / "team", parted) as made:
        for number, (name, label) in enumerate((("g", "gpu"), ("e", "eu")), 100):
            words = ("--label", label, "--metrics", f"127.0.0.1:{ports[name]}")
            made.hire(name, "--listen", f"{places.host(number)}:{places.port(number)}", *words)
        await made.is_there("g")
        await made.is_there("e")
        before = {name: relay_memory(made, name, "VmRSS") for name in ports}
        child = made.submit()

        async def is_held() -> bool:
            assert child.poll() is None, child.communicate()
            told = await anyio.to_thread.run_sync(relay_told, ports["g"])
            return told["waits_seconds_total reader"] > 0

        await until(is_held, "a stream that waits for its reader")
        source = await anyio.to_thread.run_sync(relay_told, ports["g"])
        target = await anyio.to_thread.run_sync(relay_told, ports["e"])
        assert source["streams out"] == target["streams in"] == 1
        assert source["held_bytes out"] <= UNSENT_BYTES_MAX + READ_BYTES
        assert target["held_bytes in"] <= WINDOW_BYTES
        sent_max = WINDOW_BYTES + PIPES_BYTES // 2 + WORKED_ON // 2 * BATCH_BYTES
        assert source["bytes_total out"] <= sent_max
        kept = WINDOW_BYTES + UNSENT_BYTES_MAX + READ_BYTES + PIPES_BYTES
        assert batches_made(made, "g") <= kept // BATCH_BYTES + WORKED_ON < BATCHES // 2

        parted.write("out/go", "")
        out, _ = await anyio.to_thread.run_sync(lambda: child.communicate(timeout=WAIT_S))
        assert child.returncode == 0, out.decode()
        found = [row["n"] for row in parted.rows("out/o.jsonl")]
        assert found == list(range(BATCHES * ROWS)), "all of it, once and in order"
        assert parted.files("out") == ["out/go", "out/o.jsonl", "out/there"]

        async def is_over() -> bool:
            source = await anyio.to_thread.run_sync(relay_told, ports["g"])
            target = await anyio.to_thread.run_sync(relay_told, ports["e"])
            is_counted = source["bytes_total out"] == target["bytes_total in"]
            return is_counted and target["held_bytes in"] == source["held_bytes out"] == 0

        await until(is_over, "relays that hold nothing and have counted alike")
        source = await anyio.to_thread.run_sync(relay_told, ports["g"])
        assert source["bytes_total out"] > BATCHES * BATCH_BYTES
        for name, bytes_then in before.items():
            grown = relay_memory(made, name, "VmHWM") - bytes_then
            assert grown < GROWTH_BYTES_MAX < BATCHES * BATCH_BYTES // 2
