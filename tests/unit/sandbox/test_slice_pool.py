"""Cells that wait for slices: when they are made, for whom, and when they are ended."""

from __future__ import annotations

import os
import signal
import socket

import pytest
from desk_world import REPORT, SPENT, answer, launch
from runink.sandbox import warm_cells
from runink.sandbox.inner_protocol import Ended, Sealed, Started, Worked
from runink.sandbox.packets import close_all
from runink.sandbox.pool import IDLE_S
from runink.sandbox.protocol import (
    HOST_NETWORK,
    Begun,
    Done,
    Exited,
    Hold,
    Refused,
    Release,
    Shutdown,
    Take,
    Waiting,
    Withdrawn,
)
from runink.sandbox.warm_cells import CLAIM_S

PLACE = 5
CHANNELS = 3
NO_LIMITS = {"cpu_m": 0, "cpu_weight": 0, "memory_bytes": 0, "processes": 0, "io_bytes_per_s": 0}


@pytest.fixture
def pool():
    return 2


@pytest.fixture
def begun(world, agent, fork_server):
    """A slice `a` that has begun, as process 7, and the cell that is made for the next, asked for."""
    launch(agent, "a", place=PLACE)
    world.turn()
    world.start(fork_server, "a", 7)
    agent.heard()
    return waiting(world)


def waiting(world, network="none"):
    """Return the cell that the fork server was asked for since, and which is to wait."""
    before = set(world.cells)
    assert world.forks(network) == [""]
    (number,) = set(world.cells) - before
    assert world.cells[number].fork.waits
    return world.cells[number]


def ready(world, fork_server, cell, pid):
    """Let the cell wait; return what came with its `go`, which is the caller's."""
    world.fork(fork_server, cell, pid)
    ((_, outfit),) = cell.packets()
    cell.say(Sealed(REPORT))
    world.turn()
    return outfit


@pytest.fixture
def waits(world, agent, fork_server, begun):
    """The cell, as process 8, waiting, with its end of the seat."""
    *channels, seat = ready(world, fork_server, begun, 8)
    close_all(channels)
    begun.seat = socket.socket(fileno=seat)
    begun.seat.setblocking(False)
    agent.heard()
    yield begun
    begun.seat.close()


def take(agent, cell, name="b", **changes):
    return agent.say(Take(name, 1, cell.fork.cell, 0.0)._replace(**changes))


def is_shut(cell):
    """Say whether nothing will be put on the cell's seat any more."""
    try:
        return cell.seat.recv(1) == b""
    except BlockingIOError:
        return False


def test_a_cell_that_waits_is_offered_with_its_seat_and_all_that_its_slice_will_have(
    world, agent, fork_server, begun
):
    close_all(ready(world, fork_server, begun, 8))
    (((_, message), descriptors),) = agent.packets()
    assert message == Waiting(begun.fork.cell, PLACE, REPORT, **NO_LIMITS)
    assert len(descriptors) == 1 + CHANNELS + 1
    close_all(descriptors)


def test_a_slice_that_has_begun_on_a_seat_is_answered_and_another_cell_is_made(world, agent, waits):
    number = take(agent, waits, attempt=3)
    world.turn()
    assert agent.heard() == [], "it has not begun"
    waits.say(Started())
    world.turn()
    assert answer(agent, number) == Begun()
    assert waiting(world), "and one is made for the next"
    record = world.lives.register.named("b")
    assert (record.launch.attempt, record.pid, len(record.kept)) == (3, 8, 4)
    assert record.sealed == REPORT


def test_a_slice_that_is_seen_to_begin_before_its_agent_is_heard_waits_for_that(
    world, agent, waits, killed
):
    waits.say(Started())
    world.turn()
    number = take(agent, waits)
    world.turn()
    assert answer(agent, number) == Begun()
    assert killed == []
    world.turn(seconds=CLAIM_S)
    assert killed == []


def test_even_the_end_of_a_slice_waits_for_its_agent(world, agent, fork_server, waits, killed):
    waits.say(Started())
    world.turn()
    waits.say(Worked(3 << 8, *SPENT))
    fork_server.say(Ended(8, 0, *SPENT))
    world.turn()
    assert agent.heard() == []
    number = take(agent, waits)
    world.turn()
    heard = agent.heard()
    assert heard[0] == (number, Begun())
    assert isinstance(heard[1][1], Exited)
    assert (heard[1][1].slice, heard[1][1].cause, heard[1][1].code) == ("b", "exited", 3)
    agent.say(Release("b"))
    world.turn()
    assert world.lives.register.named("b") is None
    assert killed == []


def test_beginning_and_end_may_be_seen_at_once(world, agent, fork_server, waits):
    waits.say(Started())
    waits.say(Worked(0, *SPENT))
    fork_server.say(Ended(8, 0, *SPENT))
    number = take(agent, waits)
    world.turn()
    assert [message for request, message in agent.heard() if request == number] == [Begun()]
    assert world.lives.register.named("b").exited().code == 0


def test_one_that_has_begun_needs_its_socket_no_more(world, agent, fork_server, waits, killed):
    waits.say(Started())
    waits.link.close()
    world.turn()
    number = take(agent, waits)
    world.turn()
    assert answer(agent, number) == Begun()
    assert killed == []


def test_what_begins_and_is_nobodys_is_ended(world, agent, waits, killed):
    waits.say(Started())
    world.turn(seconds=1.0)
    assert world.next_due_s() == world.now_s + CLAIM_S
    world.turn(seconds=CLAIM_S - 0.1)
    assert killed == []
    world.turn(seconds=0.1)
    assert killed == [signal.SIGKILL]
    number = take(agent, waits)
    world.turn()
    waits.say(Worked(9, *SPENT))
    world.end(world._fork_server("none"), 8, status=9)
    assert number in [request for request, _ in agent.heard()]


def test_an_end_that_is_nobodys_is_forgotten(world, agent, fork_server, waits):
    waits.say(Started())
    world.turn()
    fork_server.say(Ended(8, 0, *SPENT))
    world.turn()
    assert waits.fork.cell in [cell.number for cell in world.lives.births.cells.all()]
    world.turn(seconds=CLAIM_S)
    assert waits.fork.cell not in [cell.number for cell in world.lives.births.cells.all()]


def test_a_slice_that_cannot_be_taken_is_refused_and_what_has_begun_is_ended(
    world, agent, waits, killed
):
    number = take(agent, waits, slice="a")
    world.turn()
    assert answer(agent, number).code == "slice_exists"
    assert killed == [signal.SIGKILL]


@pytest.mark.parametrize("cell", ["of a slice", "of nobody"])
def test_only_a_cell_that_waits_can_be_taken(world, agent, begun, cell, killed):
    of_a_slice = world.lives.register.named("a").cell
    number = agent.say(Take("b", 1, of_a_slice if cell == "of a slice" else 99, 0.0))
    held = agent.say(Hold(of_a_slice if cell == "of a slice" else 99, 1, 1, 1, 1, 1, 0, 0))
    world.turn()
    answers = dict(agent.heard())
    assert answers[number].code == answers[held].code == "no_cell"
    assert killed == []


def test_a_stranger_takes_and_holds_nothing(world, agent, waits, killed):
    stranger = world.peer()
    take(stranger, waits)
    world.turn()
    assert stranger.heard()[0][1].code == "hello_first"
    assert killed == []
    number = take(agent, waits)
    waits.say(Started())
    world.turn()
    assert answer(agent, number) == Begun()


def test_a_cell_that_waits_can_be_held_to_other_limits(world, agent, waits):
    number = agent.say(Hold(waits.fork.cell, 500, 100, 1 << 20, 10, 1 << 20, 0, 0))
    world.turn()
    assert answer(agent, number) == Done()


def test_a_launch_is_never_given_a_cell_that_was_offered(world, agent, waits):
    """The agent may be putting a slice of its own on the seat at this moment."""
    launch(agent, "b", place=PLACE)
    world.turn()
    assert world.forks() == ["b"]


def test_a_launch_without_a_place_has_no_cell_made_for_the_next(world, agent, fork_server):
    launch(agent, "a")
    world.turn()
    world.start(fork_server, "a", 7)
    assert world.forks() == []


def test_what_is_shown_to_a_cell_that_waits_is_what_its_first_launch_meant(
    world, agent, fork_server
):
    file = os.memfd_create("one")
    launch(agent, "a", binds=[["/bind", "ro"]], meant=[file], place=PLACE)
    os.close(file)
    world.turn()
    world.start(fork_server, "a", 7)
    assert waiting(world).fork.targets == ["/bind"]


def test_what_is_wanted_now_is_made_before_what_may_be_wanted(world, agent, waits):
    take(agent, waits)
    launch(agent, "c", place=PLACE)
    world.turn()
    assert world.forks() == ["c"]


def test_no_more_wait_than_the_pool_holds(world, agent, fork_server, waits, killed):
    for pid, name in enumerate(("b", "c", "d"), start=20):
        launch(agent, name, place=pid)
        world.turn()
        world.start(fork_server, name, pid)
        for number, cell in list(world.cells.items()):
            known = world.lives.births.cells.numbered(number)
            if cell.fork.waits and known is not None and not known.pid:
                close_all(ready(world, fork_server, cell, pid + 10))
        offered = [
            one for one in world.lives.births.cells.all() if one.is_unclaimed and one is not waits
        ]
        assert len(offered) <= 3
    assert is_shut(waits), "the place that was asked for longest ago gave way"
    assert killed == []


def test_a_place_that_nobody_asks_for_is_forgotten_and_its_cells_end_by_themselves(
    world, agent, fork_server, waits, killed
):
    world.turn(seconds=IDLE_S - 0.1)
    assert not is_shut(waits)
    world.turn(seconds=0.1)
    assert is_shut(waits)
    assert killed == [], "a slice may be on the seat already"
    world.end(fork_server, 8, status=0)
    assert [cell.slice for cell in world.lives.births.cells.all()] == ["a"]
    assert world.forks() == []
    assert (0, Withdrawn(waits.fork.cell)) in agent.heard()


def test_a_slice_that_was_on_the_seat_when_that_was_shut_begins_all_the_same(world, agent, waits):
    world.turn(seconds=IDLE_S)
    assert is_shut(waits)
    number = take(agent, waits)
    waits.say(Started())
    world.turn()
    assert answer(agent, number) == Begun()


def test_a_cell_that_ends_by_itself_is_not_made_again_and_again(world, agent, fork_server, begun):
    world.fork(fork_server, begun, 8)
    world.end(fork_server, 8, status=9)
    world.turn()
    assert world.forks() == []
    launch(agent, "b", place=PLACE)
    world.turn()
    world.start(fork_server, "b", 9)
    assert waiting(world), "but it is tried again when a slice has lived there"


@pytest.mark.parametrize("deed", ["give_ids", "own_id"])
@pytest.mark.usefixtures("agent")
def test_a_cell_that_cannot_be_closed_refuses_nobody(
    world, walls, fork_server, begun, deed, killed
):
    walls.failing = deed
    world.fork(fork_server, begun, 8)
    assert killed == [signal.SIGKILL]
    world.end(fork_server, 8, status=9)
    assert [record.name for record in world.lives.register] == ["a"]


def test_a_slice_whose_cell_has_ended_before_it_began_is_refused(world, agent, fork_server, waits):
    number = take(agent, waits)
    world.turn()
    world.end(fork_server, 8, status=9)
    assert answer(agent, number).code == "slice_not_prepared"


def test_a_slice_that_is_taken_and_never_begins_is_refused_and_its_fork_server_is_not_to_blame(
    world, agent, waits, killed
):
    number = take(agent, waits)
    world.turn()
    world.turn(seconds=30.0)
    assert answer(agent, number).code == "launch_timed_out"
    assert killed == [signal.SIGKILL]
    assert world.nursery.kills == 0


def test_cells_that_wait_end_with_their_fork_server(world, agent, waits, killed):
    world.lose(HOST_NETWORK)
    assert killed == []
    world.lose()
    assert killed == [signal.SIGKILL]


@pytest.mark.parametrize("end", ["gone", "replaced"])
def test_cells_that_wait_end_with_the_agent_that_they_were_offered_to(
    world, agent, waits, killed, end
):
    if end == "gone":
        agent.link.close()
        world.turn()
    else:
        world.agent()
    assert killed == [signal.SIGKILL]
    assert waiting_places(world) == []


def waiting_places(world):
    return [expected.place for expected in world.pool.forget_all()]


def test_cells_that_wait_end_with_the_spawner(world, agent, fork_server, waits, killed):
    agent.say(Shutdown())
    world.turn()
    assert killed == [signal.SIGKILL] * 2, "the slice, and the cell"
    world.end(fork_server, 7, status=9)
    assert world.desk.is_closed(now_s=world.now_s)
    assert world.forks() == []


def test_who_has_no_descriptors_left_has_no_cells_made(world, agent, fork_server, monkeypatch):
    def none_left():
        raise OSError(24, "Too many open files")

    launch(agent, "a", place=PLACE)
    world.turn()
    monkeypatch.setattr(warm_cells, "ends", none_left)
    world.start(fork_server, "a", 7)
    assert world.forks() == []
    assert not [one for one in agent.heard() if isinstance(one[1], Refused)]
