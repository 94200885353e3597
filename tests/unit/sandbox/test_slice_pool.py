"""Cells that wait for slices: when they are made, for whom, and when they are ended."""

from __future__ import annotations

import os
import signal

import pytest
from desk_world import REPORT, answer, launch
from runink.sandbox.inner_protocol import Assign, Sealed, Started
from runink.sandbox.pool import IDLE_S
from runink.sandbox.protocol import HOST_NETWORK, Launched, Shutdown


@pytest.fixture
def pool():
    return 2


@pytest.fixture
def begun(world, agent, fork_server):
    """A slice `a` that has begun, as process 7, and the cell that is made for the next, asked for."""
    launch(agent, "a")
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
    world.fork(fork_server, cell, pid)
    cell.say(Sealed(REPORT))
    world.turn()
    cell.told()


def test_the_next_slice_at_a_place_gets_the_cell_that_waits_there(world, agent, fork_server, begun):
    ready(world, fork_server, begun, 8)
    number = launch(agent, "b", environment={"A": "b"})
    world.turn()
    assert begun.told() == [Assign("b", {"A": "b"})]
    begun.say(Started("b"))
    world.turn()
    assert answer(agent, number) == Launched("b", 1, REPORT)
    assert waiting(world), "and one is made for the next"


@pytest.mark.parametrize(
    "changes",
    [{"herd": "other"}, {"cwd": "/elsewhere"}, {"scratch_bytes": 1}, {"binds": [["/bind", "ro"]]}],
)
def test_a_slice_elsewhere_gets_a_cell_of_its_own(world, agent, fork_server, begun, changes):
    ready(world, fork_server, begun, 8)
    file = os.memfd_create("bind")
    launch(agent, "b", meant=[file][: len(changes.get("binds", ()))], **changes)
    os.close(file)
    world.turn()
    assert world.forks() == ["b"]
    assert begun.told() == []


def test_a_place_is_what_is_shown_there_and_not_its_name(world, agent, fork_server):
    files = [os.memfd_create(name) for name in ("one", "two")]
    launch(agent, "a", binds=[["/bind", "ro"]], meant=files[:1])
    world.turn()
    world.start(fork_server, "a", 7)
    cell = waiting(world)
    assert cell.fork.targets == ["/bind"]
    ready(world, fork_server, cell, 8)
    launch(agent, "b", binds=[["/bind", "ro"]], meant=files[1:])
    world.turn()
    assert world.forks() == ["b"], "the file there is another"
    launch(agent, "c", binds=[["/bind", "ro"]], meant=files[:1])
    world.turn()
    assert [type(message) for message in cell.told()] == [Assign]
    for descriptor in files:
        os.close(descriptor)


def test_what_is_wanted_now_is_made_before_what_may_be_wanted(world, agent, fork_server, begun):
    ready(world, fork_server, begun, 8)
    launch(agent, "b")  # takes the one that waits
    launch(agent, "c")
    world.turn()
    assert world.forks() == ["c"]


def test_no_more_wait_than_the_pool_holds(world, agent, fork_server, begun, killed):
    ready(world, fork_server, begun, 8)
    for pid, name in enumerate(("b", "c", "d"), start=20):
        launch(agent, name, cwd=f"/{name}")
        world.turn()
        world.start(fork_server, name, pid)
        for number, cell in list(world.cells.items()):
            known = world.lives.births.cells.numbered(number)
            if cell.fork.waits and known is not None and not known.pid:
                ready(world, fork_server, cell, pid + 10)
        waits = [one for one in world.lives.births.cells.all() if not one.slice]
        assert len(waits) - len(killed) <= 2
    assert killed, "the places that were asked for longest ago gave way"


def test_a_place_that_nobody_asks_for_is_forgotten(world, agent, fork_server, begun, killed):
    ready(world, fork_server, begun, 8)
    world.turn(seconds=IDLE_S - 0.1)
    assert killed == []
    world.turn(seconds=0.1)
    assert killed == [signal.SIGKILL]
    world.end(fork_server, 8, status=9)
    assert [cell.slice for cell in world.lives.births.cells.all()] == ["a"]
    assert world.forks() == []


def test_a_cell_that_ends_by_itself_is_not_made_again_and_again(world, agent, fork_server, begun):
    world.fork(fork_server, begun, 8)
    world.end(fork_server, 8, status=9)
    world.turn()
    assert world.forks() == []
    launch(agent, "b")
    world.turn()
    world.start(fork_server, "b", 9)
    assert waiting(world), "but it is tried again when a slice has lived there"


def test_a_cell_that_cannot_be_closed_refuses_nobody(world, walls, agent, fork_server, begun):
    walls.failing = "give_ids"
    world.fork(fork_server, begun, 8)
    world.end(fork_server, 8, status=9)
    assert agent.heard() == []


def test_a_cell_that_cannot_be_moved_into_is_ended(world, walls, agent, fork_server, begun, killed):
    ready(world, fork_server, begun, 8)
    walls.failing = "own_id"
    number = launch(agent, "b")
    world.turn()
    assert answer(agent, number).code == "slice_not_shown"
    assert killed == [signal.SIGKILL]


def test_a_launch_whose_cell_has_ended_unnoticed_is_refused(
    world, agent, fork_server, begun, killed
):
    ready(world, fork_server, begun, 8)
    begun.link.close()
    number = launch(agent, "b")
    world.turn()
    world.end(fork_server, 8, status=9)
    assert answer(agent, number).code == "slice_not_prepared"
    assert signal.SIGKILL in killed


def test_cells_that_wait_end_with_their_fork_server(world, agent, fork_server, begun, killed):
    ready(world, fork_server, begun, 8)
    world.lose(HOST_NETWORK)
    assert killed == []
    world.lose()
    assert killed == [signal.SIGKILL]


def test_cells_that_wait_end_with_the_spawner(world, agent, fork_server, begun, killed):
    ready(world, fork_server, begun, 8)
    agent.say(Shutdown())
    world.turn()
    assert killed == [signal.SIGKILL] * 2, "the slice, and the cell"
    world.end(fork_server, 7, status=9)
    assert world.desk.is_closed(now_s=world.now_s)
    assert world.forks() == []
