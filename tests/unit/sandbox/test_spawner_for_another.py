"""A spawner that serves a user who is not its own, or that stays: whom it lets in, what it refuses, and what it does when it is left alone."""

from __future__ import annotations

import os
import socket

import pytest
from client_world import FakeSpawner
from desk_world import REPORT, DeskWorld, answer, launch
from runink.errors import Forbidden
from runink.sandbox import ids, lives
from runink.sandbox.client import spawner_over
from runink.sandbox.door import Door, listen
from runink.sandbox.ids import Ranges
from runink.sandbox.packets import receive, understood
from runink.sandbox.protocol import (
    FIELDS,
    ISOLATION,
    NOT_ADMITTED,
    TO_AGENT,
    TO_SPAWNER,
    Done,
    List,
    Listed,
    Refused,
    Shutdown,
)
from runink.sandbox.rights import User

ANOTHER = User(os.geteuid() + 1, os.getegid() + 1)


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return what makes a world. The children of this process are other tests' business, and here none is a slice."""
    monkeypatch.setattr(lives, "kill_strangers", lambda _known: 0)
    monkeypatch.setattr(lives, "children", list)
    worlds = []

    def made(**options):
        worlds.append(DeskWorld(tmp_path, **options))
        return worlds[-1]

    yield made
    for world in worlds:
        world.close()


@pytest.mark.parametrize(
    "admitted",
    [
        ANOTHER,
        User(os.geteuid(), os.getegid() + 1),
        User(os.geteuid() + 1, os.getegid()),
    ],
)
def test_nobody_but_the_named_user_with_its_own_group_comes_in(tmp_path, admitted):
    path = str(tmp_path / "socket")
    door = Door(listen(path), path, admitted=admitted)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
        stranger.connect(path)
        stranger.send(b"what it says makes no difference")
        door.admit(now_s=0.0)
        assert list(door) == []
        said = receive(stranger)
        assert said is not None
        request, refused = understood(said, TO_AGENT, FIELDS)
        assert (request, refused.code) == (0, NOT_ADMITTED)
        assert str(admitted) in refused.text
        assert receive(stranger) is None
    door.close()


def test_the_named_user_comes_in(tmp_path):
    path = str(tmp_path / "socket")
    door = Door(listen(path), path, admitted=User.ours())
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as agent:
        agent.connect(path)
        door.admit(now_s=0.0)
        assert [connection.owner for connection in door] == [User.ours()]
    door.close()


@pytest.mark.anyio
async def test_who_is_not_let_in_is_told_that_and_not_that_the_spawner_is_gone():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    FakeSpawner(theirs, TO_AGENT, TO_SPAWNER).answer(Refused(NOT_ADMITTED, "it serves another"))
    theirs.close()
    with pytest.raises(Forbidden, match="it serves another") as refused:
        async with spawner_over(ours, agent="test"):
            pass
    assert refused.value.code == NOT_ADMITTED


@pytest.mark.parametrize("serves_another", [False, True])
def test_no_agent_of_another_user_has_plain_processes_whatever_it_says_they_may_do_without(
    make, serves_another
):
    world = make(problem="no namespaces", serves_another=serves_another)
    agent = world.agent()
    number = launch(agent, "a", without=[ISOLATION])
    world.turn()
    world.fork_server()
    if not serves_another:
        assert world.forks() == ["a"]
        return
    assert world.forks() == []
    assert answer(agent, number).code == "isolation_unavailable"


def test_a_service_waits_for_its_first_agent_for_ever(make):
    world = make(stays=True)
    world.turn(seconds=10_000.0)
    assert not world.desk.is_closed(now_s=world.now_s)
    assert world.agent()


def test_a_service_is_not_ended_by_its_agent(make):
    world = make(stays=True)
    agent = world.agent()
    number = agent.say(Shutdown())
    world.turn()
    assert answer(agent, number).code == "spawner_stays"
    number = agent.say(List())
    world.turn()
    assert answer(agent, number) == Done()


def test_a_service_that_is_left_alone_ends_the_slices_in_time_and_the_next_agent_hears_of_it(
    make, monkeypatch
):
    killed = []
    monkeypatch.setattr(lives.signal, "pidfd_send_signal", lambda _, number: killed.append(number))
    world = make(stays=True, orphan_s=30.0)
    agent = world.agent()
    launch(agent, "a")
    world.turn()
    fork_server = world.fork_server()
    world.start(fork_server, "a", 7)
    agent.link.close()
    world.turn()
    world.turn(seconds=29.0)
    assert killed == []
    world.turn(seconds=1.0)
    assert killed == [9]
    world.end(fork_server, 7, status=9)
    world.turn(seconds=10_000.0)
    assert not world.desk.is_closed(now_s=world.now_s)
    after = world.agent()
    number = after.say(List())
    world.turn()
    listed, exited, done = [message for request, message in after.heard() if request == number]
    assert (listed, exited.cause, done) == (Listed("a", 1, REPORT, True), "killed", Done())


def test_a_service_whose_agent_comes_back_in_time_ends_nothing(make):
    world = make(stays=True, orphan_s=30.0)
    agent = world.agent()
    launch(agent, "a")
    world.turn()
    world.start(world.fork_server(), "a", 7)
    agent.link.close()
    world.turn(seconds=29.0)
    after = world.agent()
    world.turn(seconds=100.0)
    number = after.say(List())
    world.turn()
    assert [message for request, message in after.heard() if request == number] == [
        Listed("a", 1, REPORT, False),
        Done(),
    ]


def test_an_agent_does_not_take_all_id_ranges_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(ids, "HERDS_MAX", 2)
    ranges = Ranges(str(tmp_path))
    first = ranges.of("a")
    ranges.of("b")
    with pytest.raises(OSError, match="2 herds"):
        ranges.of("c")
    assert ranges.of("a") == first
