"""What a relay counts: what it carried, what it holds, for how long pipes were held back, and what went wrong."""

from __future__ import annotations

import os

from relay_world import TOKEN, Relay, RelayWorld, Taken, put
from runink.observe.metrics import METRICS
from runink.relay.dials import IDLE_S, RETRY_S
from runink.relay.ends import WINDOW_BYTES

DATA = os.urandom(100_000)
WAIT_S = 3.0


def counted(relay: Relay) -> dict[str, float]:
    """Return what a relay has counted, by the metric's name without what is common to all, and by its label's value."""
    found = {}
    for one in relay.board.readings():
        assert set(one.labels) == set(METRICS[one.name].labels)
        found[" ".join((one.name.removeprefix("runink_relay_"), *one.labels.values()))] = one.value
    return found


def test_what_was_carried_is_counted_on_both_sides_and_what_is_open_until_it_ends(
    world: RelayWorld, two: tuple[Relay, Relay]
) -> None:
    one, other = two
    pipe, taken = world.write(one, other), Taken(world.read(other))
    sent = put(pipe, DATA)
    world.until(lambda: taken.take() or len(taken.data) == sent)
    source, target = counted(one), counted(other)
    assert source["bytes_total out"] == target["bytes_total in"] == sent
    assert source["bytes_total in"] == target["bytes_total out"] == 0
    assert source["pieces_total out"] >= 1
    assert target["pieces_total in"] >= 1
    for name in ("streams", "connections"):
        assert (source[f"{name} out"], source[f"{name} in"]) == (1, 0)
        assert (target[f"{name} out"], target[f"{name} in"]) == (0, 1)
    world.close_end(pipe)
    world.until(taken.take)
    world.until(lambda: counted(one)["streams out"] == counted(other)["streams in"] == 0)
    assert counted(other)["held_bytes in"] == 0
    assert not any(value for name, value in counted(one).items() if "failures" in name)


def test_a_pipe_that_has_something_waits_for_its_reader_until_that_reads(
    world: RelayWorld, two: tuple[Relay, Relay]
) -> None:
    one, other = two
    pipe, taken = world.write(one, other), Taken(world.read(other))

    def is_full() -> bool:
        while put(pipe, DATA):
            pass
        return bool(one.board._counting._waiting)

    world.until(is_full)
    sent = counted(one)["bytes_total out"]
    world.until(lambda: counted(other)["bytes_total in"] == sent)
    assert WINDOW_BYTES // 2 < counted(other)["held_bytes in"] <= WINDOW_BYTES
    world.pass_time(WAIT_S)
    assert counted(one)["waits_seconds_total reader"] == WAIT_S, "it is told while it goes on"
    assert counted(one)["waits_seconds_total network"] == 0
    world.until(lambda: taken.take() or counted(one)["bytes_total out"] > sent)
    waited_s = counted(one)["waits_seconds_total reader"]
    world.close_end(pipe)
    world.until(taken.take)
    world.pass_time(WAIT_S)
    assert counted(one)["waits_seconds_total reader"] == waited_s == WAIT_S


def test_a_connection_that_is_lost_while_it_is_needed_is_a_failure_and_the_next_is_a_reconnect(
    world: RelayWorld, two: tuple[Relay, Relay]
) -> None:
    one, other = two
    pipe, taken = world.write(one, other, "a"), Taken(world.read(other, "a"))
    put(pipe, DATA)
    world.until(lambda: taken.take() or bool(taken.data))
    (link,) = other.board._connections
    other.board._over(link, "the test ends it")
    world.until(lambda: counted(one)["streams out"] == 0)
    assert counted(one)["failures_total connection"] == 1
    assert counted(one)["failures_total stream"] == 1
    assert counted(one)["reconnects_total"] == 0
    after, again = world.write(one, other, "b"), Taken(world.read(other, "b"))
    world.pass_time(RETRY_S)
    put(after, DATA)
    world.until(lambda: again.take() or bool(again.data))
    assert counted(one)["reconnects_total"] == 1
    assert counted(one)["failures_total connection"] == 1


def test_a_connection_that_ends_because_nobody_uses_it_is_no_failure(
    world: RelayWorld, two: tuple[Relay, Relay]
) -> None:
    one, other = two
    for edge in "ab":
        pipe, taken = world.write(one, other, edge), Taken(world.read(other, edge))
        put(pipe, DATA)
        world.close_end(pipe)
        world.until(taken.take)
        world.wait(IDLE_S + RETRY_S)
        world.until(lambda: counted(one)["connections out"] == 0)
    for relay in two:
        assert counted(relay)["failures_total connection"] == 0
        assert counted(relay)["reconnects_total"] == 0


def test_a_stream_that_is_refused_is_counted_where_it_is(
    world: RelayWorld, two: tuple[Relay, Relay]
) -> None:
    one, other = two
    world.read(other)
    world.write(one, other, token=TOKEN[::-1])
    world.until(lambda: counted(one)["failures_total stream"] == 1)
    assert counted(other)["failures_total refusal"] == 1
    assert counted(other)["failures_total stream"] == 0
