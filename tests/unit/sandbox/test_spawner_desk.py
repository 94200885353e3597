"""What the spawner decides as requests come and time passes; no process is made and no clock is read."""

from __future__ import annotations

import signal

import pytest
from desk_world import READY, REPORT, SPENT, DeskWorld, launch
from runink.sandbox import lives
from runink.sandbox.desk import CLOSE_S
from runink.sandbox.door import STRANGER_S
from runink.sandbox.inner_protocol import Unforked, Worked
from runink.sandbox.lives import FORKING_MAX, LAUNCH_S
from runink.sandbox.nursery import PAUSE_S, PAUSE_S_MAX
from runink.sandbox.protocol import (
    Done,
    ForkServerLost,
    Kill,
    Launched,
    List,
    Listed,
    Preload,
    Refused,
    Release,
    Shutdown,
)


@pytest.fixture
def world(tmp_path, monkeypatch):
    # The children of this process are other tests' business, and here none is a slice.
    monkeypatch.setattr(lives, "kill_strangers", lambda _known: 0)
    monkeypatch.setattr(lives, "children", list)
    world = DeskWorld(tmp_path)
    yield world
    world.close()


def test_a_launch_waits_for_the_fork_server_and_is_answered_when_its_slice_has_started(world):
    agent = world.agent()
    number = launch(agent, "a")
    world.turn()
    assert agent.heard() == []
    fork_server = world.fork_server()
    assert world.forks() == ["a"]
    world.start(fork_server, "a", 7)
    assert agent.heard() == [(0, READY), (number, Launched("a", 1, REPORT))]
    world.turn(seconds=2.5)
    world.end(fork_server, 7, status=3 << 8)
    ((request, exited),) = agent.heard()
    assert request == 0
    assert (exited.cause, exited.code, exited.wall_s, exited.utime_s) == ("exited", 3, 2.5, 0.25)


def test_no_more_forks_are_under_way_than_allowed_and_they_keep_their_order(world):
    agent = world.agent()
    names = [f"{number:02}" for number in range(FORKING_MAX + 5)]
    for name in names:
        launch(agent, name)
    world.turn()
    fork_server = world.fork_server()
    assert world.forks() == names[:FORKING_MAX]
    world.turn()
    assert world.forks() == []
    world.start(fork_server, "03", 3)
    assert world.forks() == [names[FORKING_MAX]]


def test_what_could_not_be_made_is_refused_and_its_name_is_free(world):
    agent = world.agent()
    world.turn()
    fork_server = world.fork_server()
    number = launch(agent, "a")
    world.turn()
    assert world.forks() == ["a"]
    fork_server.say(Unforked(1, "no memory"))
    world.turn()
    assert agent.heard()[-1] == (number, Refused("fork_failed", "no memory"))
    launch(agent, "a")
    world.turn()
    assert world.forks() == ["a"]


def test_a_launch_that_is_not_answered_in_time_is_refused_and_its_fork_server_ended(world):
    agent = world.agent()
    world.turn()
    world.fork_server()
    number = launch(agent, "a")
    world.turn()
    assert world.next_due_s() == world.now_s + LAUNCH_S
    world.turn(seconds=LAUNCH_S - 0.1)
    assert [message for request, message in agent.heard() if request == number] == []
    world.turn(seconds=0.1)
    ((request, refused),) = agent.heard()
    assert (request, refused.code) == (number, "launch_timed_out")
    assert world.nursery.kills == 1


def test_a_fork_server_that_dies_refuses_what_was_under_way_and_not_what_waits(world):
    agent = world.agent()
    world.turn()
    world.fork_server()
    numbers = [launch(agent, f"{number}") for number in range(FORKING_MAX + 1)]
    world.turn()
    assert len(world.forks()) == FORKING_MAX
    world.lose()
    world.turn()
    refused = [request for request, message in agent.heard() if isinstance(message, Refused)]
    assert refused == numbers[:-1]
    world.fork_server()
    assert world.forks() == [str(FORKING_MAX)]


def test_a_fork_server_that_never_becomes_ready_is_started_ever_more_rarely(world):
    world.agent()
    pauses = []
    for _ in range(10):
        world.lose()
        pauses.append(world.nursery.start_at_s - world.now_s)
        world.turn(seconds=pauses[-1])
        assert world.nursery.pid
    assert [round(pause, 6) for pause in pauses[:4]] == [PAUSE_S * 2**n for n in range(4)]
    assert round(pauses[-1], 6) == PAUSE_S_MAX
    world.fork_server()
    world.lose()
    assert world.nursery.start_at_s == world.now_s, "one that was ready is replaced at once"


def test_left_alone_by_its_agent_it_waits_so_long_and_then_closes(world):
    agent = world.agent()
    world.turn()
    agent.link.close()
    world.turn()
    assert world.next_due_s() == world.now_s + 30
    world.turn(seconds=29.9)
    assert not world.desk.is_closed(now_s=world.now_s)
    world.turn(seconds=0.1)
    assert world.desk.is_closed(now_s=world.now_s)


def test_an_agent_that_comes_in_time_stops_the_clock(world):
    world.agent().link.close()
    world.turn(seconds=29)
    world.agent()
    world.turn(seconds=3600)
    assert not world.desk.is_closed(now_s=world.now_s)


def test_nobody_ever_coming_is_being_left_alone(world):
    world.turn(seconds=10)
    assert world.desk.is_closed(now_s=world.now_s)


def test_a_stranger_that_says_nothing_is_shown_out(world):
    world.agent()
    stranger = world.peer()
    world.turn(seconds=STRANGER_S - 0.1)
    assert stranger.heard() == []
    world.turn(seconds=0.1)
    assert stranger.heard() == ["end"]


def test_the_launches_of_an_agent_that_is_gone_are_undone(world, monkeypatch):
    ended = []
    monkeypatch.setattr(lives.signal, "pidfd_send_signal", lambda *_: ended.append(1))
    agent = world.agent()
    world.turn()
    fork_server = world.fork_server()
    for number in range(FORKING_MAX + 1):
        launch(agent, str(number))
    world.turn()
    newer = world.agent()
    assert world.lives.register.count == FORKING_MAX, "the one that waited is gone"
    world.start(fork_server, "0", 7)
    assert ended == [1]
    newer.say(List())
    world.turn()
    assert [message for _, message in newer.heard()] == [Done()]
    world.end(fork_server, 7, status=9)
    assert world.lives.register.named("0") is None


def test_a_preload_is_answered_when_the_fork_server_has_tried_all_of_it(world):
    agent = world.agent()
    number = agent.say(Preload(["polars", "duckdb"]))
    world.turn()
    fork_server = world.fork_server()
    assert (number, Done()) not in agent.heard()
    fork_server.say(READY._replace(modules=["polars"], failed=["duckdb"]))
    world.turn()
    assert (number, Done()) in agent.heard()
    again = agent.say(Preload(["polars"]))
    world.turn()
    assert agent.heard() == [(again, Done())]


def test_shutting_down_refuses_launches_tells_ends_and_is_patient_only_so_long(world, monkeypatch):
    monkeypatch.setattr(lives.signal, "pidfd_send_signal", lambda *_: None)
    agent = world.agent()
    world.turn()
    fork_server = world.fork_server()
    launch(agent, "a")
    launch(agent, "b")
    world.turn()
    world.start(fork_server, "a", 7)
    world.start(fork_server, "b", 8)
    agent.heard()
    number = agent.say(Shutdown())
    late = launch(agent, "late")
    world.turn()
    (done, (request, refused)) = agent.heard()
    assert done == (number, Done())
    assert (request, refused.code) == (late, "spawner_ending")
    world.end(fork_server, 7, status=9)
    ((_, exited),) = agent.heard()
    assert (exited.slice, exited.cause) == ("a", "killed")
    assert not world.desk.is_closed(now_s=world.now_s)
    world.turn(seconds=CLOSE_S)
    assert world.desk.is_closed(now_s=world.now_s)


def test_an_ended_slice_stands_in_the_list_with_its_end_until_it_is_released(world):
    agent = world.agent()
    world.turn()
    fork_server = world.fork_server()
    launch(agent, "a")
    world.turn()
    world.start(fork_server, "a", 7)
    world.end(fork_server, 7)
    ((_, exited),) = [found for found in agent.heard() if found[0] == 0][1:]
    number = agent.say(List())
    world.turn()
    listed = Listed("a", 1, REPORT, ended=True)
    assert agent.heard() == [(number, listed), (number, exited), (number, Done())]
    agent.say(Release("a"))
    number = agent.say(Kill("a"))
    world.turn()
    assert agent.heard()[-1] == (number, Refused("no_slice", "there is no slice 'a'"))


@pytest.mark.parametrize(
    ("worked", "end"),
    [(None, ("lost", -1, 0)), (3 << 8, ("exited", 3, 0)), (9, ("signalled", -1, 9))],
)
def test_the_end_of_a_slice_that_its_fork_server_did_not_tell_is_lost_where_the_cell_did_not_either(
    world, worked, end
):
    agent = world.agent()
    world.turn()
    fork_server = world.fork_server()
    launch(agent, "a")
    world.turn()
    cell = world.start(fork_server, "a", 7)
    if worked is not None:
        cell.say(Worked(worked, *SPENT))
    world.lose()
    world.turn()
    told = [message for _, message in agent.heard()][-2:]
    assert isinstance(told[0], ForkServerLost)
    assert (told[1].cause, told[1].code, told[1].signal) == end
    assert world.lives.births.cells.all() == [], "and nothing is held for it"


def test_a_cell_that_its_fork_server_took_along_refuses_its_launch(world, killed):
    agent = world.agent()
    world.turn()
    fork_server = world.fork_server()
    number = launch(agent, "a")
    world.turn()
    world.fork(fork_server, world.cell("a"), 7)
    world.lose()
    world.turn()
    (refused,) = [message for request, message in agent.heard() if request == number]
    assert refused.code == "fork_server_lost"
    assert killed == [signal.SIGKILL]
    assert world.lives.births.cells.all() == [], "it is reaped already: no end of it comes"
