"""The flights pipeline: CSV, contract and dead letter, join, aggregate, three Parquet files, as at least five slices.

References, each in a process of its own, taking turns with ours in one run: one Polars streaming process, DuckDB in three statements, and dlt's
Arrow path on the easier half (CSV to Parquet, no rules, no join).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
import pyarrow.parquet as pq

from figures import (
    FLIGHTS,
    FLIGHTS_ROWS,
    PLANES,
    Figure,
    Took,
    at_most,
    descendants,
    main,
    middle,
    pss_bytes,
    shown,
    timed,
)

BENCH = Path(__file__).parent
PYTHON = sys.executable
OTHERS = str(BENCH.parent / ".venv-bench/bin/python")
RUNI = [PYTHON, "-m", "runink.cli.main"]
SLICES_MIN = 5
GOOD, DEAD, GROUPS = 328_457, 8_319, 732
PEAK_LOOKS_S = 0.02


def repeated(repeats: int, target: Path) -> None:
    """Write the flights as often as asked for, under one header."""
    header, _, body = FLIGHTS.read_bytes().partition(b"\n")
    with target.open("wb") as file:
        file.write(header + b"\n")
        for _ in range(repeats):
            file.write(body)


@contextmanager
def project(repeats: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="runink-bench-") as folder:
        root = Path(folder) / "flights"
        shutil.copytree(BENCH / "flights", root)
        (root / "data").mkdir()
        repeated(repeats, root / "data/flights.csv")
        shutil.copy(PLANES, root / "data/planes.csv")
        yield root


def check(out: Path, repeats: int) -> None:
    found = [
        pq.read_metadata(out / f"{name}.parquet").num_rows for name in ("good", "dead", "groups")
    ]
    assert found == [GOOD * repeats, DEAD * repeats, GROUPS], found


def reference(script: str, root: Path, repeats: int) -> Took:
    """Run a reference on the same input, and check that it did the same."""
    out = root / "out-reference"
    shutil.rmtree(out, ignore_errors=True)
    inputs = [str(root / "data/flights.csv"), str(root / "data/planes.csv")]
    took = timed([PYTHON, str(BENCH / script), *inputs, str(out)])
    check(out, repeats)
    return took


def dlt(root: Path, repeats: int) -> float:
    """Return the seconds that dlt takes for the easier half, CSV to Parquet without rules and join, with the faster of two readers."""
    out = root / "out-dlt"
    seconds = []
    for reader in ("arrow", "source"):
        shutil.rmtree(out, ignore_errors=True)
        words = [str(BENCH / "dlt_flights.py"), str(root / "data/flights.csv"), str(out), reader]
        seconds.append(timed([OTHERS, *words]).wall_s)
        files = list(out.glob("*/flights/*.parquet"))
        rows = sum(pq.read_metadata(file).num_rows for file in files)
        assert rows == repeats * FLIGHTS_ROWS, (reader, rows)
    return min(seconds)


def duckdb_half(root: Path) -> float:
    """Return the seconds of that half in DuckDB, which uses both cores for it: the least that anything here takes."""
    target = root / "half.parquet"
    words = [str(BENCH / "duckdb_half.py"), str(root / "data/flights.csv"), str(target)]
    return timed([PYTHON, *words]).wall_s


def cold(root: Path, repeats: int) -> tuple[Took, int]:
    """Run ours from a cold shell; return also how many processes its slices were."""
    took = timed([*RUNI, "run", "features/flights.dsl", "-o", "json"], cwd=root)
    check(root / "out", repeats)
    document = json.loads(took.out)
    pids = {one["pid"] for one in document["slices"] if one["pid"]}
    assert len(pids) >= SLICES_MIN, document["slices"]
    return took, len(pids)


@contextmanager
def up(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([*RUNI, "up"], cwd=root, stderr=subprocess.PIPE)
    try:
        assert child.stderr is not None
        assert child.stderr.readline().startswith(b"ready")
        yield child
    finally:
        child.terminate()
        child.communicate()


def warm(root: Path, turns: int) -> list[float]:
    """Return the seconds from submit to done, in a cluster that runs already."""
    from runink.cli.run import new_run_id, submission
    from runink.clients.cluster import Cluster
    from runink.clients.connecting import connected
    from runink.config import NodeSettings, offered
    from runink.projects import compile_file

    async def once(cluster: Cluster) -> float:
        compiled = compile_file(root / "features/flights.dsl", parameters={})
        request = submission(compiled, root / ".runink", new_run_id(), cluster=cluster)
        began = time.perf_counter()
        await cluster.submit(request)
        async for view in cluster.follow(request.run):
            last = view
        took = time.perf_counter() - began
        assert last.record.state.value == "succeeded", last.record.failure
        return took

    async def all_of_them() -> list[float]:
        async with connected(NodeSettings(state=root / ".runink", capacity=offered())) as cluster:
            await once(cluster)  # the first one loads the libraries of its steps
            return [await once(cluster) for _ in range(turns)]

    return anyio.run(all_of_them)


def peak(root: Path) -> int:
    """Return the most memory of all our processes together during a run, shared pages counted once."""
    child = subprocess.Popen(
        [*RUNI, "run", "features/flights.dsl", "-q"], cwd=root, stdout=subprocess.DEVNULL
    )
    most = 0
    while child.poll() is None:
        most = max(most, pss_bytes(descendants(child.pid)))
        time.sleep(PEAK_LOOKS_S)
    assert child.returncode == 0
    return most


def large(repeats: int, turns: int) -> list[Figure]:
    rows = f"{repeats * FLIGHTS_ROWS:,} flights"
    with project(repeats) as root:
        ours, polars, duck = [], [], []
        for _ in range(turns):
            took, slices = cold(root, repeats)
            ours.append(took)
            polars.append(reference("polars_flights.py", root, repeats))
            duck.append(reference("duckdb_flights.py", root, repeats))
        wall = middle([took.wall_s for took in ours])
        cpu = middle([took.cpu_s for took in ours])
        polars_s = middle([took.wall_s for took in polars])
        polars_cpu = middle([took.cpu_s for took in polars])
        duck_s = middle([took.wall_s for took in duck])
        dlt_s = dlt(root, repeats)
        return [
            at_most(f"{slices} slices to Polars, {rows}, wall s", wall, polars_s, 1.15),
            at_most(f"{slices} slices to Polars, {rows}, cpu s", cpu, polars_cpu, 1.15),
            at_most(f"{slices} slices to DuckDB, {rows}, wall s", wall, duck_s, 1.0),
            shown(f"{slices} slices to half of it in dlt, {rows}, s", wall, dlt_s),
            shown(f"half of it in DuckDB to the same in dlt, {rows}, s", duckdb_half(root), dlt_s),
        ]


def small(turns: int) -> list[Figure]:
    with project(1) as root:
        cold_s, polars_s = [], []
        for _ in range(turns):
            cold_s.append(cold(root, 1)[0].wall_s)
            polars_s.append(reference("polars_flights.py", root, 1).wall_s)
        with up(root):
            warm_s = warm(root, turns)
        polars = middle(polars_s)
        dlt_s = middle([dlt(root, 1) for _ in range(turns)])
        cold_ratio = Figure(
            "runi run from a cold shell to Polars, 336,776 flights, s",
            round(middle(cold_s), 3),
            round(polars, 3),
            round(middle(cold_s) / polars, 3),
            "<= reference + 2 s",
            middle(cold_s) <= polars + 2,
        )
        return [
            at_most("warm cluster to Polars, 336,776 flights, s", middle(warm_s), polars, 1.5),
            cold_ratio,
            at_most(
                "warm cluster to half of it in dlt, 336,776 flights, s",
                middle(warm_s),
                dlt_s,
                0.333,
            ),
            shown("runi run from a cold shell to the same, s", middle(cold_s), dlt_s),
        ]


def memory(repeats: int) -> list[Figure]:
    peaks = []
    for times in (1, repeats):
        with project(times) as root:
            peaks.append(peak(root))
    megabytes = [round(one / 1e6) for one in peaks]
    return [
        at_most(
            f"memory at {repeats} times the rows to that at once, all processes, MB",
            megabytes[1],
            megabytes[0],
            1.3,
        )
    ]


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    os.environ.pop("OPENBLAS_CORETYPE", None)
    figures = small(arguments.turns)
    figures += large(arguments.repeats, arguments.large_turns)
    return figures + memory(arguments.repeats)


if __name__ == "__main__":
    main(measure, str(__doc__), repeats=30, turns=5, large_turns=3)
