"""Secrets that were wrong are counted by who is meant and from where, and what is counted is bounded."""

from __future__ import annotations

from runink.identity.failed_tries import KEPT_MAX, TRIES_MAX, WINDOW_S, FailedTries

EVIL, GOOD = ("sales/nightly", "evil"), ("sales/nightly", "good")


def tried(tries: FailedTries, who: tuple[str, str], now_s: float) -> None:
    for _ in range(TRIES_MAX):
        assert not tries.is_shut(who, now_s)
        tries.note(who, now_s)


def test_too_many_within_the_window_shut_out_that_address_alone():
    tries = FailedTries()
    tried(tries, EVIL, 100.0)
    assert tries.is_shut(EVIL, 100.0 + WINDOW_S - 0.1)
    assert not tries.is_shut(GOOD, 100.0)
    assert not tries.is_shut(EVIL, 100.0 + WINDOW_S)
    tries.note(EVIL, 100.0 + WINDOW_S)
    assert not tries.is_shut(EVIL, 100.0 + WINDOW_S), "its window begins anew"


def test_of_more_than_are_kept_the_oldest_begin_anew():
    tries = FailedTries()
    tried(tries, EVIL, 0.0)
    for number in range(KEPT_MAX):
        tries.note(("sales/nightly", str(number)), 1.0)
    assert not tries.is_shut(EVIL, 1.0)
