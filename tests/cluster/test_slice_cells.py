"""The processes that a slice lives between: the spawner and a cell's first process, each the first of its namespace."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from runink.errors import LinkLost, Refused
from runink.sandbox.client import ForkServerLost, ForkServerReady
from runink.sandbox.ids import ZYGOTE
from runink.sandbox.protocol import HOST_NETWORK, ISOLATION, NO_NETWORK
from runink.sandbox.starting import running_spawner
from sandbox_entries import interfaces
from sandbox_world import (
    HAS_RANGES,
    Way,
    World,
    children_of,
    gone,
    grown_tree,
    inner_pid,
    is_alive,
    line_of,
    place_in,
    tree_of,
    world_in,
)

pytestmark = pytest.mark.anyio
KINDS = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")


def namespaces(pid: int | str) -> dict[str, str]:
    return {kind: str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in KINDS}


def same(one: int | str, other: int | str) -> set[str]:
    """Return the kinds of namespaces that two processes share."""
    mine, its = namespaces(one), namespaces(other)
    return {kind for kind in KINDS if mine[kind] == its[kind]}


def range_of(pid: int) -> list[int]:
    """Return a process's ids: first inside, first outside, how many."""
    return [int(word) for word in Path(f"/proc/{pid}/uid_map").read_text().split()]


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def ids_of(pids: list[int]) -> set[int]:
    """Return the users that these processes run as, as the machine sees them."""
    texts = (Path(f"/proc/{pid}/status").read_text() for pid in pids)
    lines = (line for text in texts for line in text.splitlines() if line.startswith("Uid:"))
    return {int(word) for line in lines for word in line.split()[1:]}


async def test_who_lives_in_which_namespaces(tmp_path):
    async with world_in(tmp_path) as world:
        spawner, fork_server = world.spawner.pid, await world.fork_server()
        first = await world.launch("wait", "first")
        online = await world.launch("wait", "online", network=HOST_NETWORK)
        assert await line_of(first.stdout) == await line_of(online.stdout) == "waiting"
        assert inner_pid(spawner) == 1
        users = {"user"} if HAS_RANGES else set()
        assert same("self", spawner) == {"net", "ipc", "uts", "cgroup"} | users
        assert same(spawner, fork_server) == {"user", "pid", "cgroup"}
        assert inner_pid(first.pid) == 1
        (worker,), (online_worker,) = children_of(first.pid), children_of(online.pid)
        assert same(worker, first.pid) == set(KINDS)
        for other in ("self", spawner, fork_server, online_worker):
            assert same(worker, other) == set()
        assert same(online_worker, "self") == {"net"}
        first.close()
        online.close()


async def test_a_fork_server_has_no_rights_left_when_it_loads_what_is_foreign(tmp_path):
    async with world_in(tmp_path) as world:
        fork_server = await world.fork_server()
        told = status_of(fork_server)
        sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        assert {int(told[name], 16) for name in sets} == {0}
        assert told["NoNewPrivs"] == "1"
        assert ids_of([fork_server]) == {ZYGOTE if HAS_RANGES else os.geteuid()}


async def test_what_closes_a_slice_off_is_told(tmp_path):
    async with world_in(tmp_path) as world:
        launched = await world.launch("wait", without=[ISOLATION])
        told = {"isolation": "full", "network": "none", "user": "1000", "seccomp": "on"}
        assert told.items() <= launched.sealed.items(), "without what may be missing it is the same"
        (listed,) = await world.spawner.list()
        assert listed.sealed == launched.sealed
        assert listed.pid == launched.pid
        listed.close()
        launched.close()


async def test_a_plain_spawner_takes_no_slice_that_wants_to_be_closed_off(tmp_path):
    async with world_in(tmp_path, way=Way.PLAIN) as world:
        with pytest.raises(Refused) as refused:
            await world.launch("nothing", without=())
        assert refused.value.code == "isolation_unavailable"
        launched = await world.launch("wait")
        assert launched.sealed == {"isolation": "none"}
        assert same(launched.pid, "self") == set(KINDS)
        launched.close()


async def test_herds_have_ids_of_their_own_and_a_slice_is_one_user_inside(tmp_path):
    async with world_in(tmp_path) as world:
        herds = ["one", "one", "two"]
        launched = [
            await world.launch("wait", str(number), herd=herd) for number, herd in enumerate(herds)
        ]
        one, again, two = (range_of(slice_.pid) for slice_ in launched)
        assert one == again
        assert one[0] == two[0] == 0
        assert one[2] == two[2] == 65536
        assert abs(one[1] - two[1]) >= 65536
        assert min(one[1], two[1]) >= 0x7000_0000 + 65536, "the first range is the fork servers'"
        assert ids_of(tree_of(launched[0].pid)) == {one[1] + 1000}
        _, stdout, _ = await world.ran("about", "about")
        assert json.loads(stdout)["user"] == [1000, 1000]
        for slice_ in launched:
            slice_.close()
        # A herd of the same name on another node of this machine is another herd.
        async with world_in(tmp_path / "other") as other:
            slice_ = await other.launch("wait", herd="one")
            assert abs(range_of(slice_.pid)[1] - one[1]) >= 65536
            slice_.close()


async def test_without_a_network_there_is_a_loopback_that_works_and_nothing_else(tmp_path):
    async with world_in(tmp_path) as world:
        _, stdout, stderr = await world.ran("network", network=NO_NETWORK)
        assert (json.loads(stdout), stderr) == ([["lo"], "heard"], "")
        _, stdout, _ = await world.ran("network", "online", network=HOST_NETWORK)
        assert json.loads(stdout) == [interfaces(), "heard"]


# Ends.


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGTERM])
async def test_a_signal_that_ends_the_worker_is_told_as_it_was(tmp_path, number):
    async with world_in(tmp_path) as world:
        exited, _, _ = await world.ran(f"end_itself {number:d}")
        assert (exited.cause, exited.code, exited.signal) == ("signalled", -1, number)


async def test_a_code_that_looks_like_a_signals_is_a_code(tmp_path):
    async with world_in(tmp_path) as world:
        for code in (137, 139, 143, 70):
            exited, _, _ = await world.ran(f"exit {code}", str(code))
            assert (exited.cause, exited.code, exited.signal) == ("exited", code, 0)


async def test_the_first_process_takes_everything_with_it(tmp_path):
    async with world_in(tmp_path) as world:
        launched = await world.launch("tree")
        assert await line_of(launched.stdout) == "grown"
        pids = tree_of(launched.pid)
        os.kill(launched.pid, signal.SIGKILL)
        exited = await world.exited("slice")
        assert (exited.cause, exited.signal, exited.survivors) == ("signalled", signal.SIGKILL, 0)
        assert not any(map(is_alive, pids))
        launched.close()


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]
)
async def test_the_first_process_passes_signals_on(tmp_path, number):
    async with world_in(tmp_path) as world:
        launched = await world.launch("catch")
        assert await line_of(launched.stdout) == "waiting"
        assert await world.spawner.signal("slice", number)
        exited = await world.exited("slice")
        assert (exited.cause, exited.code) == ("exited", number)
        launched.close()


async def test_the_first_process_reaps_whoever_loses_its_parents(tmp_path):
    async with world_in(tmp_path) as world:
        exited, stdout, stderr = await world.ran("orphans 50")
        assert (exited.code, stdout, stderr) == (0, "50 reaped\n", "")


async def test_a_slice_does_nothing_to_its_first_process(tmp_path):
    async with world_in(tmp_path) as world:
        exited, stdout, stderr = await world.ran("attack_first")
        assert stderr == ""
        # Where its own id is root's of the spawner's namespace, it is told how many descriptors there are, and no more.
        listing = "EACCES" if HAS_RANGES else "done"
        assert stdout.split() == ["runi-init", "EACCES", "EACCES", "EACCES", listing]
        assert (exited.cause, exited.code) == ("exited", 3), "it was told, so it lived"


async def test_a_limit_that_its_herd_gets_later_ends_a_slice_with_all_of_it(tmp_path):
    async with world_in(tmp_path, entry="leak_entries:main") as world:
        grown = await world.launch("parent of a hog", "early")
        assert await line_of(grown.stdout) == "grown"
        assert (await world.ran("nothing", "later", herd_memory_bytes=64 << 20))[0].code == 0
        grown.control.send(b"go")
        exited = await world.exited("early")
        assert (exited.cause, exited.signal) == ("oom", signal.SIGKILL)
        grown.close()


async def test_when_the_spawner_is_killed_nothing_of_it_is_left(tmp_path):
    """The kernel ends all processes of a namespace whose first one is gone; nobody has to be asked."""
    async with running_spawner(place_in(tmp_path), agent="test") as spawner:
        world = World(spawner)
        launched = [
            await world.launch("tree", network, network=network)
            for network in (NO_NETWORK, HOST_NETWORK)
        ]
        for slice_ in launched:
            assert await line_of(slice_.stdout) == "grown"
        pids = await grown_tree(spawner.pid, 1 + 2 + 2 * 5)
        for pid in children_of(spawner.pid):
            os.kill(pid, signal.SIGSTOP)  # the fork servers could do nothing about it
        os.kill(spawner.pid, signal.SIGKILL)
        await gone(spawner.pidfd)
        assert not any(map(is_alive, pids))
        with pytest.raises(LinkLost):
            await spawner.list()
        for slice_ in launched:
            slice_.close()


async def test_fork_servers_that_are_killed_take_no_slice_along(tmp_path):
    networks = (NO_NETWORK, HOST_NETWORK)
    async with world_in(tmp_path) as world:
        echoes = {one: await world.launch("echo", one, network=one) for one in networks}
        kept = [await world.launch("wait", f"kept {one}", network=one) for one in networks]
        for number in range(2):
            await world.event(ForkServerReady, number)
        servers = children_of(world.spawner.pid)
        assert len(servers) == 2
        for pid in servers:
            os.kill(pid, signal.SIGKILL)
        for number in range(2):
            await world.event(ForkServerLost, number)
        for network, echo in echoes.items():
            echo.control.send(b"hello\n")
            exited = await world.exited(network)
            assert (exited.cause, exited.code) == ("exited", 0)
            echo.close()
        listed = await world.spawner.list()
        assert [one.slice for one in listed if one.pid > 0] == ["kept none", "kept host"]
        for network in networks:
            exited, _, _ = await world.ran("exit 5", f"next {network}", network=network)
            assert exited.code == 5
        for one in kept:
            os.kill(one.pid, signal.SIGKILL)
            assert (await world.exited(one.slice)).cause == "signalled"
        for one in [*listed, *kept]:
            one.close()


async def test_one_fork_server_that_is_killed_is_nothing_to_the_others_slices(tmp_path):
    async with world_in(tmp_path) as world:
        other = await world.launch("wait", "other", network=HOST_NETWORK)
        first = await world.fork_server()
        os.kill(first, signal.SIGKILL)
        await world.event(ForkServerLost)
        (listed,) = await world.spawner.list()
        assert listed.pid == other.pid
        assert not [event for event in world.heard if getattr(event, "slice", "") == "other"]
        assert await world.spawner.kill("other")
        assert (await world.exited("other")).cause == "killed"
        listed.close()
        other.close()
