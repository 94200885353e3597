"""Agents that are killed, with cells that wait: what the next one gets, what becomes of everything without a next one, and how quickly a slice that resists is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest
from leak_world import assert_all_cleared, cells_of, living_in, namespace_of, ours, quiet
from sandbox_world import (
    IN_EACH,
    WAIT_S,
    Way,
    World,
    children_of,
    first_processes_of,
    gone,
    is_alive,
    line_of,
    place_in,
    tree_of,
    world_in,
)

pytestmark = pytest.mark.anyio
WARM = 2
ENTRY = "leak_entries:main"
GONE_S = 1.0
TRIES = 5  # a busy machine may keep somebody from the core for longer


def waiting_in(server: int, *begun: int) -> list[int]:
    """Return the cells of a fork server that wait, and are of two processes by now."""
    return sorted(
        pid for pid in first_processes_of(server) if pid not in begun and len(tree_of(pid)) > 1
    )


async def be_agent(folder: Path, orphan_s: float) -> None:
    """Launch slices, wait until the pool is full, tell who is there, and wait to be killed."""
    async with world_in(folder, orphan_s=orphan_s, warm=WARM, entry=ENTRY) as world:
        running = await world.launch("stubborn", "runs on", memory_bytes=64 << 20)
        assert await line_of(running.stdout) == "grown"
        echo = await world.launch("echo", "echo")
        await world.launch("exit 5", "ended")
        await world.exited("ended")
        (server,) = children_of(world.spawner.pid)
        while len(waiting := waiting_in(server, running.pid, echo.pid)) != WARM:
            assert not await world.spawner.kill("nobody")
        told = [world.spawner.pid, running.pid, echo.pid, waiting]
        os.write(1, json.dumps(told).encode() + b"\n")
        await anyio.sleep_forever()


class Left(NamedTuple):
    """What an agent has left that was killed with -9; of the spawner, which may end soon, a handle and the namespace."""

    spawner: int
    running: int
    echo: int
    waiting: list[int]
    pidfd: int
    namespace: int
    living: int


def left_by_a_killed_agent(folder: Path, *, orphan_s: float) -> Left:
    words = [sys.executable, __file__, str(folder), str(orphan_s)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        told = json.loads(child.stdout.readline())
        namespace = namespace_of(told[0])
        left = Left(*told, os.pidfd_open(told[0]), namespace, len(living_in(namespace)))
        child.kill()
    return left


async def test_the_next_agent_gets_the_slices_and_the_cells_that_waited_end(tmp_path):
    before = ours()
    place = place_in(tmp_path, warm=WARM)
    left = left_by_a_killed_agent(tmp_path, orphan_s=60)
    pids, namespace = tree_of(left.running), left.namespace
    os.close(left.pidfd)
    assert len(pids) == 5
    waiting = left.waiting
    async with world_in(tmp_path, warm=WARM, entry=ENTRY) as world:
        assert world.spawner.pid == left.spawner
        listed = {one.slice: one for one in await world.spawner.list()}
        assert {name: one.pid for name, one in listed.items()} == {
            "runs on": left.running,
            "echo": left.echo,
            "ended": -1,
        }
        # Control socket, pidfd and the limits of before work on.
        listed["echo"].control.send(b"still there\n")
        await anyio.wait_readable(listed["echo"].control)
        assert listed["echo"].control.recv(100) == b"still there\n"
        assert (await world.exited("echo")).code == 0
        assert (await world.exited("ended")).code == 5
        # What was offered to the one that is gone is nobody's any more.
        with anyio.fail_after(WAIT_S):
            while any(map(is_alive, waiting)):
                assert not await world.spawner.kill("nobody")
        assert (await world.ran("nothing", "next"))[0].code == 0
        listed["runs on"].kill()
        assert (await world.exited("runs on")).cause == "signalled"
        assert not any(map(is_alive, pids))
        for one in listed.values():
            one.close()
    assert not any(map(is_alive, living_in(namespace))), (
        "the spawner itself is for its adopter to reap"
    )
    assert_all_cleared(place)
    assert ours() == before


async def test_without_a_next_agent_the_spawner_ends_all_and_clears(tmp_path):
    before = ours()
    left = left_by_a_killed_agent(tmp_path, orphan_s=0.5)
    assert left.living >= 2 + 5
    await gone(left.pidfd)
    os.close(left.pidfd)
    assert not any(map(is_alive, living_in(left.namespace))), (
        "the spawner itself is for its adopter to reap"
    )
    assert_all_cleared(place_in(tmp_path))
    assert ours() == before


@IN_EACH
async def test_a_slice_that_resists_is_gone_within_a_second(tmp_path, way):
    place = place_in(tmp_path)
    async with world_in(tmp_path, way=way, entry=ENTRY) as world:
        took_s = []
        while not took_s or (took_s[-1] >= GONE_S and len(took_s) < TRIES):
            took_s.append(await ended_by_force(world, str(len(took_s)), way))
        assert took_s[-1] < GONE_S, took_s
        if way is not Way.PLAIN:
            await quiet(world, place, processes=1 if way is Way.BUBBLEWRAP else 2)
            assert cells_of(place) == []


async def ended_by_force(world: World, name: str, way: Way) -> float:
    """Have a slice that nothing else ends ended by the spawner; return how long that took."""
    launched = await world.launch("stubborn", name)
    assert await line_of(launched.stdout) == "grown"
    pids = tree_of(launched.pid)
    assert len(pids) == (4 if way is Way.PLAIN else 5)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        assert await world.spawner.signal(name, number)
    assert not await world.spawner.kill("nobody"), "by now all signals were sent"
    assert all(map(is_alive, pids))
    began_s = time.monotonic()
    assert await world.spawner.kill(name)
    exited = await world.exited(name)
    took_s = time.monotonic() - began_s
    assert (exited.cause, exited.signal, exited.survivors) == ("killed", signal.SIGKILL, 0)
    assert not any(map(is_alive, pids))
    launched.close()
    return took_s


if __name__ == "__main__":
    anyio.run(be_agent, Path(sys.argv[1]), float(sys.argv[2]))
