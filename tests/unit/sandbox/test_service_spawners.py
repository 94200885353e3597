"""A spawner that others run: found, waited for, never started and never ended."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import anyio
import pytest
import trio
import trio.testing
from client_world import SEALED, FakeSpawner
from runink.errors import Unavailable
from runink.sandbox import keeper
from runink.sandbox.door import listen
from runink.sandbox.packets import close_all
from runink.sandbox.protocol import TO_AGENT, TO_SPAWNER, Done, Hello, Kill, List, Listed, Release
from runink.sandbox.spawning import SpawnerPlace
from runink.sandbox.starting import SERVICE_S, running_spawner


def place_at(path: Path) -> SpawnerPlace:
    return SpawnerPlace(socket=path, log=path, entry="a:b", is_service=True)


@pytest.mark.parametrize("stale", [False, True], ids=["nothing is there", "nobody listens"])
def test_a_service_that_is_not_there_is_waited_for_and_not_started(tmp_path, stale):
    path = tmp_path / "socket"
    if stale:
        listen(str(path)).close()

    async def find():
        with pytest.raises(Unavailable, match="no spawner listens") as missing:
            async with running_spawner(place_at(path), agent="test"):
                pass
        assert missing.value.code == "no_spawner"
        assert "systemctl start runi-spawn" in missing.value.hint
        return trio.current_time()

    clock = trio.testing.MockClock(autojump_threshold=0.01)
    before = clock.current_time()
    assert trio.run(find, clock=clock) - before >= SERVICE_S
    assert path.exists() == stale, "what lies there is not ours to clear away"


def test_who_is_about_to_leave_waits_for_no_service(tmp_path):
    async def find():
        leave = anyio.Event()
        async with anyio.create_task_group() as group:

            async def leave_soon():
                await anyio.sleep(1)
                leave.set()

            group.start_soon(leave_soon)
            before = trio.current_time()
            with pytest.raises(Unavailable, match="no spawner listens"):
                async with running_spawner(place_at(tmp_path / "s"), agent="test", leave=leave):
                    pass
            assert trio.current_time() - before == 1

    trio.run(find, clock=trio.testing.MockClock(autojump_threshold=0.01))


@pytest.mark.anyio
@pytest.mark.parametrize("has_parted", [False, True])
async def test_who_leaves_a_service_ends_its_slices_unless_it_has_parted_and_never_the_service(
    tmp_path, has_parted
):
    path = tmp_path / "socket"
    with listen(str(path)) as listening:
        async with anyio.create_task_group() as group:
            served: list[object] = []
            group.start_soon(serve, listening, served)
            async with running_spawner(place_at(path), agent="test") as spawner:
                assert spawner.user == os.geteuid()
                if has_parted:
                    await spawner.aclose()
    kinds = [type(message) for message in served]
    assert kinds == [Hello] if has_parted else kinds == [Hello, List, Kill, Release]


async def serve(listening: socket.socket, served: list[object]) -> None:
    """Be a spawner with one slice, until the agent is gone."""
    listening.setblocking(False)
    await anyio.wait_readable(listening)
    link, _ = listening.accept()
    fake = FakeSpawner(link, TO_AGENT, TO_SPAWNER)
    with contextlib.closing(link):
        while True:
            await anyio.wait_readable(link)
            for found in fake.heard():
                if found == "end":
                    return
                request, message = found
                served.append(message)
                answer(fake, request, message)


def answer(fake: FakeSpawner, request: int, message: object) -> None:
    match message:
        case Hello():
            fake.welcome(request)
        case List():
            made = [*os.pipe(), *os.pipe()]
            pidfd = os.pidfd_open(os.getpid())
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
                kept = [control.fileno(), made[0], made[2], pidfd]
                listed = Listed("a", 1, SEALED, ended=False)
                fake.answer(listed, request=request, descriptors=kept)
            close_all([*made, pidfd])
            fake.answer(Done(), request=request)
        case _:
            fake.answer(Done(), request=request)


def test_a_keeper_that_has_ended_says_so():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    with ours, pytest.raises(OSError, match="Broken pipe"):
        keeper.ask(ours.fileno())


def test_a_keeper_answers_why_it_could_not(tmp_path):
    """A place that nothing can be started at, however often it is asked."""
    (tmp_path / "socket").write_text("no socket")
    place = SpawnerPlace(socket=tmp_path / "socket", log=tmp_path / "log", entry="a:b")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        for _ in range(2):
            ours.send(keeper.START)
        ours.shutdown(socket.SHUT_WR)
        keeper.serve(theirs, place, [])
        for _ in range(2):
            assert b"is not a socket" in ours.recv(1000)
    assert (tmp_path / "socket").read_text() == "no socket"
