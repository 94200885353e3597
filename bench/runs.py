"""Runs: what a run costs beside its work, and what a cluster costs beside its runs.

References, each measured in this run: Dagster for the no-op step and for the fan of steps, Dask for a cluster from a cold shell.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
from runink.bundles import pack, unpack
from runink.cli.run import new_run_id
from runink.clients.cluster import Cluster
from runink.clients.connecting import connected
from runink.clients.run_requests import Submit
from runink.config import NodeSettings, offered
from runink.dag import Dag, Each, Function, Link, Resources, Scenario, SliceSpec, Step
from runink.herds.record import HerdRecord
from runink.names import HerdName, PipelineName

from figures import ROOT, Figure, below, descendants, main, middle, pss_bytes

BENCH = Path(__file__).parent
RUNI = [sys.executable, "-m", "runink.cli.main"]
OTHERS = str(ROOT / ".venv-bench/bin/python")
HERD = HerdName("bench")
WIDE = 98
IDLE_S = 2.0  # for what a start leaves behind to settle
STEPS = """
import pyarrow as pa
from runink import step

@step(each="batch")
def first():
    return pa.record_batch({"n": [1]})

@step(each="batch")
def wide(rows):
    return rows

@step(each="input")
def last(rows):
    return rows
"""


def step(name: str, function: str, each: Each, *, takes_input: bool = True) -> Step:
    return Step(f"s.{name}", "s", Function("steps/s.py", function, each, (), takes_input))


def dag_of(name: str, steps: Sequence[Step], links: Sequence[Link] = ()) -> Dag:
    """Return a pipeline with a process for each step."""
    slices = tuple(SliceSpec(one.id, "s", "s", (one.id,), Resources()) for one in steps)
    scenarios = (Scenario("s", "s", {}, 1),)
    return Dag(
        PipelineName(name), HERD, name, "s.dsl", scenarios, tuple(steps), tuple(links), slices
    )


def one_step() -> Dag:
    return dag_of("one", [step("first", "first", Each.BATCH, takes_input=False)])


def fan() -> Dag:
    wide = [step(f"wide{number}", "wide", Each.BATCH) for number in range(WIDE)]
    ends = step("first", "first", Each.BATCH, takes_input=False), step("last", "last", Each.INPUT)
    links = [Link(ends[0].id, one.id) for one in wide] + [Link(one.id, ends[1].id) for one in wide]
    return dag_of("fan", [ends[0], *wide, ends[1]], links)


@contextmanager
def cluster_up(root: Path) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Start `runi up` as from a shell; yield it and the seconds until it was ready."""
    began = time.perf_counter()
    child = subprocess.Popen([*RUNI, "up"], cwd=root, stderr=subprocess.PIPE)
    try:
        assert child.stderr is not None
        line = child.stderr.readline()
        assert line.startswith(b"ready"), line
        yield child, time.perf_counter() - began
    finally:
        child.terminate()
        child.communicate()


async def took(cluster: Cluster, root: Path, dag: Dag) -> float:
    """Return the seconds from submit to done."""
    bundle = pack(root)
    unpack(bundle, root / ".runink/bundles")
    request = Submit(new_run_id(), dag, HerdRecord(HERD), str(root), bundle.hash)
    began = time.perf_counter()
    await cluster.submit(request)
    async for view in cluster.follow(request.run):
        last = view
    seconds = time.perf_counter() - began
    assert last.record.state.value == "succeeded", last.record.failure
    return seconds


async def runs(root: Path, turns: int) -> tuple[list[float], list[float]]:
    settings = NodeSettings(state=root / ".runink", capacity=offered())
    async with connected(settings) as cluster:
        await took(cluster, root, one_step())  # the first waits until the fork server is ready
        ones = [await took(cluster, root, one_step()) for _ in range(turns)]
        fans = [await took(cluster, root, fan()) for _ in range(max(turns // 5, 3))]
    return ones, fans


def dask() -> tuple[float, int]:
    """Return the seconds until a Dask cluster is ready, and its memory when idle."""
    began = time.perf_counter()
    child = subprocess.Popen(
        [OTHERS, str(BENCH / "dask_up.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        seconds = time.perf_counter() - began
        time.sleep(IDLE_S)
        return seconds, pss_bytes(descendants(child.pid))
    finally:
        child.communicate()


def dagster() -> dict[str, float]:
    done = subprocess.run(
        [OTHERS, str(BENCH / "dagster_jobs.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    with tempfile.TemporaryDirectory(prefix="runink-bench-") as folder:
        root = Path(folder)
        (root / "steps").mkdir()
        (root / "steps/s.py").write_text(STEPS)
        (root / "runink.toml").touch()
        ready, dask_ready = [], []
        for _ in range(max(arguments.turns // 10, 3)):
            with cluster_up(root) as (child, seconds):
                ready.append(seconds)
                time.sleep(IDLE_S)
                idle = pss_bytes(descendants(child.pid))
            dask_s, dask_idle = dask()
            dask_ready.append(dask_s)
        with cluster_up(root):
            ones, fans = anyio.run(runs, root, arguments.turns)
    others = dagster()
    return [
        below(
            "one no-op step in its own process, warm, submit to done, p50, ms, to Dagster",
            middle(ones) * 1e3,
            85,
            others["one"] * 1e3,
        ),
        below(
            "1-98-1 no-op steps, a process each, s, to Dagster in one process",
            middle(fans),
            0.93,
            others["fan"],
        ),
        below(
            "runi up from a cold shell to ready, s, to Dask",
            middle(ready),
            1.75,
            middle(dask_ready),
        ),
        below("idle, all processes (Pss), MB, to Dask", idle / 1e6, 150, dask_idle / 1e6),
    ]


if __name__ == "__main__":
    main(measure, str(__doc__), turns=40)
