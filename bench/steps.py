"""Isolated steps: how many a second a run has, and how long one takes, on a cluster that stands (`runi up`), asked over its socket as `runi run` asks.

Each step is a process of its own, closed off as the machine allows (`runi doctor` says how). Where there are many, each prints a line, which its log keeps, and yields nothing. Every state that a client is told is on the disk before.
The time is from the submission, whose pipeline is compiled and packed already, to the answer that says that the run has succeeded.

The reference is HyperQueue, which does the same number of plain processes with two files of output each, and keeps nothing on the disk beside.

What either has written stays until the end: for minutes after many files were deleted, ext4 passes over their inodes one by one for each new file (`recently_deleted` in fs/ext4/ialloc.c), which was 0.6 ms for each of our logs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import anyio
from msgspec.structs import replace
from runink.clients.connecting import connected
from runink.config import NodeSettings, offered
from runink.dag import Dag, Each

from figures import Figure, above, below, main, middle
from runs import BENCH, OTHERS, STEPS, WIDE, cluster_up, dag_of, fan, one_step, step, took

SAYING: Final = """
@step(each="stream")
def says():
    print("done")
    yield from ()
"""
MANY: Final = 1000
ROUNDS: Final = 3
FANS: Final = 5


def many_steps(count: int) -> Dag:
    """Return a pipeline of so many steps that have nothing to do with each other: each is a gang of its own."""
    names = [f"first{number}" for number in range(count)]
    dag = dag_of("many", [step(name, "says", Each.STREAM, takes_input=False) for name in names])
    return replace(dag, slices=tuple(replace(one, gang=one.id) for one in dag.slices))


async def ours(root: Path, turns: int) -> dict[str, float]:
    settings = NodeSettings(state=root / ".runink", capacity=offered())
    async with connected(settings) as cluster:
        await took(cluster, root, one_step())  # the first waits until the fork server is ready
        ones = [await took(cluster, root, one_step()) for _ in range(turns)]
        fans = [await took(cluster, root, fan()) for _ in range(FANS)]
        many = await took(cluster, root, many_steps(MANY))
    kept = max(len(list(one.glob("logs/*"))) for one in (root / ".runink/runs").iterdir())
    assert kept == MANY, f"{kept} logs of {MANY} steps"
    return {"one": middle(ones), "fan": middle(fans), "many": many}


def hyperqueue(folder: Path, turns: int) -> dict[str, float]:
    words = [OTHERS, str(BENCH / "hyperqueue_tasks.py"), str(folder)]
    numbers = (MANY, WIDE, os.cpu_count() or 1, turns)
    done = subprocess.run([*words, *map(str, numbers)], stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    mine, others = [], []
    with tempfile.TemporaryDirectory(prefix="runink-bench-") as folder:
        root = Path(folder)
        (root / "steps").mkdir()
        (root / "steps/s.py").write_text(STEPS + SAYING)
        (root / "runink.toml").touch()
        with cluster_up(root):
            for turn in range(ROUNDS):
                mine.append(anyio.run(ours, root, arguments.turns))
                others.append(hyperqueue(root / f"hyperqueue{turn}", arguments.turns))
    found = {name: middle([one[name] for one in mine]) for name in mine[0]}
    their = {name: middle([one[name] for one in others]) for name in others[0]}
    return [
        above(
            f"isolated no-op steps a second, {MANY} in one run, to HyperQueue's plain ones",
            MANY / found["many"],
            166,
            MANY / their["many"],
        ),
        below(
            "one isolated no-op step, submit to done, p50, ms, to HyperQueue",
            found["one"] * 1e3,
            60,
            their["one"] * 1e3,
        ),
        below(
            "1-98-1 isolated no-op steps, s, to HyperQueue",
            found["fan"],
            0.9,
            their["fan"],
        ),
    ]


if __name__ == "__main__":
    main(measure, str(__doc__), turns=20)
