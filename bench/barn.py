"""The Barn beside etcd: puts and gets of one and of three members, watches, and a million keys.

Both are processes on loopback with their data on one disk, both sync every commit with fdatasync, and values have 100 B; see `barn_load.py` for the
workloads. They run at the same time and are loaded in turns; the middle of each one's turns counts. Without etcd or Go on the machine
nothing is measured: `apt-get install etcd-server golang-go golang-etcd-server-dev`.

The Barn's client is one asyncio process, etcd's is a Go program over gRPC with clientv3. What they use of a core is told beside the figures: a client near 1 is
the limit, and not what it loads.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from barn_etcd import built, etcd_members
from barn_large import large
from barn_load import Load, Taken, Workload
from barn_ours import barn_members
from barn_watch import watched
from figures import ROOT, Figure, above, at_least, at_most, below, main, shown

CACHE: Final = ROOT / ".bench"
STARVED: Final = 3.0  # times as long as others
IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


@dataclass
class Case:
    """A workload by so many clients, what ours must reach of etcd's operations, and what was taken."""

    workload: Workload
    clients: int
    must: float
    ours: list[Taken] = field(default_factory=list)
    etcd: list[Taken] = field(default_factory=list)

    def figures(self, members: int) -> Iterator[Figure]:
        name = f"{self.workload.value}, {members} members, {self.clients} clients"
        yield at_least(
            f"{name}, per second, to etcd",
            median(one.per_second for one in self.ours),
            median(one.per_second for one in self.etcd),
            self.must,
        )
        yield shown(
            f"{name}, p50, ms",
            median(one.p50_ms for one in self.ours),
            median(one.p50_ms for one in self.etcd),
        )
        ours, etcd = (median(one.p99_ms for one in taken) for taken in (self.ours, self.etcd))
        if members > 1 and self.workload is Workload.PUT and self.clients > 1:
            yield at_most(f"{name}, p99, ms, to etcd", ours, etcd, 1.0)
        else:
            yield shown(f"{name}, p99, ms", ours, etcd)
        yield shown(
            f"{name}, what the client uses of a core",
            median(one.cpu_s / one.seconds for one in self.ours),
            median(one.cpu_s / one.seconds for one in self.etcd),
        )


def cases_of(members: int) -> list[Case]:
    if members == 1:
        return [Case(Workload.PUT, 64, 1.0)]
    return [
        Case(Workload.PUT, 1, 0.8),
        Case(Workload.PUT, 64, 1.0),
        Case(Workload.GET, 64, 1.0),
        Case(Workload.SERIALIZABLE, 64, 0.8),
    ]


@contextmanager
def folder_on_disk() -> Iterator[Path]:
    """Make a folder for the data of both, and remove it. Raises SystemExit where it would be in memory."""
    with tempfile.TemporaryDirectory(prefix="barn-", dir=CACHE) as made:
        kind = file_system_of(Path(made))
        if kind in IN_MEMORY:
            raise SystemExit(f"{made} is on a {kind}, where a sync costs nothing")
        yield Path(made)


def file_system_of(path: Path) -> str:
    """Return the kind of file system that holds a path."""
    device = path.stat().st_dev
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, behind = line.partition(" - ")
        if before.split()[2] == f"{os.major(device)}:{os.minor(device)}":
            return behind.split()[0]
    return "unknown"


def beside_etcd(members: int, client: Path, arguments: argparse.Namespace) -> list[Figure]:
    cases = cases_of(members)
    with (
        folder_on_disk() as folder,
        etcd_members(members, folder, client) as etcd,
        barn_members(members, folder) as ours,
    ):
        loads: tuple[Load, Load] = (etcd, ours)
        for load in loads:
            load.fill()
        for _ in range(arguments.turns):
            for case in cases:
                case.etcd.append(etcd.run(case.workload, case.clients, seconds=arguments.seconds))
                case.ours.append(ours.run(case.workload, case.clients, seconds=arguments.seconds))
    return [figure for case in cases for figure in case.figures(members)]


def watches(arguments: argparse.Namespace) -> list[Figure]:
    with folder_on_disk() as folder, barn_members(1, folder) as barn:
        taken = [watched(barn, seconds=arguments.seconds) for _ in range(arguments.turns)]
    events = "1 writer, 1000 watchers of one prefix"
    return [
        above(f"{events}: events per second", median(one.per_second for one in taken), 50_000),
        at_most(
            f"{events}: longest wait for news, s, to the middle watcher's",
            median(one.wait_s for one in taken),
            median(one.middle_wait_s for one in taken),
            STARVED,
        ),
    ]


def large_figures() -> list[Figure]:
    with folder_on_disk() as folder:
        found = large(folder)
    keys = "1000000 keys of 100 B"
    return [
        below(f"{keys}: resident, GB", found.resident_bytes / 1e9, 1.2),
        below(
            f"{keys}: longest pause of the event loop during a snapshot, ms, to as long without",
            found.snapshot_pause_ms,
            50,
            found.pause_ms,
        ),
        below(f"{keys}: restart, s", found.restart_s, 20),
    ]


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    CACHE.mkdir(exist_ok=True)
    client = built(CACHE)
    return [
        *beside_etcd(3, client, arguments),
        *beside_etcd(1, client, arguments),
        *watches(arguments),
        *large_figures(),
    ]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started here ends with it
    main(measure, str(__doc__), turns=3, seconds=5.0)
