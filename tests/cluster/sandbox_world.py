"""A spawner for a test, and how to hear from its slices."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from debian import install
from runink.sandbox.client import (
    Bind,
    Event,
    Exited,
    ForkServerReady,
    LaunchedSlice,
    SliceWanted,
    Spawner,
)
from runink.sandbox.homes import HOMES_MAX
from runink.sandbox.protocol import ISOLATION
from runink.sandbox.standing import Standing, standing
from runink.sandbox.starting import SpawnerPlace, running_spawner

WAIT_S = 60  # what takes longer hangs
HERD = "herd"
HAS_RANGES = standing() is Standing.GIVER  # else slices of all herds have our own id


class Way(Enum):
    """What slices are: cells of ours, of two processes or of the worker alone, plain processes, or closed off by bubblewrap."""

    CELLS = "isolated"
    ALONE = "alone"
    PLAIN = "plain"
    BUBBLEWRAP = "bubblewrap"


WALLED = (Way.CELLS, Way.ALONE, Way.BUBBLEWRAP)
OF_ONE = (Way.ALONE, Way.PLAIN)  # that have no first process beside the worker
IN_EACH = pytest.mark.parametrize("way", Way, ids=lambda way: way.value)
IN_WALLS = pytest.mark.parametrize("way", WALLED, ids=lambda way: way.value)
# Where a signal does what it does without a handler; a first process ignores it.
WHERE_SIGNALS_END = pytest.mark.parametrize(
    "way", [way for way in Way if way is not Way.ALONE], ids=lambda way: way.value
)
# Those that come from a fork server.
IN_FORKED = pytest.mark.parametrize(
    "way", [Way.CELLS, Way.ALONE, Way.PLAIN], ids=lambda way: way.value
)


def place_in(folder: Path, *, way: Way = Way.CELLS, **changes: Any) -> SpawnerPlace:
    if way is Way.BUBBLEWRAP:
        install("bubblewrap")
    values = {
        "is_plain": way is Way.PLAIN,
        "uses_bubblewrap": way is Way.BUBBLEWRAP,
        "socket": folder / "spawner" / "socket",
        "log": folder / "spawner" / "log",
        "entry": "alone_entries:main" if way is Way.ALONE else "sandbox_entries:main",
        "path": (Path(__file__).parent,),
    }
    return SpawnerPlace(**values | changes)


def probes(way: Way) -> str:
    """Return the entry of slices that try to get out."""
    return "alone_entries:probes" if way is Way.ALONE else "escape_probes:main"


class World:
    """A spawner whose events are heard all the time."""

    def __init__(self, spawner: Spawner, *, way: Way = Way.CELLS) -> None:
        self.spawner = spawner
        self._without = (ISOLATION,) if way is Way.PLAIN else ()
        self.heard: list[Event] = []
        self._news = anyio.Event()

    async def hear(self) -> None:
        async for event in self.spawner.events():
            self.heard.append(event)
            self._news.set()
            self._news = anyio.Event()

    async def event(self, kind: type, number: int = 0, **fields: Any) -> Any:
        """Wait for an event of this kind; `number` passes so many over."""
        with anyio.fail_after(WAIT_S):
            while True:
                found = [
                    event
                    for event in self.heard
                    if isinstance(event, kind)
                    and all(getattr(event, name) == value for name, value in fields.items())
                ]
                if len(found) > number:
                    return found[number]
                await self._news.wait()

    async def exited(self, name: str) -> Exited:
        return await self.event(Exited, slice=name)

    async def fork_server(self, number: int = 0) -> int:
        """Return the process id of a living fork server, when it is ready: the first that was, or a later one."""
        ready = await self.event(ForkServerReady, number)
        (found,) = with_number(ready.pid, children_of(self.spawner.pid))
        return found

    async def launch(self, job: str | bytes, name: str = "slice", **changes: Any) -> LaunchedSlice:
        content = job if isinstance(job, bytes) else job.encode()
        values = {"attempt": 1, "herd": HERD, "cwd": "/", "without": self._without}
        return await self.spawner.launch(
            SliceWanted(name=name, job=content, **values | changes),
        )

    async def ran(self, job: str, name: str = "slice", **changes: Any) -> tuple[Exited, str, str]:
        """Run a slice to its end and forget it; return its end and all that it printed."""
        launched = await self.launch(job, name, **changes)
        stdout, stderr = await all_of(launched.stdout), await all_of(launched.stderr)
        exited = await self.exited(name)
        launched.close()
        assert await self.spawner.release(name)
        return exited, stdout, stderr


@asynccontextmanager
async def world_in(folder: Path, *, way: Way = Way.CELLS, **changes: Any) -> AsyncIterator[World]:
    place = place_in(folder, way=way, **changes)
    async with running_spawner(place, agent="test") as spawner:
        world = World(spawner, way=way)
        async with anyio.create_task_group() as hearing:
            hearing.start_soon(world.hear)
            yield world
            hearing.cancel_scope.cancel()


def code_in(folder: Path) -> Path:
    """Return a new folder for modules, readable for all as installed packages are: a zygote is nobody's user."""
    code = folder / "code"
    code.mkdir()
    code.chmod(0o755)
    return code


@contextmanager
def shown(*paths: Path, is_writable: bool = False) -> Iterator[list[Bind]]:
    """Give what a slice is to be shown, for as long as the block."""
    binds = [Bind(str(path), os.open(path, os.O_PATH), is_writable) for path in paths]
    try:
        yield binds
    finally:
        for bind in binds:
            os.close(bind.descriptor)


async def some_of(descriptor: int) -> bytes:
    """Return what a pipe holds, as soon as it holds something; nothing at its end."""
    with anyio.fail_after(WAIT_S):
        while True:
            await anyio.wait_readable(descriptor)
            try:
                return os.read(descriptor, 1 << 20)
            except BlockingIOError:
                continue


async def all_of(descriptor: int) -> str:
    """Return all that comes from a pipe until its end."""
    found = b""
    while data := await some_of(descriptor):
        found += data
    return found.decode()


async def line_of(descriptor: int) -> str:
    found = b""
    while not found.endswith(b"\n"):
        data = await some_of(descriptor)
        assert data, found
        found += data
    return found.decode().rstrip("\n")


async def gone(pidfd: int) -> None:
    """Wait until a process has ended."""
    with anyio.fail_after(WAIT_S):
        await anyio.wait_readable(pidfd)


def is_alive(pid: int) -> bool:
    """Say whether there is such a process (of which something other than its number is left)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the latter where it ends meanwhile
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def children_of(pid: int) -> list[int]:
    """Return the process ids of the children of a process with one thread."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def inner_pid(pid: int) -> int:
    """Return a process's number in the innermost namespace that it is in."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("NSpid:")]
    return int(line.split()[-1])


def tree_of(pid: int) -> list[int]:
    """Return a process (with one thread, as all beneath it) and all its descendants that live."""
    found = [pid]
    for child in filter(is_alive, children_of(pid)):
        with suppress(FileNotFoundError, ProcessLookupError):  # who clones a cell ends at once
            found += tree_of(child)
    return found


async def grown_tree(pid: int, count: int) -> list[int]:
    """Return a process and all its descendants when they are so many: on a busy machine who cloned a cell may not have ended yet."""
    with anyio.fail_after(WAIT_S):
        while len(found := tree_of(pid)) != count:
            await anyio.lowlevel.checkpoint()
    return found


def with_number(number: int, pids: list[int]) -> list[int]:
    """Return those of these processes that have this number in the innermost namespace that they are in."""
    found = []
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):  # as above
            if inner_pid(pid) == number:
                found.append(pid)
    return found


def first_processes_of(fork_server: int) -> list[int]:
    """Return the first processes of the cells that a fork server has made."""
    return with_number(1, children_of(fork_server))


def descriptors_of(pid: int) -> list[str]:
    """Return what a process has open, by number and kind."""
    found = []
    for path in sorted(Path(f"/proc/{pid}/fd").iterdir()):
        with suppress(FileNotFoundError):  # that of this listing itself
            found.append(f"{path.name} {str(path.readlink()).split(':')[0]}")
    return found


def kinds_of(pid: int) -> list[str]:
    """Return what a process has open, without numbers: what it makes ahead has one that depends on what was open then. What keeps homes is let out: their count is bounded, and depends on how many cells lived at once."""
    found = sorted(one.partition(" ")[2] for one in descriptors_of(pid))
    homes = sum(one.endswith("/net/sockstat") for one in found)
    assert homes <= HOMES_MAX + 1  # the one that is just taken up
    for kind in ["user", "net"] * homes:
        if kind in found:  # one that is just taken up has some of its descriptors twice
            found.remove(kind)
    return [one for one in found if not one.endswith(("/net/sockstat", "/net/dev"))]
