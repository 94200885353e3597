"""The quota: puts are declined when it is reached, what frees space goes on, and the alarm ends."""

from __future__ import annotations

from barn_world import applied, declined
from runink.barn.checks import QUOTA_BYTES_MIN
from runink.barn.commands import (
    ClearAlarm,
    Compact,
    Delete,
    DeleteRange,
    GrantLease,
    Put,
    Range,
    SetLimits,
    Txn,
)
from runink.barn.store import Store

VALUE = bytes(100_000)


def full() -> Store:
    """Fill a store until a put is declined."""
    store = Store()
    applied(store, SetLimits(quota_bytes=QUOTA_BYTES_MIN))
    for number in range(10):
        applied(store, Put(f"/{number}", VALUE))
    assert declined(store, Put("/10", VALUE)) == "quota_exceeded"
    return store


def test_a_put_over_the_quota_is_declined_and_every_other_after_it():
    store = full()
    assert store.is_alarmed
    assert store.size_bytes <= QUOTA_BYTES_MIN
    revision = store.revision
    assert declined(store, Put("/small", b"")) == "quota_exceeded"
    assert (
        declined(store, Txn((), (Delete("/0"), Txn((), (Put("/small", b""),))))) == "quota_exceeded"
    )
    assert declined(store, GrantLease(5000)) == "quota_exceeded"
    assert (store.revision, len(store)) == (revision, 10)


def test_deleting_reading_and_compacting_go_on_and_end_the_alarm():
    store = full()
    applied(store, Txn((), (Range("/", "", limit=1), Delete("/0"))), DeleteRange("/1", "/3"))
    assert store.is_alarmed, "what was deleted is in the history still"
    applied(store, Compact(store.revision))
    assert not store.is_alarmed
    applied(store, Put("/10", VALUE))


def test_somebody_may_clear_the_alarm_and_the_next_put_that_is_too_much_sets_it():
    store = full()
    applied(store, ClearAlarm())
    applied(store, Put("/small", b""))
    assert declined(store, Put("/10", VALUE)) == "quota_exceeded"
    assert store.is_alarmed


def test_a_larger_quota_ends_the_alarm():
    store = full()
    applied(store, SetLimits(quota_bytes=2 * QUOTA_BYTES_MIN))
    assert not store.is_alarmed


def test_the_size_is_that_of_what_is_there_and_what_is_kept():
    store = Store()
    applied(store, Put("/a", bytes(1000)))
    one = store.size_bytes
    applied(store, Put("/a", bytes(1000)))
    assert store.size_bytes > one + 1000, "the older value is kept"
    applied(store, Compact(2))
    assert store.size_bytes < one
    applied(store, Delete("/a"), Compact(3))
    assert store.size_bytes == 0
