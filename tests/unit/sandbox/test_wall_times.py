"""What the spawner does about a slice that is out of its wall time, and what is known of how it ended."""

from __future__ import annotations

import signal

import pytest
from desk_world import SPENT, launch
from runink.sandbox.protocol import GRACE_S, UNCOUNTED, Exited, Kill, List

TERM, KILL = signal.SIGTERM, signal.SIGKILL


def begin(world, agent, fork_server, name="a", *, pid=7, wall_time_s=60.0, alone=0):
    launch(agent, name, wall_time_s=wall_time_s)
    world.turn()
    world.start(fork_server, name, pid, alone=alone)
    agent.heard()


def end_of(agent, name="a"):
    found = [message for _, message in agent.heard() if isinstance(message, Exited)]
    (exited,) = [one for one in found if one.slice == name]
    return exited


def test_a_slice_out_of_its_wall_time_is_told_to_end_and_ended_by_force_after_its_grace(
    world, agent, fork_server, killed
):
    begin(world, agent, fork_server)
    begin(world, agent, fork_server, "free", pid=8, wall_time_s=0)
    assert world.next_due_s() == world.now_s + 60
    world.turn(seconds=59.9)
    assert killed == []
    world.turn(seconds=0.1)
    assert killed == [TERM]
    assert world.next_due_s() == world.now_s + GRACE_S
    world.turn(seconds=GRACE_S - 0.1)
    assert killed == [TERM]
    world.turn(seconds=0.1)
    world.turn(seconds=3600)
    assert killed == [TERM, KILL], "each is said once, and to nobody else"
    world.end(fork_server, 7, status=KILL)
    exited = end_of(agent)
    assert (exited.cause, exited.signal, exited.wall_time_s) == ("timeout", KILL, 60)


@pytest.mark.parametrize(
    ("worked", "how"), [(0, (0, 0)), (1 << 8, (1, 0)), (int(TERM), (-1, TERM))]
)
def test_a_slice_that_ends_within_its_grace_was_out_of_its_time_all_the_same(
    world, agent, fork_server, killed, worked, how
):
    begin(world, agent, fork_server)
    world.turn(seconds=60)
    world.turn(seconds=1)
    world.end(fork_server, 7, worked=worked)
    exited = end_of(agent)
    assert (exited.cause, (exited.code, exited.signal)) == ("timeout", how)
    assert (exited.wall_s, exited.wall_time_s) == (61, 60)
    world.turn(seconds=60)
    assert killed == [TERM]


def test_the_time_of_a_slice_goes_on_while_its_agent_is_away(world, agent, fork_server, killed):
    begin(world, agent, fork_server, wall_time_s=5)
    agent.link.close()
    world.turn()
    world.turn(seconds=5)
    assert killed == [TERM]
    world.turn(seconds=GRACE_S)
    assert killed == [TERM, KILL]
    world.end(fork_server, 7, status=KILL)
    newer = world.agent()
    newer.say(List())
    world.turn()
    assert end_of(newer).cause == "timeout"


def test_a_slice_that_has_ended_before_it_could_be_told_was_not_out_of_its_time(
    world, agent, fork_server, monkeypatch
):
    def gone(*_):
        raise ProcessLookupError

    begin(world, agent, fork_server)
    monkeypatch.setattr(signal, "pidfd_send_signal", gone)
    world.turn(seconds=60)
    world.end(fork_server, 7, worked=3 << 8)
    exited = end_of(agent)
    assert (exited.cause, exited.code) == ("exited", 3)


def test_a_slice_that_is_killed_within_its_grace_was_out_of_its_time_first(
    world, agent, fork_server, killed
):
    begin(world, agent, fork_server)
    world.turn(seconds=60)
    agent.say(Kill("a"))
    world.turn()
    assert killed == [TERM, KILL]
    world.end(fork_server, 7, status=KILL)
    assert end_of(agent).cause == "timeout"


def switches_of(exited):
    return exited.voluntary_switches, exited.involuntary_switches


def test_context_switches_are_those_that_the_cell_told_of_its_worker(world, agent, fork_server):
    begin(world, agent, fork_server)
    world.end(fork_server, 7, worked=0)
    assert switches_of(end_of(agent)) == SPENT[-2:]


def test_nobody_counted_those_of_a_cell_that_was_ended_by_force(world, agent, fork_server):
    begin(world, agent, fork_server)
    agent.say(Kill("a"))
    world.turn()
    world.end(fork_server, 7, status=KILL)
    assert switches_of(end_of(agent)) == (UNCOUNTED, UNCOUNTED)


@pytest.mark.parametrize("walls", [None])
def test_a_plain_slice_is_reaped_itself_however_it_ends(world, agent, fork_server):
    begin(world, agent, fork_server)
    agent.say(Kill("a"))
    world.turn()
    world.end(fork_server, 7, status=KILL)
    assert switches_of(end_of(agent)) == SPENT[-2:]


@pytest.mark.parametrize(("status", "number"), [(KILL, 9), (31, 9), (11, 11), (3 << 8, 0)])
def test_a_worker_that_is_alone_is_counted_however_it_ends(
    world, agent, fork_server, status, number
):
    begin(world, agent, fork_server, alone=1)
    world.end(fork_server, 7, status=status)
    exited = end_of(agent)
    assert switches_of(exited) == SPENT[-2:]
    assert exited.signal == number, "SIGKILL that it sent itself is told as that"
