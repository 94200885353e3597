"""What the main thread of a slice waits for: that somebody rings, before or after it has come."""

from __future__ import annotations

import threading

from runink.steps.channels import Bell, Channel, Failure, Stop, Stopped

LONG_S = 60.0


def test_a_bell_that_was_rung_before_is_heard_at_once_and_only_once() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    assert bell.wait(LONG_S)
    assert not bell.wait(0.0)


def test_a_bell_wakes_who_waits_for_it() -> None:
    bell = Bell()
    ringer = threading.Thread(target=bell.ring)
    ringer.start()
    assert bell.wait(LONG_S)
    ringer.join(LONG_S)


def test_who_stops_a_slice_rings_and_only_the_first_failure_counts() -> None:
    stop = Stop()
    first, second = (Failure(name, ValueError(name), None, exact=False) for name in ("a", "b"))
    stop.set(first)
    stop.set(second)
    assert stop.bell.wait(0.0)
    assert stop.wanted
    assert stop.failure is first


def test_who_waits_for_a_batch_is_woken_where_the_slice_stops() -> None:
    stop = Stop()
    channel = Channel(stop, writers=1)
    seen: list[type[BaseException]] = []

    def read() -> None:
        try:
            list(channel)
        except Stopped as stopped:
            seen.append(type(stopped))

    reader = threading.Thread(target=read)
    reader.start()
    stop.set()
    reader.join(LONG_S)
    assert seen == [Stopped]
