"""Launches: from the request to the first instruction of what is launched, isolated, beside bubblewrap, crun and a bare posix_spawn.

Ours is asked as an agent asks, over one connection. Warm: a closed cell waits for it. Zygote cold: it is forked and closed off for the request, with Arrow and msgspec
loaded. Executable: the same, and its first act is to become a static program, the one that the others start. The others begin at their posix_spawn.
Through bubblewrap: the second backend, which starts an interpreter for each slice; loading: the slice has loaded by itself what the fork server has.
One of each is launched in turn; a figure is the median over rounds of the round's p50, or the p99 of all.  Beside it: slices a second, and what the processes hold
in memory.

It needs root, and what the others are made of: `apt-get install bubblewrap crun gcc libc6-dev`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import quantiles
from typing import Final

import anyio

from figures import Figure, above, at_most, below, main, middle, shown
from launch_others import BUBBLEWRAP, CRUN, CRUN_WITHOUT, PLAIN, Others, others_in
from launch_ours import Held, Ours, held_by, idle_agent, ours_in
from launching.launch_entries import LOADED, LOADING, NOTHING, STAMP

SOURCE: Final = Path(__file__).parent / "launching/stamp.c"
NEEDED: Final = "apt-get install bubblewrap crun gcc libc6-dev"
PROGRAMS: Final = ("bwrap", "crun", "gcc")
CELLS: Final = 4
PAUSE_S: Final = 0.05  # after a launch, for the next cell to be closed off
SLICES_AT_ONCE: Final = 8

WARM: Final = "warm"
COLD: Final = "zygote cold"
BARE: Final = "bare zygote cold"
EXECUTABLE: Final = "executable"
WRAPPED: Final = "through bubblewrap"
WRAPPED_LOADING: Final = "through bubblewrap, loading"
WRAPPED_EXECUTABLE: Final = "through bubblewrap, executable"

Taken = dict[str, list[list[float]]]  # milliseconds of each way to launch, of each round


def stamp_in(folder: Path) -> Path:
    """Compile the program that says when it began. Raises SystemExit where something is not installed."""
    if os.geteuid():
        raise SystemExit("launches are measured as root: user ids and cgroups are root's to give")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is missing: {NEEDED}")
    made = folder / "stamp"
    done = subprocess.run(["gcc", "-O2", "-static", "-o", str(made), str(SOURCE)], check=False)
    if done.returncode:
        raise SystemExit(f"{SOURCE.name} does not compile: {NEEDED}")
    return made


class Turns:
    """Launches of each kind, one after the other."""

    def __init__(
        self, others: Others, cold: Ours, warm: Ours, bare: Ours, wrapped: Ours, stamp: Path
    ) -> None:
        self._others = others
        self._stamp = stamp
        self._ours = {
            WARM: (warm, STAMP),
            COLD: (cold, STAMP),
            BARE: (bare, STAMP),
            EXECUTABLE: (cold, os.fsencode(stamp)),
            WRAPPED: (wrapped, STAMP),
            WRAPPED_LOADING: (wrapped, LOADING),
            WRAPPED_EXECUTABLE: (wrapped, os.fsencode(stamp)),
        }

    async def once(self) -> dict[str, float]:
        """Return the milliseconds until the first instruction of one launch of each kind."""
        took = {}
        for name, (ours, job) in self._ours.items():
            took[name] = await ours.first_instruction_s(job) * 1e3
            await anyio.sleep(PAUSE_S)
        for name in (BUBBLEWRAP, CRUN, CRUN_WITHOUT, PLAIN):
            took[name] = self._others.launch(name)[0] * 1e3
            await anyio.sleep(PAUSE_S)
        return took


async def taken(turns: Turns, count: int, rounds: int) -> Taken:
    await turns.once()  # the first warm one finds no cell
    found: Taken = defaultdict(list)
    for _ in range(rounds):
        took = [await turns.once() for _ in range(count)]
        for name in took[0]:
            found[name].append([one[name] for one in took])
    return found


def p50(taken: Taken, name: str) -> float:
    return middle([middle(one) for one in taken[name]])


def p99(taken: Taken, name: str) -> float:
    return quantiles([ms for one in taken[name] for ms in one], n=100, method="inclusive")[98]


async def slices_a_second(ours: Ours, seconds: float) -> tuple[float, float]:
    """Launch slices that end at once, several at a time; return how many in a second, and the processor milliseconds of each."""
    count, cpu_s, began = 0, ours.cpu_s(), time.perf_counter()
    until = began + seconds

    async def launch_on() -> None:
        nonlocal count
        while time.perf_counter() < until:
            await ours.ran(NOTHING)
            count += 1

    async with anyio.create_task_group() as group:
        for _ in range(SLICES_AT_ONCE):
            group.start_soon(launch_on)
    return count / (time.perf_counter() - began), (ours.cpu_s() - cpu_s) / count * 1e3


async def all_of(folder: Path, stamp: Path, arguments: argparse.Namespace) -> Sequence[Figure]:
    async with AsyncExitStack() as stack:
        others = stack.enter_context(others_in(folder, stamp))
        started = [
            await stack.enter_async_context(
                ours_in(
                    folder / name, preload=preload, warm=warm, shown=stamp, uses_bubblewrap=wraps
                )
            )
            for name, preload, warm, wraps in (
                ("cold", LOADED, 0, False),
                ("warm", LOADED, CELLS, False),
                ("bare", (), 0, False),
                ("wrapped", (), 0, True),
            )
        ]
        cold, warm, bare, wrapped = started
        load = os.getloadavg()[0]
        took = await taken(Turns(others, *started, stamp), arguments.turns, arguments.rounds)
        held = memory(warm, idle_agent(folder / "idle"))
        rate, cpu_ms = await slices_a_second(cold, arguments.seconds)
        bare_rate, bare_cpu_ms = await slices_a_second(bare, arguments.seconds)
        wrapped_rate, wrapped_cpu_ms = await slices_a_second(wrapped, arguments.seconds)
    return [
        *launches(took),
        above(f"slices a second, launch to end, {SLICES_AT_ONCE} at once", rate, 200),
        told("processor time of each, all our processes, ms", cpu_ms),
        told(f"slices a second of a bare zygote, {SLICES_AT_ONCE} at once", bare_rate),
        told("processor time of each of these, all our processes, ms", bare_cpu_ms),
        told(f"slices a second {WRAPPED}, {SLICES_AT_ONCE} at once", wrapped_rate),
        told("processor time of each of these, all processes, ms", wrapped_cpu_ms),
        *held,
        told("processes that wanted a core before, beside us", load),
    ]


def launches(took: Taken) -> list[Figure]:
    bubblewrap, crun = p50(took, BUBBLEWRAP), p50(took, CRUN)
    p99s = [
        shown(f"{name}, p99, ms, to {reference}", p99(took, name), p99(took, reference))
        for name, reference in (
            (WARM, BUBBLEWRAP),
            (COLD, CRUN),
            (EXECUTABLE, CRUN),
        )
    ]
    return [
        below("warm, p50, ms, to posix_spawn", p50(took, WARM), 0.5, p50(took, PLAIN)),
        at_most("warm, p50, ms, to bubblewrap", p50(took, WARM), bubblewrap, 0.1),
        at_most("zygote cold, p50, ms, to crun", p50(took, COLD), crun, 1.3),
        at_most("executable, p50, ms, to crun", p50(took, EXECUTABLE), crun, 2),
        *p99s,
        shown("bare zygote cold, p50, ms, to crun", p50(took, BARE), crun),
        *(
            shown(f"{name}, p50, ms, to {reference}", p50(took, name), p50(took, reference))
            for name, reference in (
                (WRAPPED, BUBBLEWRAP),
                (WRAPPED_LOADING, COLD),
                (WRAPPED_EXECUTABLE, EXECUTABLE),
            )
        ),
        shown("zygote cold, p50, ms, to bubblewrap", p50(took, COLD), bubblewrap),
        shown(
            "zygote cold, p50, ms, to crun without cgroups",
            p50(took, COLD),
            p50(took, CRUN_WITHOUT),
        ),
    ]


def memory(warm: Ours, agent: Held) -> list[Figure]:
    spawner, fork_server = held_by(warm.spawner_pid), held_by(warm.fork_server_pid)
    return [
        told("spawner, resident, MB", spawner.rss / 1e6),
        told("spawner, shared pages divided (Pss), MB", spawner.pss / 1e6),
        told("fork server with Arrow loaded, resident, MB", fork_server.rss / 1e6),
        told("fork server with Arrow loaded, Pss, MB", fork_server.pss / 1e6),
        told("a cell that waits, private dirty, MB", warm.cell_bytes() / 1e6),
        below("agent, idle, with /metrics, Pss, MB", agent.pss / 1e6, 35),
    ]


def told(name: str, ours: float) -> Figure:
    """Return a figure that has no reference and need not reach anything."""
    return Figure(name, round(ours, 3), None, None, "-", met=True)


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    with tempfile.TemporaryDirectory(prefix="runink-bench-") as folder:
        root = Path(folder)
        stamp = stamp_in(root)
        return anyio.run(all_of, root, stamp, arguments)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started here ends with it
    main(measure, str(__doc__), turns=24, rounds=5, seconds=5.0)
