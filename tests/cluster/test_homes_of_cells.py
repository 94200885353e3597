"""Homes: cells of a herd live in the same namespaces one after the other, and nobody else does."""

from __future__ import annotations

import os
import signal
import socket

import anyio
import anyio.lowlevel
import pytest
from sandbox_world import (
    WAIT_S,
    Way,
    first_processes_of,
    gone,
    line_of,
    tree_of,
    world_in,
)

pytestmark = pytest.mark.anyio
ENTRY = "home_entries:main"
IN_CELLS = pytest.mark.parametrize("way", [Way.CELLS, Way.ALONE], ids=lambda way: way.value)


class Seen:
    """Namespaces that were looked at, held until the test has ended: the kernel gives the number of one that is gone to the next."""

    held: list[int]


@pytest.fixture(autouse=True)
def seen():
    Seen.held = []
    yield
    for descriptor in Seen.held:
        os.close(descriptor)


def seen_of(pid: int, *kinds: str) -> tuple[int, ...]:
    """Return the numbers of a process's namespaces of these kinds."""
    found = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds]
    Seen.held += found
    return tuple(os.fstat(descriptor).st_ino for descriptor in found)


def home_of(pid: int) -> tuple[int, ...]:
    return seen_of(pid, "user", "net")


def own_of(pid: int) -> set[int]:
    """Return the namespaces that a cell shares with nobody, ever."""
    return set(seen_of(pid, "mnt", "pid", "ipc", "uts", "cgroup"))


async def ended(world, launched, name):
    os.kill(launched.pid, signal.SIGKILL)
    await world.exited(name)
    launched.close()
    assert await world.spawner.release(name)


async def lived(world, name, job="wait", **changes):
    """Run a slice that waits until it is killed; return its home."""
    launched = await world.launch(job, name, **changes)
    assert await line_of(launched.stdout) == "waiting"
    found = home_of(launched.pid)
    await ended(world, launched, name)
    return found


@IN_CELLS
async def test_a_cell_lives_where_the_last_one_of_its_herd_did_in_namespaces_of_its_own_otherwise(
    tmp_path, way
):
    async with world_in(tmp_path, way=way) as world:
        first = await world.launch("wait", "first")
        assert await line_of(first.stdout) == "waiting"
        home, own = home_of(first.pid), own_of(first.pid)
        await ended(world, first, "first")
        second = await world.launch("wait", "second")
        assert await line_of(second.stdout) == "waiting"
        assert home_of(second.pid) == home
        assert own_of(second.pid).isdisjoint(own)
        assert second.sealed == first.sealed
        await ended(world, second, "second")


@IN_CELLS
async def test_no_two_cells_that_live_share_a_home_and_no_two_herds_ever_do(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        first = {home for number in range(2) for home in [await lived(world, f"one/{number}")]}
        other = await lived(world, "two", herd="other")
        assert first.isdisjoint({other})
        assert len(first) == 1
        living = []
        for number, herd in enumerate(["herd", "herd", "herd", "other", "other", "third"]):
            launched = await world.launch("wait", f"now/{number}", herd=herd)
            assert await line_of(launched.stdout) == "waiting"
            living.append((herd, launched))
        homes = [home_of(launched.pid) for _, launched in living]
        assert len(set(homes)) == len({user for user, _ in homes}) == len(homes)
        assert len({network for _, network in homes}) == len(homes)
        of_herds = {herd: [home_of(one.pid) for name, one in living if name == herd] for herd in ("herd", "other")}  # fmt: skip
        assert first <= set(of_herds["herd"])
        assert other in of_herds["other"]
        for _, launched in living:
            launched.close()


async def test_what_a_killed_slice_held_is_free_for_the_next_and_none_of_its_processes_is_left(
    tmp_path,
):
    async with world_in(tmp_path, entry=ENTRY) as world:
        homes = []
        for number in range(2):
            name = f"settler/{number}"
            launched = await world.launch("settle", name)
            assert await line_of(launched.stdout) == "waiting"
            homes.append(home_of(launched.pid))
            every = [os.pidfd_open(pid) for pid in tree_of(launched.pid)]
            assert len(every) == 2
            await ended(world, launched, name)
            for pidfd in every:
                await gone(pidfd)
                os.close(pidfd)
        assert homes[0] == homes[1]


async def test_a_home_in_which_anything_was_sent_is_not_used_again(tmp_path):
    async with world_in(tmp_path, entry=ENTRY) as world:
        before = await lived(world, "before")
        for number in range(2):
            exited, stdout, stderr = await world.ran("talk", f"talker/{number}")
            assert (exited.code, stdout) == (0, "talked\n"), stderr  # the port is free
        assert await lived(world, "after") != before


async def test_a_home_of_which_a_socket_has_got_out_is_not_used_again(tmp_path):
    async with world_in(tmp_path, entry=ENTRY) as world:
        before = await lived(world, "before")
        launched = await world.launch("hand_out", "giver")
        with anyio.fail_after(WAIT_S):
            await anyio.wait_readable(launched.control)
        _, (held,), _, _ = socket.recv_fds(launched.control, 1, 1)
        await world.exited("giver")
        launched.close()
        assert await lived(world, "after") != before
        os.close(held)


async def test_a_slice_changes_nothing_of_its_home(tmp_path):
    async with world_in(tmp_path, entry=ENTRY) as world:
        before = await lived(world, "before")
        _, stdout, _ = await world.ran("change", "changer")
        assert stdout == ""
        exited, stdout, stderr = await world.ran("network", "talker")
        assert exited.code == 0, stderr
        assert stdout == '[["lo"], "heard"]\n'
        assert await lived(world, "after") != before


async def test_a_slice_is_told_which_core_it_runs_on(tmp_path):
    async with world_in(tmp_path, entry=ENTRY) as world:
        for name in ("in a new home", "in one that was used"):
            _, stdout, stderr = await world.ran("core", name)
            told = [line.split() for line in stdout.splitlines()]
            assert told, stderr
            assert all(core == said for core, said in told), stdout


async def test_cells_that_wait_have_homes_of_their_own(tmp_path):
    async with world_in(tmp_path, warm=2, entry=ENTRY) as world:
        fork_server = await world.fork_server()
        launched = await world.launch("wait", "one")
        assert await line_of(launched.stdout) == "waiting"
        with anyio.fail_after(WAIT_S):
            while True:
                cells = first_processes_of(fork_server)
                if len(cells) > 1:
                    break
                await anyio.lowlevel.checkpoint()
        homes = list(map(home_of, cells))
        assert len(set(homes)) == len(homes)
        launched.close()


async def test_a_home_is_left_with_the_fork_server(tmp_path):
    async with world_in(tmp_path) as world:
        before = await lived(world, "before")
        os.kill(await world.fork_server(), signal.SIGKILL)
        await world.fork_server(1)
        assert await lived(world, "after") != before


async def test_a_used_home_looks_as_it_did(tmp_path):
    async with world_in(tmp_path) as world:
        first = await lived(world, "before")
        tables = [(await world.ran("look /proc/net/dev", f"look/{n}"))[1] for n in range(2)]
        assert await lived(world, "after") == first
        assert "lo:" in tables[0]
        assert tables[0] == tables[1]
