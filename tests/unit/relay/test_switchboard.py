"""Streams between two relays behave as pipes do: they carry all in order, end, break on either side, and hold a writer back."""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path

import pytest
from relay_world import HOST, TOKEN, Relay, RelayWorld, Taken, is_broken, put
from runink.relay.dials import IDLE_S
from runink.relay.ends import WINDOW_BYTES
from runink.relay.switchboard import JOIN_S, UNSENT_BYTES_MAX
from runink.testing.founded import FoundedCluster
from runink.wire.session import HANDSHAKE_S, SILENT_S
from runink.wire.strangers import OF_ADDRESS_MAX

PIPES_BYTES = 2 << 20  # one on each side
SOCKETS_BYTES = 16 << 20  # what the kernel keeps of a connection, at the very most
PIECE = os.urandom(1 << 16)


def carried(
    world: RelayWorld, one: Relay, two: Relay, *, is_reader_first: bool, name: str = HOST
) -> None:
    """Carry some megabytes and the end."""
    data = os.urandom(5_000_000)
    if is_reader_first:
        taken = Taken(world.read(two))
        pipe = world.write(one, two, name=name)
    else:
        pipe = world.write(one, two, name=name)
        world.until(lambda: len(two.board._meeting._pending) == 1)
        taken = Taken(world.read(two))
    rest = memoryview(data)
    while rest:
        rest = rest[put(pipe, bytes(rest[: 1 << 20])) :]
        world.work()
        taken.take()
    world.close_end(pipe)
    world.until(taken.take)
    assert taken.data == data
    world.until(lambda: not one.board.has_streams and not two.board.has_streams)


@pytest.mark.parametrize("is_reader_first", [True, False])
def test_what_is_written_on_one_node_is_read_on_the_other_and_ends_there(
    world: RelayWorld,
    two: tuple[Relay, Relay],
    is_reader_first: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    carried(world, *two, is_reader_first=is_reader_first)


def test_over_tls_it_is_the_same(world: RelayWorld, tmp_path: Path) -> None:
    cluster = FoundedCluster(servers=0, agents=("one", "two"))
    one, two = (world.relay(name, trust=cluster.certify(tmp_path / name, name)) for name in cluster.nodes)  # fmt: skip
    carried(world, one, two, is_reader_first=True, name=NAMED)


def test_a_reader_that_closes_is_met_by_the_writer(
    world: RelayWorld, two: tuple[Relay, Relay]
) -> None:
    pipe, end = world.write(*two), world.read(two[1])
    put(pipe, b"first")
    taken = Taken(end)
    world.until(lambda: not taken.take() and taken.data == b"first")
    world.close_end(end)
    world.until(lambda: is_broken(pipe))


def test_a_relay_that_goes_away_cuts_both_sides(
    world: RelayWorld, two: tuple[Relay, Relay]
) -> None:
    one, other = two
    streams = [(world.write(one, other, name), Taken(world.read(other, name))) for name in "ab"]
    for pipe, taken in streams:
        put(pipe, b"first")
        world.until(lambda taken=taken: not taken.take() and taken.data == b"first")  # type: ignore[misc] # mypy knows no type of such a default
    world.relays.remove(one)
    one.close()
    for pipe, taken in streams:
        assert is_broken(pipe)
        world.until(taken.take)
        assert taken.data == b"first"


def test_a_relay_that_is_done_waits_until_the_other_has_heard_it_and_nothing_is_lost(
    world: RelayWorld, two: tuple[Relay, Relay]
) -> None:
    one, other = two
    pipe, taken = world.write(one, other), Taken(world.read(other))
    put(pipe, b"first")
    world.until(lambda: not taken.take() and taken.data == b"first")
    put(pipe, PIECE)
    world.close_end(pipe)
    world.relays.remove(other)  # it does nothing for a while
    world.until(lambda: not one.board.has_streams)
    one.board.part()
    for _ in range(10):
        world.work()
        assert one.board.has_connections
    world.relays.append(other)
    world.until(taken.take)
    assert taken.data == b"first" + PIECE
    world.until(lambda: not one.board.has_connections)


def test_a_slow_reader_holds_back_its_writer_and_nobody_else(
    world: RelayWorld, two: tuple[Relay, Relay]
) -> None:
    one, other = two
    slow, fast = world.write(one, other, "slow"), world.write(one, other, "fast")
    end, taken = world.read(other, "slow"), Taken(world.read(other, "fast"))
    written = through = idle = 0
    while idle < 50:  # ends when no more goes in
        size = put(slow, PIECE)
        written += size
        idle = 0 if size else idle + 1
        through += put(fast, PIECE)
        world.work()
        taken.take()
    most = WINDOW_BYTES + PIPES_BYTES + UNSENT_BYTES_MAX + SOCKETS_BYTES
    assert written < most
    world.until(lambda: not taken.take() and len(taken.data) == through)
    world.close_end(slow)
    late = Taken(end)
    world.until(late.take)
    assert len(late.data) == written


def test_who_may_not_have_a_stream_is_refused_and_the_one_that_is_there_goes_on(
    world: RelayWorld, two: tuple[Relay, Relay]
) -> None:
    taken, first = Taken(world.read(two[1], attempt=2)), world.write(*two, attempt=2)
    put(first, b"first")
    world.until(lambda: not taken.take() and taken.data == b"first")
    for attempt, token in ((2, bytes(32)), (2, TOKEN), (1, TOKEN)):  # guessed, again, and too late
        other = world.write(*two, attempt=attempt, token=token)
        world.until(lambda other=other: is_broken(other))  # type: ignore[misc] # mypy knows no type of such a default
    put(first, b" and more")
    world.until(lambda: not taken.take() and taken.data == b"first and more")


def test_a_stream_of_the_next_attempt_waits_for_its_pipe_and_is_refused_if_that_never_comes(
    world: RelayWorld, two: tuple[Relay, Relay]
) -> None:
    taken, first = Taken(world.read(two[1])), world.write(*two)
    put(first, b"first")
    world.until(lambda: not taken.take() and taken.data == b"first")
    following = world.write(*two, attempt=2)
    world.wait(JOIN_S / 2)
    assert not is_broken(following)
    world.wait(JOIN_S)
    world.until(lambda: is_broken(following))
    put(first, b" and more")
    world.until(lambda: not taken.take() and taken.data == b"first and more")


def test_the_next_attempt_of_an_edge_ends_the_one_before(
    world: RelayWorld, two: tuple[Relay, Relay]
) -> None:
    one, other = two
    old, before = world.write(one, other), Taken(world.read(other))
    put(old, b"old")
    world.until(lambda: not before.take() and before.data == b"old")
    token = bytes(32)
    new, taken = world.write(one, other, attempt=2, token=token), Taken(world.read(other, attempt=2, token=token))  # fmt: skip
    world.until(before.take)
    world.until(lambda: is_broken(old))
    put(new, b"new")
    world.close_end(new)
    world.until(taken.take)
    assert taken.data == b"new"


def test_whose_other_side_never_comes_is_let_go(
    world: RelayWorld, two: tuple[Relay, Relay]
) -> None:
    one, other = two
    pipe, taken = world.write(one, other, "a"), Taken(world.read(other, "b"))
    world.until(lambda: bool(other.board._meeting._pending))
    world.pass_time(JOIN_S - 1)
    assert not taken.take()
    world.pass_time(1)
    world.until(taken.take)
    world.until(lambda: is_broken(pipe))


def test_a_relay_that_is_not_there_yet_is_tried_again(
    world: RelayWorld, two: tuple[Relay, Relay]
) -> None:
    one, other = two
    other.deafen()
    pipe, taken = world.write(one, other), Taken(world.read(other))
    put(pipe, b"early")
    world.wait(JOIN_S / 2)
    other.listen()
    world.wait(JOIN_S / 4)
    world.close_end(pipe)
    world.until(taken.take)
    assert taken.data == b"early"


def test_who_shows_another_secret_gets_in_nowhere(world: RelayWorld) -> None:
    refused_at(world, world.relay("one", secret=b"guessed"), world.relay("two"), HOST)


def test_who_has_no_certificate_gets_in_nowhere(world: RelayWorld, tmp_path: Path) -> None:
    cluster = FoundedCluster(servers=0, agents=("two",))
    trust = cluster.certify(tmp_path, "two")
    other = world.relay("two", trust=trust)
    context = ssl.create_default_context(cafile=str(trust / "authority.pem"))
    context.check_hostname = False
    with socket.create_connection((HOST, other.port), timeout=20) as link:
        link.setblocking(False)
        with context.wrap_socket(
            link, server_hostname=HOST, do_handshake_on_connect=False
        ) as stranger:
            assert _ended(world, stranger)


NAMED = "two.agent.runink.internal"


def refused_at(world: RelayWorld, one: Relay, two: Relay, name: str = NAMED) -> None:
    """See that nothing of a stream comes to the other relay."""
    pipe, taken = world.write(one, two, name=name), Taken(world.read(two))
    put(pipe, b"forged")
    for _ in range(50):
        world.work()
    assert not taken.take()
    assert not taken.data
    world.pass_time(JOIN_S)
    world.until(taken.take)
    assert not taken.data


def test_only_worker_nodes_of_the_cluster_get_in_each_under_its_own_name(
    world: RelayWorld, tmp_path: Path
) -> None:
    cluster = FoundedCluster(servers=1, agents=("one", "two"), clients=("eve",))
    trusts = {name: cluster.certify(tmp_path / name, name) for name in cluster.nodes}
    two = world.relay("two", trust=trusts["two"])
    refused_at(world, world.relay("one", trust=trusts["eve"]), two)
    refused_at(world, world.relay("member-1", trust=trusts["member-1"]), two)
    refused_at(world, world.relay("three", trust=trusts["one"]), two)
    refused_at(world, world.relay("one", trust=trusts["one"]), two, "three.agent.runink.internal")


def test_a_relay_uses_its_nodes_next_certificate_when_that_is_there(
    world: RelayWorld, tmp_path: Path
) -> None:
    old, new = (FoundedCluster(servers=0, agents=("one", "two")) for _ in range(2))
    folders = {name: tmp_path / name for name in old.nodes}
    for name, folder in folders.items():
        old.certify(folder, name)
    one, two = (world.relay(name, trust=folder) for name, folder in folders.items())
    for name, folder in folders.items():
        new.certify(folder, name)
    carried(world, one, two, is_reader_first=True, name=NAMED)
    late = world.relay("one", trust=old.certify(tmp_path / "late", "one"))
    refused_at(world, late, two)


def _ended(world: RelayWorld, stranger: ssl.SSLSocket) -> bool:
    """Shake hands and read until the other side has ended it; say whether it did."""
    is_shaken = False
    for _ in range(20_000):
        world.work()
        try:
            if not is_shaken:
                stranger.do_handshake()
                is_shaken = True
            if not stranger.recv(1):
                return True
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            continue
        except OSError:
            return True
    return False


def test_who_says_nothing_is_let_go(world: RelayWorld) -> None:
    relay = world.relay("two")
    with socket.create_connection((HOST, relay.port), timeout=20) as link:
        world.until(lambda: bool(relay.board._connections))
        world.pass_time(HANDSHAKE_S)
        link.setblocking(True)
        assert b"handshake_timed_out" in link.recv(4096)
        assert link.recv(4096) == b""


def test_a_crowd_that_says_nothing_keeps_no_relay_out(
    world: RelayWorld, two: tuple[Relay, Relay], capfd: pytest.CaptureFixture[str]
) -> None:
    one, other = two
    with ExitStack() as stack:
        for _ in range(2 * OF_ADDRESS_MAX):
            stack.enter_context(socket.create_connection((HOST, other.port)))
            world.work()
        carried(world, one, other, is_reader_first=True)
    assert len(other.board._connections) <= OF_ADDRESS_MAX + 1
    assert capfd.readouterr().err.count("connection turned away") == 1


def test_a_relay_that_falls_silent_is_given_up(world: RelayWorld, two: tuple[Relay, Relay]) -> None:
    one, other = two
    pipe, taken = world.write(one, other), Taken(world.read(other))
    put(pipe, b"first")
    world.until(lambda: not taken.take() and taken.data == b"first")
    world.now_s += SILENT_S / 2
    one.board.tick()  # it asks
    world.relays.remove(other)  # which does nothing any more
    world.now_s += SILENT_S
    one.board.tick()
    assert is_broken(pipe)
    other.close()


def test_a_connection_is_kept_behind_a_stream_that_ended_between_two_looks(
    world: RelayWorld, two: tuple[Relay, Relay]
) -> None:
    world.now_s = 10 * IDLE_S  # of a machine that is up for longer
    one, other = two
    pipe, taken = world.write(one, other), Taken(world.read(other))
    put(pipe, b"all")
    world.close_end(pipe)
    world.until(taken.take)
    world.until(lambda: not one.board.has_streams)
    world.wait(IDLE_S / 2)
    assert one.board.has_connections
    world.wait(IDLE_S)
    assert not one.board.has_connections
