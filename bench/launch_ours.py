"""Our side of `bench/launch.py`: a spawner with its fork server, asked as an agent asks, and what its processes use."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import fmean
from typing import Final, NamedTuple

import anyio
from runink.sandbox.client import (
    Bind,
    Exited,
    ForkServerReady,
    LaunchedSlice,
    SliceWanted,
    Spawner,
)
from runink.sandbox.starting import SpawnerPlace, running_spawner

from figures import descendants

ENTRIES: Final = Path(__file__).parent / "launching"
MEMORY_BYTES: Final = 256 << 20
CPU_M: Final = 1000
PROCESSES: Final = 64
LINE_BYTES: Final = 100
WAIT_S: Final = 30.0
SCRAPES: Final = 20
CELL_PROCESSES: Final = 2
TICKS: Final = os.sysconf("SC_CLK_TCK")


class Held(NamedTuple):
    """Bytes of memory of a process."""

    rss: int
    pss: int
    private_dirty: int


def held_by(pid: int) -> Held:
    fields = dict(
        line.split()[:2] for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    )
    return Held(*(int(fields[name]) << 10 for name in ("Rss:", "Pss:", "Private_Dirty:")))


class Ours:
    """A spawner, and slices of it that are shown one file."""

    def __init__(self, spawner: Spawner, bind: Bind) -> None:
        self._spawner = spawner
        self._bind = bind
        self._count = 0
        self._ends: dict[str, anyio.Event] = {}
        self.ready = anyio.Event()

    async def hear(self) -> None:
        async for event in self._spawner.events():
            match event:
                case Exited(slice=name) if name in self._ends:
                    assert event.code == 0, event
                    self._ends.pop(name).set()
                case ForkServerReady():
                    assert not event.problem, event
                    self.ready.set()

    async def first_instruction_s(self, job: bytes) -> float:
        """Return the seconds from the request to what the slice says was its first instruction."""
        wanted = self._wanted(job)
        began = time.perf_counter()
        launched = await self._spawner.launch(wanted)
        with anyio.fail_after(WAIT_S):
            await anyio.wait_readable(launched.stdout)
        said = os.read(launched.stdout, LINE_BYTES)
        await self._end(launched)
        return float(said) - began

    async def ran(self, job: bytes) -> None:
        """Launch a slice, and wait for its end."""
        await self._end(await self._spawner.launch(self._wanted(job)))

    def _wanted(self, job: bytes) -> SliceWanted:
        self._count += 1
        name = f"slice-{self._count}"
        self._ends[name] = anyio.Event()
        return SliceWanted(
            name,
            1,
            "bench",
            job,
            "/",
            binds=[self._bind],
            memory_bytes=MEMORY_BYTES,
            cpu_m=CPU_M,
            processes=PROCESSES,
        )

    async def _end(self, launched: LaunchedSlice) -> None:
        end = self._ends.get(launched.slice)
        if end is not None:
            with anyio.fail_after(WAIT_S):
                await end.wait()
        launched.close()
        await self._spawner.release(launched.slice)

    @property
    def spawner_pid(self) -> int:
        return self._spawner.pid

    @property
    def fork_server_pid(self) -> int:
        return descendants(self.spawner_pid)[1]

    def cell_bytes(self) -> float:
        """Return what a cell that waits has of its own: its two processes' private dirty pages, the mean of those that wait now."""
        waiting = descendants(self.fork_server_pid)[1:]
        assert len(waiting) >= CELL_PROCESSES
        return CELL_PROCESSES * fmean(held_by(pid).private_dirty for pid in waiting)

    def cpu_s(self) -> float:
        """Return the processor seconds of this process, of the spawner's, and of all slices that have ended."""
        return time.process_time() + sum(map(_cpu_s, descendants(self.spawner_pid)))


def _cpu_s(pid: int) -> float:
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, after_name[11:15])) / TICKS


@asynccontextmanager
async def ours_in(
    folder: Path, *, preload: Sequence[str], warm: int, shown: Path, uses_bubblewrap: bool = False
) -> AsyncIterator[Ours]:
    """Run a spawner in this folder for as long as the block; its fork server, if it has one, is ready."""
    place = SpawnerPlace(
        socket=folder / "socket",
        log=folder / "log",
        entry="launch_entries:main",
        preload=tuple(preload),
        path=(ENTRIES,),
        warm=warm,
        uses_bubblewrap=uses_bubblewrap,
    )
    descriptor = os.open(shown, os.O_PATH)
    try:
        async with running_spawner(place, agent="bench") as spawner, anyio.create_task_group() as group:  # fmt: skip
            ours = Ours(spawner, Bind(str(shown), descriptor, is_writable=False))
            group.start_soon(ours.hear)
            if not uses_bubblewrap:
                with anyio.fail_after(WAIT_S):
                    await ours.ready.wait()
            yield ours
            group.cancel_scope.cancel()
    finally:
        os.close(descriptor)


def idle_agent(folder: Path) -> Held:
    """Return what the process of `runi up` holds that does nothing but serve /metrics."""
    folder.mkdir()
    (folder / "runink.toml").touch()
    path = folder / "metrics.sock"
    words = [sys.executable, "-m", "runink.cli.main", "up", "--metrics", f"unix:{path}"]
    with subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE) as child:
        try:
            assert child.stderr is not None
            line = child.stderr.readline()
            assert line.startswith(b"ready"), line
            for _ in range(SCRAPES):
                scrape(path)
            return held_by(child.pid)
        finally:
            child.terminate()
            child.communicate()


def scrape(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        with client.makefile("rb") as answer:
            assert b"runink_node_info" in answer.read()
