"""Transactions: decided on the state before them, done in their order, answered operation by operation."""

from __future__ import annotations

from barn_world import applied, apply, declined, keys_of
from runink.barn.commands import (
    Applied,
    Compact,
    Compare,
    Delete,
    DeleteDone,
    DeleteRange,
    GrantLease,
    Is,
    Of,
    Put,
    PutDone,
    Range,
    RangeDone,
    Txn,
    TxnDone,
)
from runink.barn.keyvalue import KeyValue
from runink.barn.sessions import RESULT_BYTES_MAX
from runink.barn.store import Store


def store_with(**values: bytes) -> Store:
    store = Store()
    applied(store, Txn((), tuple(Put(f"/{key}", value) for key, value in values.items())))
    return store


def absent(key: str) -> Compare:
    return Compare(key, Of.VERSION, Is.EQUAL, 0)


def test_a_write_answers_what_was_before_if_that_is_wanted():
    store = store_with(a=b"1", b=b"2")
    was = KeyValue("/a", b"1", 1, 1, 1)
    assert applied(store, Put("/a", b"9", want_before=True)).results == (PutDone(was),)
    assert applied(store, Put("/new", b"", want_before=True)).results == (PutDone(None),)
    answer = applied(store, DeleteRange("/b", "/c", want_before=True))
    assert answer == Applied(
        4, deleted=1, results=(DeleteDone(1, (KeyValue("/b", b"2", 1, 1, 1),)),)
    )
    assert applied(store, Delete("/none", want_before=True)).results == (DeleteDone(0),)
    assert applied(store, Delete("/a")).results == ()


def test_each_operation_of_a_transaction_has_its_result():
    store = store_with(a=b"1")
    txn = Txn((), (Range("/", ""), Put("/b", b"2"), Range("/b", "/c"), DeleteRange("/a", "/b")))
    answer = applied(store, txn)
    before, put, after, gone = answer.results
    assert isinstance(before, RangeDone)
    assert keys_of(before.page) == ["/a"]
    assert put == PutDone()
    assert isinstance(after, RangeDone)
    assert after.page.items == (KeyValue("/b", b"2", 2, 2, 1),)
    assert after.page.revision == 2
    assert gone == DeleteDone(1)
    assert answer.deleted == 1


def test_a_transaction_that_only_writes_has_nothing_to_tell():
    assert applied(store_with(a=b"1"), Txn((), (Put("/b", b""), Delete("/a")))).results == ()


def test_a_transaction_within_is_decided_on_the_state_before_all():
    store = Store()
    inner = Txn((absent("/a"),), (Put("/first", b""),), (Put("/second", b""),))
    answer = applied(store, Txn((absent("/a"),), (Put("/a", b"1"), inner)))
    assert answer.results == (PutDone(), TxnDone(succeeded=True, failed=(), results=()))
    assert store.get("/first") is not None
    answer = applied(store, Txn((), (Put("/x", b""), inner)))
    assert answer.results[1] == TxnDone(succeeded=False, failed=(0,), results=())
    assert answer.succeeded
    assert store.get("/second") is not None
    assert store.revision == 2


def test_a_reason_to_decline_deep_within_leaves_everything_as_it_was():
    store = store_with(a=b"1")
    inner = Txn((), (Txn((), (Put("/b", b"", 99),)),))
    assert declined(store, Txn((), (Put("/a", b"2"), inner))) == "lease_not_found"
    assert (
        declined(store, Txn((), (Put("/a", b"2"), Range("/", "", revision=7)))) == "future_revision"
    )
    applied(store, Put("/a", b"2"), Compact(2))
    assert declined(store, Txn((), (Put("/a", b"3"), Range("/", "", revision=1)))) == "compacted"
    assert store.get("/a") == KeyValue("/a", b"2", 1, 2, 2)
    assert store.revision == 2


def test_the_past_is_read_as_it_was_whatever_the_transaction_does_first():
    store = store_with(a=b"1")
    applied(store, Put("/a", b"2"))
    answer = applied(
        store, Txn((), (Put("/a", b"3"), Range("/a", "", revision=1), Range("/a", "", revision=2)))
    )
    values = [done.page.items[0].value for done in answer.results if isinstance(done, RangeDone)]
    assert values == [b"1", b"2"]


def test_a_comparison_over_a_span_holds_if_it_does_for_every_key():
    store = store_with(a=b"1", b=b"2")
    applied(store, Put("/b", b"3"))

    def holds(*compare: object) -> bool:
        return applied(store, Txn((Compare(*compare),))).succeeded  # type: ignore[arg-type] # as they stand

    assert holds("/", Of.CREATE_REVISION, Is.EQUAL, 1, "")
    assert not holds("/", Of.VERSION, Is.EQUAL, 1, "")
    assert holds("/a", Of.VERSION, Is.EQUAL, 1, "/b")
    assert holds("/", Of.VALUE, Is.LESS, b"4", "/c")
    assert not holds("/", Of.VALUE, Is.LESS, b"3", "/c")


def test_a_span_without_keys_is_compared_as_an_absent_key():
    store = store_with(a=b"1")
    none = Compare("/x", Of.VERSION, Is.EQUAL, 0, "/y")
    value = Compare("/x", Of.VALUE, Is.EQUAL, b"", "/y")
    assert applied(store, Txn((none,))).succeeded
    assert not applied(store, Txn((value,))).succeeded


def test_a_lease_is_compared():
    store = Store()
    lease = applied(store, GrantLease(5000)).lease
    applied(store, Put("/a", b"", lease))
    assert applied(store, Txn((Compare("/a", Of.LEASE, Is.EQUAL, lease),))).succeeded


def test_a_retry_is_told_small_results_again_and_that_large_ones_are_gone():
    store = store_with(a=bytes(RESULT_BYTES_MAX))
    small = Txn((), (Range("/x", ""), Put("/b", b"")))
    first = apply(store, small, client="c", sequence=1)
    assert apply(store, small, client="c", sequence=1) == first
    large = Txn((), (Range("/a", ""), Put("/b", b"")))
    first = apply(store, large, client="c", sequence=2)
    again = apply(store, large, client="c", sequence=2)
    assert isinstance(first, Applied)
    assert isinstance(again, Applied)
    assert len(first.results) == 2
    assert (again.results, again.are_results_gone, again.revision) == ((), True, first.revision)
    assert store.revision == 3
