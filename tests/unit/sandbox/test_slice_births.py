"""How slices come by their cells, and what is answered where that fails; no process is made."""

from __future__ import annotations

import errno
import os
import signal

import pytest
from desk_world import READY, REPORT, DeskWorld, answer, launch
from runink.sandbox import lives
from runink.sandbox.inner_protocol import Assign, Forked, Go, Sealed, Started, Unborn
from runink.sandbox.protocol import (
    Kill,
    Launched,
    Refused,
)

REFUSED = "slice_not_prepared"


def test_a_cell_has_its_ids_before_it_goes_on_and_its_slice_when_it_is_closed(
    world, walls, agent, fork_server
):
    number = launch(agent, "a", cwd="/folder", environment={"A": "b"})
    world.turn()
    cell = world.cell("a")
    assert (cell.fork.isolated, cell.fork.folder, cell.fork.waits) == (True, "/folder", False)
    assert cell.told() == []
    world.fork(fork_server, cell, 7)
    assert walls.given == [(7, "herd")]
    assert cell.told() == [Go()]
    cell.say(Sealed({"seccomp": "on"}))
    world.turn()
    assert cell.told() == [Assign({"A": "b"})]
    assert agent.heard() == [], "it has not begun"
    cell.say(Started())
    world.turn()
    assert answer(agent, number) == Launched("a", 1, {"seccomp": "on"})


def test_what_a_slice_is_shown_is_the_agents_and_travels_with_the_fork(world, walls, agent):
    files = [os.memfd_create(name) for name in ("one", "two")]
    binds = [["/one", "rw"], ["/two", "ro"]]
    launch(agent, "a", binds=binds, meant=files)
    for descriptor in files:
        os.close(descriptor)
    world.turn()
    fork_server = world.fork_server()
    cell = world.cell("a")
    assert (cell.fork.targets, cell.fork.writable) == (["/one", "/two"], ["/one"])
    assert walls.owners == [(os.geteuid(), os.getegid())]
    world.start(fork_server, "a", 7)


@pytest.mark.parametrize("deed", ["claim", "trees"])
def test_what_cannot_be_shown_refuses_its_own_launch_only(
    world, walls, agent, fork_server, killed, deed
):
    walls.failing = deed
    number = launch(agent, "a")
    world.turn()
    refused = answer(agent, number)
    assert refused.code == "slice_not_shown"
    assert f"no {deed}" in refused.text
    walls.failing = ""
    launch(agent, "a")
    world.turn()
    assert world.forks() == ["a"]
    assert killed == []


@pytest.mark.parametrize("why", [errno.EMFILE, errno.ENOMEM, errno.EAGAIN])
def test_what_there_is_none_of_for_now_is_told_apart(world, walls, agent, fork_server, why):
    walls.failing, walls.why = "claim", why
    number = launch(agent, "a")
    world.turn()
    assert answer(agent, number).code == "node_exhausted"


def test_what_is_too_much_for_a_packet_refuses_its_own_launch_only(world, agent, fork_server):
    """What fits into the agent's message may be too much in the one to the fork server, which names more."""
    file = os.memfd_create("bind")
    binds = [[f"/{number}{'x' * 4000}", "rw"] for number in range(15)]
    number = launch(agent, "a", binds=binds, meant=[file] * len(binds))
    os.close(file)
    world.turn()
    assert answer(agent, number).code == "slice_not_shown"
    assert world.lives.births.cells.all() == []
    launch(agent, "a")
    world.turn()
    assert world.forks() == ["a"]


def test_a_cell_that_gets_no_ids_is_ended_and_the_step_told(
    world, walls, agent, fork_server, killed
):
    number = launch(agent, "a")
    world.turn()
    walls.failing = "give_ids"
    cell = world.cell("a")
    world.fork(fork_server, cell, 7)
    refused = answer(agent, number)
    assert refused.code == REFUSED
    assert refused.text.startswith("step 6 (id maps): ")
    assert refused.text.endswith("no give_ids for herd")
    assert killed == [signal.SIGKILL]
    assert cell.told() == [], "and never went on"


@pytest.mark.parametrize(
    ("step", "said"),
    [(9, "step 9 (root): no room"), (17, "step 17 (seccomp): no room"), (0, "no room")],
)
def test_a_cell_that_cannot_be_closed_off_says_at_which_step(
    world, agent, fork_server, killed, step, said
):
    number = launch(agent, "a")
    world.turn()
    cell = world.cell("a")
    world.fork(fork_server, cell, 7)
    cell.say(Unborn(step, "no room"))
    world.turn()
    assert answer(agent, number) == Refused(REFUSED, said)
    assert killed == [signal.SIGKILL]
    world.end(fork_server, 7, status=9)
    assert world.lives.births.cells.all() == []


def test_a_cell_that_ends_without_a_word_refuses_its_launch(world, agent, fork_server):
    number = launch(agent, "a")
    world.turn()
    world.fork(fork_server, world.cell("a"), 7)
    world.end(fork_server, 7, status=9)
    assert answer(agent, number) == Refused(REFUSED, "its cell ended before the slice began")
    assert world.lives.births.cells.all() == []


def test_a_launch_that_is_killed_before_its_slice_began_is_refused_as_killed(
    world, agent, fork_server, killed
):
    number = launch(agent, "a")
    world.turn()
    world.fork(fork_server, world.cell("a"), 7)
    agent.say(Kill("a"))
    world.turn()
    assert killed == [signal.SIGKILL]
    world.end(fork_server, 7, status=9)
    assert answer(agent, number).code == "killed"


@pytest.mark.parametrize("when", ["before its slice began", "after its slice began"])
def test_a_cell_that_is_not_understood_is_ended(world, agent, fork_server, killed, when):
    number = launch(agent, "a")
    world.turn()
    cell = world.cell("a")
    world.fork(fork_server, cell, 7)
    if when == "after its slice began":
        cell.say(Started())
        world.turn()
        assert isinstance(answer(agent, number), Launched)
    cell.link.send(b"garbage")
    cell.say(Started())
    world.turn()
    assert killed == [signal.SIGKILL]
    world.end(fork_server, 7, status=9)
    told = agent.heard()[-1][1]
    assert told.code == (REFUSED if when == "before its slice began" else -1)


def test_a_cell_that_begins_twice_is_ended(world, agent, fork_server, killed):
    launch(agent, "a")
    world.turn()
    cell = world.start(fork_server, "a", 7)
    cell.say(Started())
    world.turn()
    assert killed == [signal.SIGKILL]


@pytest.mark.parametrize(
    ("status", "worked", "told"),
    [
        (3 << 8, 3 << 8, ("exited", 3, 0)),
        (139 << 8, signal.SIGSEGV | 0x80, ("signalled", -1, signal.SIGSEGV)),
        (137 << 8, signal.SIGKILL, ("signalled", -1, signal.SIGKILL)),
        (signal.SIGKILL, None, ("signalled", -1, signal.SIGKILL)),
        (70 << 8, None, ("exited", 70, 0)),
    ],
)
def test_a_slice_ended_as_its_worker_did_where_that_was_told(
    world, agent, fork_server, status, worked, told
):
    launch(agent, "a")
    world.turn()
    world.start(fork_server, "a", 7)
    world.end(fork_server, 7, status=status, worked=worked)
    exited = agent.heard()[-1][1]
    assert (exited.cause, exited.code, exited.signal) == told


def test_a_slice_that_ended_before_anybody_looked_has_begun_and_ended(world, agent, fork_server):
    """All that a short slice ever says may wait together: in the cell's socket, and its end in the fork server's."""
    number = launch(agent, "a")
    world.turn()
    cell = world.cell("a")
    world.fork(fork_server, cell, 7)
    cell.say(Sealed(REPORT))
    cell.say(Started())
    world.end(fork_server, 7, status=3 << 8, worked=3 << 8)
    launched, exited = agent.heard()
    assert launched == (number, Launched("a", 1, REPORT))
    assert (exited[1].cause, exited[1].code, exited[1].wall_s) == ("exited", 3, 0.0)


def test_a_fork_server_that_goes_while_it_is_asked_costs_no_launch(
    world, agent, fork_server, monkeypatch
):
    file = os.memfd_create("bind")
    fork_server.link.close()
    monkeypatch.setattr(world.nursery, "packets", lambda: iter(()))  # nobody has noticed yet
    number = launch(agent, "a", binds=[["/bind", "ro"]], meant=[file])
    os.close(file)
    world.turn()
    assert world.nursery.kills == 1, "it was asked"
    monkeypatch.undo()
    world.lose()
    world.turn()
    assert [message for request, message in agent.heard() if request == number] == []
    world.fork_server()
    cell = world.cell("a")
    assert cell.fork.targets == ["/bind"]


def test_a_cell_that_nobody_waits_for_any_more_is_not_gone_on_with(world, agent, fork_server):
    launch(agent, "a")
    world.turn()
    cell = world.cell("a")
    world.lose()
    pidfd = os.memfd_create("pidfd")
    world.turn()
    again = world.fork_server()
    again.say(Forked(cell.fork.cell, 7, alone=0), (pidfd,))
    os.close(pidfd)
    world.turn()
    assert cell.told() == ["end"]
    assert world.lives.births.cells.all() == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cwd": "/a/../b"}, "invalid_message"),
        ({"cwd": "//a"}, "invalid_message"),
        ({"cwd": "/a/"}, "invalid_message"),
        ({"binds": [["/a/.", "ro"]]}, "invalid_message"),
        ({"binds": [["a", "ro"]]}, "invalid_message"),
        ({"binds": [["/a", "rwx"]]}, "invalid_message"),
        ({"network": "elsewhere"}, "network_unavailable"),
        ({"pipes": 1}, "descriptor_count"),
        ({"binds": []}, "descriptor_count"),
    ],
)
def test_a_launch_that_names_no_place_is_refused(world, agent, fork_server, changes, code):
    file = os.memfd_create("bind")
    asked = {"binds": [["/bind", "ro"]]} | changes
    number = launch(agent, "a", meant=[file], **asked)
    os.close(file)
    world.turn()
    assert answer(agent, number).code == code
    assert world.lives.register.count == 0


def test_a_node_without_walls_takes_what_may_do_without(tmp_path, monkeypatch):
    monkeypatch.setattr(lives, "kill_strangers", lambda _known: 0)
    world = DeskWorld(tmp_path, problem="no namespaces")
    try:
        agent = world.agent()
        numbers = [launch(agent, "a"), launch(agent, "b", without=["isolation"])]
        world.turn()
        ((number, refused),) = agent.heard()
        assert (number, refused.code) == (numbers[0], "isolation_unavailable")
        assert "no namespaces" in refused.text
        world.start(world.fork_server(), "b", 7)
        assert not world.cell("b").fork.isolated
        assert agent.heard() == [(0, READY), (numbers[1], Launched("b", 1, REPORT))]
    finally:
        world.close()
