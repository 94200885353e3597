"""Who dies when, and what becomes of the others: the table in the sandbox's docstring, with real processes and SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Self

import anyio
import pytest
from runink.errors import Conflict, LinkLost, Unavailable
from runink.sandbox.client import ForkServerLost, ForkServerReady
from runink.sandbox.protocol import HOST_NETWORK
from runink.sandbox.starting import running_spawner
from sandbox_world import (
    IN_EACH,
    IN_FORKED,
    WAIT_S,
    Way,
    World,
    all_of,
    children_of,
    code_in,
    gone,
    is_alive,
    line_of,
    place_in,
    some_of,
    tree_of,
    world_in,
)

pytestmark = pytest.mark.anyio
AGENT = "agent"
SAID = {Way.CELLS: "full", Way.ALONE: "full", Way.PLAIN: "none", Way.BUBBLEWRAP: "bubblewrap"}


async def be_agent(folder: Path, orphan_s: float, *, way: Way) -> None:
    """Launch slices, tell the spawner's and theirs process ids, and wait to be killed."""
    async with world_in(folder, orphan_s=orphan_s, way=way) as world:
        pids = [world.spawner.pid]
        for number in range(3):
            launched = await world.launch("tree", f"kept/{number}", attempt=number)
            assert await line_of(launched.stdout) == "grown"
            pids += tree_of(launched.pid)
        echo = await world.launch("echo", "echo")
        pids += tree_of(echo.pid)
        await world.launch("print", "ended")
        await world.exited("ended")
        os.write(1, json.dumps(pids).encode() + b"\n")
        await anyio.sleep_forever()


class Killed:
    """An agent that was killed with -9. `slices` are the pids of what it left, `spawner` that of its spawner."""

    def __init__(self, folder: Path, *, orphan_s: float, way: Way = Way.CELLS) -> None:
        words = [sys.executable, __file__, AGENT, str(folder), str(orphan_s), way.value]
        child = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert child.stdout is not None
        line = child.stdout.readline()
        self.spawner, *self.slices = json.loads(line)
        self.pidfd = os.pidfd_open(self.spawner)  # now: it ends by itself soon
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=WAIT_S)
        child.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.pidfd)


@IN_EACH
async def test_a_new_agent_finds_the_slices_of_one_that_was_killed(tmp_path, way):
    with Killed(tmp_path, way=way, orphan_s=60) as killed:
        async with world_in(tmp_path, way=way) as world:
            assert world.spawner.pid == killed.spawner
            listed = {one.slice: one for one in await world.spawner.list()}
            assert [one.attempt for one in listed.values()] == [0, 1, 2, 1, 1]
            assert sorted(listed) == ["echo", "ended", "kept/0", "kept/1", "kept/2"]
            assert {one.pid for one in listed.values()} <= {*killed.slices, -1}
            full = {"isolation": SAID[way]}
            assert all(full.items() <= one.sealed.items() for one in listed.values())
            assert listed["ended"].pid == -1
            # What ended while nobody listened is told, and what it printed is still there.
            assert (await world.exited("ended")).code == 0
            assert (await all_of(listed["ended"].stdout)).startswith("to stdout\n")
            # The control socket works on, in both directions.
            listed["echo"].control.send(b"still there\n")
            await anyio.wait_readable(listed["echo"].control)
            assert listed["echo"].control.recv(100) == b"still there\n"
            assert (await world.exited("echo")).code == 0
            # So do signals by pidfd, and the spawner's own.
            listed["kept/0"].kill()
            assert (await world.exited("kept/0")).cause == "signalled"
            assert await world.spawner.kill("kept/1")
            assert (await world.exited("kept/1")).cause == "killed"
            assert is_alive(listed["kept/2"].pid)
            for one in listed.values():
                one.close()
        await gone(killed.pidfd)
        assert not any(map(is_alive, killed.slices))


@IN_EACH
async def test_without_a_new_agent_everything_ends_by_itself(tmp_path, way):
    with Killed(tmp_path, way=way, orphan_s=0.3) as killed:
        await gone(killed.pidfd)
        assert not any(map(is_alive, killed.slices))
        assert not place_in(tmp_path).socket.exists()


@IN_FORKED
async def test_when_the_agent_leaves_in_order_everything_ends_with_it(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        launched = await world.launch("tree")
        assert await line_of(launched.stdout) == "grown"
        pids = tree_of(launched.pid)
        spawner, fork_server = world.spawner.pid, await world.fork_server()
        launched.close()
    assert not any(map(is_alive, [*pids, spawner, fork_server]))
    assert not place_in(tmp_path).socket.exists()


@IN_EACH
async def test_an_agent_that_is_cancelled_ends_everything_too(tmp_path, way):
    pids = []
    with anyio.CancelScope() as scope:
        async with running_spawner(place_in(tmp_path, way=way), agent="test") as spawner:
            launched = await World(spawner, way=way).launch("wait")
            pids += [spawner.pid, launched.pid]
            launched.close()
            scope.cancel()
            await anyio.sleep_forever()
    assert not any(map(is_alive, pids))


@IN_EACH
async def test_the_ends_of_a_shutdown_are_told_before_the_events_end(tmp_path, way):
    async with running_spawner(place_in(tmp_path, way=way), agent="test") as spawner:
        world = World(spawner, way=way)
        for number in range(5):
            (await world.launch("wait", str(number))).close()
        await spawner.shutdown()
        await world.hear()  # it ends by itself
    for number in range(5):
        assert (await world.exited(str(number))).cause == "killed"


async def test_an_agent_that_parts_leaves_its_slices_to_the_next(tmp_path):
    async with running_spawner(place_in(tmp_path, orphan_s=60), agent="first") as spawner:
        first = await World(spawner).launch("wait")
        pid = spawner.pid
        await spawner.aclose()
        with pytest.raises(LinkLost):
            await spawner.list()
        assert [event async for event in spawner.events()] == []
    async with world_in(tmp_path) as world:
        assert world.spawner.pid == pid
        (again,) = await world.spawner.list()
        assert again.pid == first.pid
        first.close()
        again.close()


async def test_the_newest_agent_wins_and_the_other_learns_that_it_has_lost(tmp_path):
    async with running_spawner(place_in(tmp_path), agent="older") as older:
        launched = await World(older).launch("wait")
        async with world_in(tmp_path) as newer:
            assert newer.spawner.pid == older.pid
            await older.wait_ended()
            with pytest.raises(LinkLost):
                await older.kill("slice")
            with pytest.raises(LinkLost):
                await World(older).hear()
            assert is_alive(launched.pid)
            (listed,) = await newer.spawner.list()
            assert listed.pid == launched.pid
            assert (await newer.ran("nothing", "next"))[0].code == 0
            listed.close()
        launched.close()


@IN_EACH
async def test_an_agent_that_goes_in_the_middle_of_its_launches_leaves_no_unknown_slice(
    tmp_path, way
):
    async with running_spawner(place_in(tmp_path, way=way), agent="older") as older:
        (await World(older, way=way).launch("nothing", "first")).close()
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(_launch_or_lose, World(older, way=way), str(number))
            for one in await older.list():  # by now all have been asked for
                one.close()
            async with world_in(tmp_path, way=way) as newer:
                await older.wait_ended()
                listed = await newer.spawner.list()
                for one in listed:
                    one.close()
                for one in listed:
                    await newer.spawner.kill(one.slice)
                for one in listed:
                    await newer.exited(one.slice)
                    await newer.spawner.release(one.slice)
                assert (await newer.ran("nothing", "next"))[0].code == 0
                assert await newer.spawner.list() == []


async def _launch_or_lose(world, name):
    try:
        (await world.launch("wait", name)).close()
    except LinkLost:
        return


@IN_EACH
async def test_when_the_spawner_is_killed_its_slices_end_and_the_agent_is_told(tmp_path, way):
    async with running_spawner(place_in(tmp_path, way=way), agent="test") as spawner:
        world = World(spawner, way=way)
        launched = await world.launch("tree")
        assert await line_of(launched.stdout) == "grown"
        pid = spawner.pid
        # With the fork server, of plain slices the last to go: it ends the others.
        ending = [os.pidfd_open(one) for one in (*tree_of(launched.pid), *children_of(pid))]
        os.kill(pid, signal.SIGKILL)
        for one in (launched.pidfd, *ending):
            await gone(one)
        for one in ending:
            os.close(one)
        await spawner.wait_ended()
        with pytest.raises(LinkLost):
            await world.launch("nothing", "other")
        with pytest.raises(LinkLost):
            await world.hear()
        assert await some_of(launched.stdout) == b"", "nobody is left who could print"
        launched.close()
    async with world_in(tmp_path, way=way) as world:
        assert world.spawner.pid != pid
        assert (await world.ran("nothing"))[0].code == 0


@IN_EACH
async def test_a_launch_that_the_spawner_is_killed_over_is_lost(tmp_path, way):
    async with running_spawner(place_in(tmp_path, way=way), agent="test") as spawner:
        world = World(spawner, way=way)
        (await world.launch("nothing", "first")).close()
        os.kill(spawner.pid, signal.SIGSTOP)
        async with anyio.create_task_group() as group:
            group.start_soon(_must_lose, world)
            await anyio.wait_all_tasks_blocked()
            os.kill(spawner.pid, signal.SIGKILL)


async def _must_lose(world):
    with pytest.raises(LinkLost):
        await world.launch("nothing", "second")


@IN_FORKED
async def test_when_the_fork_server_is_killed_its_slices_go_on(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        launched = await world.launch("tree")
        assert await line_of(launched.stdout) == "grown"
        pids = tree_of(launched.pid)
        echo = await world.launch("echo", "echo")
        first = await world.fork_server()
        os.kill(first, signal.SIGKILL)
        await world.event(ForkServerLost)
        assert (await world.ran("exit 5", "next"))[0].code == 5
        assert await world.fork_server(1) != first
        assert all(map(is_alive, pids))
        echo.control.send(b"hello\n")
        assert (await world.exited("echo")).code == 0, "its end is told by the spawner itself"
        await world.spawner.kill("slice")
        exited = await world.exited("slice")
        assert (exited.cause, exited.signal) == ("killed", signal.SIGKILL)
        assert not any(map(is_alive, pids))
        launched.close()
        echo.close()


@IN_FORKED
async def test_launches_that_the_fork_server_dies_over_may_be_tried_again(tmp_path, way):
    async with world_in(tmp_path, way=way) as world:
        fork_server = await world.fork_server()
        os.kill(fork_server, signal.SIGSTOP)
        refused = []

        async def launch(number):
            with pytest.raises(Unavailable) as lost:
                await world.launch("nothing", str(number))
            refused.append(lost.value.code)

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(launch, number)
            await anyio.wait_all_tasks_blocked()
            # It is asked for after the three, and of another fork server.
            (await world.launch("nothing", "online", network=HOST_NETWORK)).close()
            os.kill(fork_server, signal.SIGKILL)
        assert refused == ["fork_server_lost"] * 3
        assert (await world.ran("nothing", "0"))[0].code == 0


@IN_FORKED
async def test_a_fork_server_that_dies_at_every_start_holds_up_launches_until_it_lives(
    tmp_path, way
):
    code = code_in(tmp_path)
    module = code / "late_entry.py"
    module.write_text("import os\nos._exit(3)\n")
    async with world_in(tmp_path, way=way, entry="late_entry:main", path=(code,)) as world:
        await world.event(ForkServerLost, 1)
        module.write_text("def main(job, control, descriptors): return 4\n")
        exited, _, _ = await world.ran("anything")
        assert exited.code == 4


@IN_FORKED
async def test_an_entry_that_cannot_be_imported_refuses_launches_with_its_reason(tmp_path, way):
    code = code_in(tmp_path)
    (code / "broken_entry.py").write_text("import nowhere_to_be_found\n")
    async with world_in(tmp_path, way=way, entry="broken_entry:main", path=(code,)) as world:
        assert "nowhere_to_be_found" in (await world.event(ForkServerReady)).problem
        with pytest.raises(Exception, match="nowhere_to_be_found") as refused:
            await world.launch("nothing")
        assert refused.value.code == "no_entry"
        log = place_in(tmp_path).log.read_text()
        assert "Traceback" in log


@IN_EACH
async def test_a_terminated_spawner_ends_its_slices_first(tmp_path, way):
    async with running_spawner(place_in(tmp_path, way=way), agent="test") as spawner:
        world = World(spawner, way=way)
        launched = await world.launch("tree")
        assert await line_of(launched.stdout) == "grown"
        pids = tree_of(launched.pid)
        os.kill(spawner.pid, signal.SIGTERM)
        with pytest.raises(LinkLost):
            await world.hear()
        assert (await world.exited("slice")).cause == "killed"
        assert not any(map(is_alive, pids))
        launched.close()


async def test_what_is_not_a_socket_is_not_deleted(tmp_path):
    place = place_in(tmp_path)
    place.socket.parent.mkdir()
    place.socket.write_text("precious")
    with pytest.raises(Conflict) as conflict:
        async with running_spawner(place, agent="test"):
            pass
    assert conflict.value.code == "not_a_socket"
    assert place.socket.read_text() == "precious"


async def test_the_socket_and_its_folder_are_the_users_alone(tmp_path):
    place = place_in(tmp_path)
    async with running_spawner(place, agent="test"):
        modes = [path.stat().st_mode & 0o777 for path in (place.socket, place.socket.parent)]
        assert modes == [0o600, 0o700]
        assert place.log.stat().st_mode & 0o777 == 0o600


async def test_a_state_folder_may_lie_as_deep_as_it_likes(tmp_path):
    deep = tmp_path.joinpath(*["deeper"] * 30)
    with Killed(deep, orphan_s=60) as killed:
        async with world_in(deep) as world:
            assert world.spawner.pid == killed.spawner


if __name__ == "__main__":
    assert sys.argv[1] == AGENT
    folder, orphan_s, way = sys.argv[2:]
    anyio.run(partial(be_agent, Path(folder), float(orphan_s), way=Way(way)))
