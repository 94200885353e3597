"""A thousand launches of all kinds, eight at a time, cold and from the pool, and what is there then that was not there before: nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from leak_world import (
    HAS_GROUPS,
    assert_all_cleared,
    cells_of,
    groups_of,
    handles_of,
    living_in,
    lying_at,
    mounts_at,
    namespace_of,
    namespaces_of,
    ours,
)
from runink.errors import Refused
from runink.sandbox.cgroup_spares import OPEN_MAX
from runink.sandbox.client import Bind
from runink.sandbox.desk import KEPT_PER_SLICE
from runink.sandbox.starting import SpawnerPlace
from sandbox_world import (
    WAIT_S,
    World,
    descriptors_of,
    kinds_of,
    line_of,
    place_in,
    shown,
    world_in,
)

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]
# Fewer where every process is slow: docs/internals/test-machines.md.
LAUNCHES = int(os.environ.get("RUNINK_LAUNCHES", "1000"))
EARLY = LAUNCHES * 2 // 5  # by then whatever is kept for good has been made
AT_ONCE = 8
WARM = 4
GROWTH_BYTES = (
    512 << 10
)  # from the early launches to the last, in each process: its allocator settles within some 2,400
MIB = 1 << 20
# Processes: spawner, fork server, two a cell.  Namespaces: the spawner has one of each kind, the server four of its own, each cell one of each kind.
# Handles of ours: the spawner's, and those of the cells that we were offered.
FULL = (2 + 2 * WARM, 7 + 4 + 7 * WARM, 1 + WARM)

Case = Callable[[World, str, dict[str, Any]], Awaitable[None]]


class Left(NamedTuple):
    """What a spawner has, in numbers where each launch has others."""

    descriptors: tuple[
        int, int, int
    ]  # of spawner, fork server and this process, but for those of cgroups' files
    processes: int
    namespaces: int
    handles: int
    groups: int
    mounts: tuple[int, int]  # beside its socket, as it sees them and as we do
    files: list[str]


def cgroup_files(pid: int) -> int:
    """Return how many files of cgroups a process has open: more for a cell whose cgroup has served before."""
    return sum("/cgroup/" in one for one in descriptors_of(pid))


def left_by(world: World, server: int, place: SpawnerPlace) -> Left:
    processes = (world.spawner.pid, server, os.getpid())
    living = living_in(namespace_of(world.spawner.pid))
    spawner, server_has, mine = (len(kinds_of(pid)) - cgroup_files(pid) for pid in processes)
    return Left(
        (spawner, server_has, mine),
        len(living),
        len(namespaces_of(living)),
        handles_of(processes[2]),
        len(groups_of(place)),
        (len(mounts_at(place, processes[0])), len(mounts_at(place))),
        lying_at(place),
    )


async def settled(
    world: World, server: int, place: SpawnerPlace, before: Left | None = None
) -> Left:
    """Return what there is when the pool is full again and everything that was under way has ended, as it was before if it comes to that."""
    with anyio.move_on_after(WAIT_S):
        while has_spare(place) or not _is(found := left_by(world, server, place), before):
            await world.spawner.list()
        return found
    return left_by(world, server, place)


def _is(found: Left, before: Left | None) -> bool:
    is_full = (found.processes, found.namespaces, found.handles) == FULL
    return is_full and found == (before or found)


def has_spare(place: SpawnerPlace) -> bool:
    """Say whether there are cgroups beside those of the cells that wait: for a moment they could serve again."""
    return len({one.rpartition("/")[2] for one in cells_of(place)}) > WARM


def memory_of(pid: int) -> int:
    """Return how many bytes of memory of its own a process has, shared with what was forked from it or not."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("Anonymous:")]
    return int(line.split()[1]) << 10


# The kinds of launches.


async def ends(world: World, name: str, given: dict[str, Any], *, job: str, code: int) -> None:
    exited, _, _ = await world.ran(job, name, **given)
    assert (exited.cause, exited.code) == ("exited", code)


async def succeeds(world, name, given):
    await ends(world, name, given, job="nothing", code=0)


async def exits(world, name, given):
    await ends(world, name, given, job="exit 5", code=5)


async def raises(world, name, given):
    await ends(world, name, given, job="fail for a test", code=70)


async def crashes(world, name, given):
    exited, _, _ = await world.ran(f"end_itself {signal.SIGSEGV:d}", name, **given)
    assert exited.signal == signal.SIGSEGV


async def runs_out_of_time(world, name, given):
    exited, _, _ = await world.ran("wait", name, wall_time_s=0.02, **given)
    assert exited.cause == "timeout"


async def runs_out_of_memory(world, name, given):
    exited, _, _ = await world.ran("hog", name, memory_bytes=24 * MIB, **given)
    assert exited.cause == "oom"


async def is_killed(world, name, given):
    launched = await world.launch("tree", name, **given)
    assert await line_of(launched.stdout) == "grown"
    launched.close()
    await _end(world, name)


async def is_killed_at_once(world, name, given):
    (await world.launch("wait", name, **given)).close()
    await _end(world, name)


async def _end(world, name):
    assert await world.spawner.kill(name)
    assert (await world.exited(name)).cause == "killed"
    assert await world.spawner.release(name)


async def is_refused(world, name, given):
    bind = given["binds"][0]
    swapped = Bind("/usr", bind.descriptor, is_writable=False)
    with pytest.raises(Refused) as refused:
        await world.launch("nothing", name, **given | {"binds": [swapped]})
    assert refused.value.code == "slice_not_shown"


async def is_given_up(world, name, given):
    launched = None
    with anyio.move_on_after(0.001):
        launched = await world.launch("nothing", name, **given)
    if launched is not None:  # it was quicker
        launched.close()
        await world.exited(name)
        assert await world.spawner.release(name)


CASES: list[Case] = [
    succeeds, exits, raises, is_killed, succeeds, crashes, is_killed_at_once, runs_out_of_time, succeeds, is_refused, exits,
    is_given_up, succeeds, raises, is_killed, succeeds, *((runs_out_of_memory,) if HAS_GROUPS else ()),
]  # fmt: skip


async def launch_all(world: World, numbers: range, given: dict[str, Any]) -> None:
    """Launch so many, AT_ONCE at a time, of two herds in turn and with a scratch that only every other cell of the pool has."""
    rest = iter(numbers)

    async def work():
        for number in rest:
            case = CASES[number % len(CASES)]
            herd = f"herd-{number % 2}"
            await case(world, str(number), given | {"herd": herd})

    async with anyio.create_task_group() as group:
        for _ in range(AT_ONCE):
            group.start_soon(work)


async def test_a_thousand_launches_leave_nothing(tmp_path):
    outside = ours()
    pipe = os.pipe()
    changes = {"entry": "leak_entries:main", "warm": WARM}
    place = place_in(tmp_path, **changes)
    async with world_in(tmp_path, **changes) as world:
        server = await world.fork_server()
        spawner = world.spawner.pid
        with shown(tmp_path) as binds:
            given = {"descriptors": pipe, "binds": binds}
            for number in range(2):
                await succeeds(world, f"first {number}", given | {"herd": f"herd-{number}"})
            await launch_all(world, range(2 * len(CASES)), given)
            before = await settled(world, server, place)
            await launch_all(world, range(2 * len(CASES), EARLY), given)
            early = [memory_of(pid) for pid in (spawner, server)]
            await launch_all(world, range(EARLY, LAUNCHES), given)
            after = await settled(world, server, place, before)
            late = [memory_of(pid) for pid in (spawner, server)]
            files = cgroup_files(spawner)
        assert after == before
        assert files <= WARM * (KEPT_PER_SLICE + OPEN_MAX)
        assert await world.spawner.list() == []
        growths = [now - then for now, then in zip(late, early, strict=True)]
        print(f"memory {late}, grown by {growths} from launch {EARLY} to {LAUNCHES}")  # noqa: T201 - for who runs it with -s
        assert max(growths) <= GROWTH_BYTES, growths
    for end in pipe:
        os.close(end)
    assert_all_cleared(place)
    assert ours() == outside
