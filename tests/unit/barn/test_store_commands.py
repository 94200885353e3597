"""The store applies commands: revisions, transactions, leases, sessions, history."""

from __future__ import annotations

import pytest
from runink.barn import image
from runink.barn.commands import (
    Answer,
    Applied,
    Command,
    Compact,
    Compare,
    Declined,
    Delete,
    DeleteRange,
    ExpireLease,
    GrantLease,
    Is,
    KeepAlive,
    Of,
    Proposal,
    Put,
    RevokeLease,
    SetLimits,
    Txn,
)
from runink.barn.keyvalue import Change, KeyValue, Span, key_prefix, one_key
from runink.barn.sessions import ANSWERS_MAX, CLIENTS_MAX
from runink.barn.store import LeaseView, Store
from runink.barn.watching import Bounds, Interest
from runink.errors import Broken, Refused


def apply(store: Store, command: Command, *, client: str = "", sequence: int = 0) -> Answer:
    proposal = Proposal(client, sequence, command)
    return store.apply(proposal, term=1, index=store.applied_index + 1)


def applied(store: Store, command: Command) -> Applied:
    answer = apply(store, command)
    assert isinstance(answer, Applied)
    return answer


def test_a_put_creates_a_key_and_a_second_one_changes_it():
    store = Store()
    assert applied(store, Put("/a", b"1")).revision == 1
    applied(store, Put("/b", b"1"))
    assert applied(store, Put("/a", b"2")).revision == 3
    assert store.get("/a") == KeyValue("/a", b"2", 1, 3, 2)


def test_a_deleted_key_begins_anew():
    store = Store()
    applied(store, Put("/a", b"1"))
    assert applied(store, Delete("/a")) == Applied(2, deleted=1)
    assert store.get("/a") is None
    applied(store, Put("/a", b"2"))
    assert store.get("/a") == KeyValue("/a", b"2", 3, 3, 1)


def test_what_changes_nothing_makes_no_revision():
    store = Store()
    applied(store, Put("/a", b"1"))
    assert applied(store, Delete("/none")) == Applied(1)
    assert applied(store, DeleteRange("/x", "/y")) == Applied(1)
    assert applied(store, Txn()) == Applied(1)
    assert store.applied_index == 4


def test_a_range_gives_keys_in_order_and_counts_all():
    store = Store()
    for key in ("/b/2", "/a", "/b/10", "/b", "/c"):
        applied(store, Put(key, b""))
    page = store.range(key_prefix("/b/"))
    assert [item.key for item in page.items] == ["/b/10", "/b/2"]
    limited = store.range(Span("/a", "/c"), limit=2)
    assert ([item.key for item in limited.items], limited.count) == (["/a", "/b"], 4)
    assert [item.key for item in store.range(one_key("/b")).items] == ["/b"]
    assert store.range(key_prefix("")).count == 5
    assert store.range(Span("/c", "/a")).count == 0


def test_a_prefix_ends_where_the_next_character_begins():
    assert key_prefix("/a/") == Span("/a/", "/a0")
    assert key_prefix("a\U0010ffff") == Span("a\U0010ffff", "b")
    assert key_prefix("\ud7ff") == Span("\ud7ff", "\ue000")


def test_deleting_a_range_is_one_revision():
    store = Store()
    for number in range(5):
        applied(store, Put(f"/n/{number}", b""))
    assert applied(store, DeleteRange("/n/1", "/n/4")) == Applied(6, deleted=3)
    assert [item.key for item in store.range(key_prefix("/")).items] == ["/n/0", "/n/4"]


@pytest.mark.parametrize(
    ("compare", "outcome"),
    [
        (Compare("/a", Of.VALUE, Is.EQUAL, b"m"), True),
        (Compare("/a", Of.VALUE, Is.LESS, b"n"), True),
        (Compare("/a", Of.VALUE, Is.GREATER, b"n"), False),
        (Compare("/a", Of.VERSION, Is.EQUAL, 2), True),
        (Compare("/a", Of.MOD_REVISION, Is.EQUAL, 2), True),
        (Compare("/a", Of.MOD_REVISION, Is.UNEQUAL, 2), False),
        (Compare("/a", Of.CREATE_REVISION, Is.LESS, 2), True),
        (Compare("/a", Of.LEASE, Is.EQUAL, 0), True),
        (Compare("/a", Of.VERSION, Is.EQUAL, b"2"), False),
        (Compare("/none", Of.VERSION, Is.EQUAL, 0), True),
        (Compare("/none", Of.CREATE_REVISION, Is.GREATER, 0), False),
        (Compare("/none", Of.VALUE, Is.EQUAL, b""), False),
        (Compare("/none", Of.VALUE, Is.UNEQUAL, b""), True),
    ],
)
def test_a_comparison_holds_or_not(compare: Compare, outcome: object):
    store = Store()
    applied(store, Put("/a", b"l"))
    applied(store, Put("/a", b"m"))
    assert applied(store, Txn((compare,))).succeeded is outcome


def test_a_transaction_does_one_side_in_one_revision():
    store = Store()
    absent = Compare("/a", Of.VERSION, Is.EQUAL, 0)
    txn = Txn((absent,), (Put("/a", b"1"), Put("/b", b"1")), (Delete("/a"), Put("/c", b"1")))
    assert applied(store, txn) == Applied(1)
    assert applied(store, txn) == Applied(2, succeeded=False, failed=(0,), deleted=1)
    assert [item.key for item in store.range(key_prefix("/")).items] == ["/b", "/c"]


def test_a_transaction_with_an_ended_lease_changes_nothing():
    store = Store()
    answer = apply(store, Txn((), (Put("/a", b"1"), Put("/b", b"1", 99))))
    assert isinstance(answer, Declined)
    assert answer.code == "lease_not_found"
    assert (len(store), store.revision) == (0, 0)


def test_a_lease_ends_with_its_keys_in_one_revision():
    store = Store()
    lease = applied(store, GrantLease(5000)).lease
    applied(store, Put("/b", b"", lease))
    applied(store, Put("/a", b"", lease))
    applied(store, Put("/kept", b""))
    assert applied(store, RevokeLease(lease)) == Applied(4, deleted=2)
    assert [change.key for change in store.drain_changes()][-2:] == ["/a", "/b"]
    assert isinstance(apply(store, RevokeLease(lease)), Declined)
    assert isinstance(apply(store, KeepAlive(lease)), Declined)


def test_a_key_that_is_put_anew_without_its_lease_outlives_it():
    store = Store()
    lease = applied(store, GrantLease(5000)).lease
    applied(store, Put("/a", b"", lease))
    applied(store, Put("/a", b""))
    applied(store, RevokeLease(lease))
    assert store.get("/a") is not None


def test_a_renewal_that_came_first_wins_over_an_expiry():
    store = Store()
    lease = applied(store, GrantLease(5000)).lease
    applied(store, Put("/a", b"", lease))
    applied(store, KeepAlive(lease))
    applied(store, ExpireLease(lease, renewals=0))
    assert store.lease(lease) == LeaseView(lease, 5000, 1)
    applied(store, ExpireLease(lease, renewals=1))
    assert store.leases() == ()
    assert store.get("/a") is None
    assert applied(store, ExpireLease(lease, renewals=1)).deleted == 0


def test_a_retry_is_applied_once_and_gets_the_first_answer():
    store = Store()
    first = apply(store, Put("/a", b"1"), client="c", sequence=1)
    apply(store, Put("/a", b"2"), client="c", sequence=2)
    assert apply(store, Put("/a", b"1"), client="c", sequence=1) == first == Applied(1)
    assert store.get("/a") == KeyValue("/a", b"2", 1, 2, 2)


def test_a_declined_command_is_declined_again_though_it_would_pass_now():
    store = Store()
    first = apply(store, RevokeLease(3), client="c", sequence=1)
    applied(store, GrantLease(5000))
    assert applied(store, GrantLease(5000)).lease == 3
    assert apply(store, RevokeLease(3), client="c", sequence=1) == first


def test_a_sequence_below_the_kept_answers_is_declined():
    store = Store()
    for sequence in range(1, ANSWERS_MAX + 2):
        apply(store, Put("/a", b""), client="c", sequence=sequence)
    again = apply(store, Put("/a", b""), client="c", sequence=1)
    assert isinstance(again, Declined)
    assert again.code == "sequence_expired"
    assert apply(store, Put("/a", b""), client="c", sequence=2) == Applied(2)


def test_a_dropped_client_is_declined_and_a_new_one_is_not():
    store = Store()
    apply(store, Put("/a", b""), client="c0000", sequence=1)
    for number in range(1, CLIENTS_MAX + 1):
        apply(store, Put("/a", b""), client=f"c{number:04}", sequence=1)
    assert store.clients == CLIENTS_MAX
    for client in ("c0000", "b"):
        again = apply(store, Put("/a", b""), client=client, sequence=1)
        assert isinstance(again, Declined)
        assert again.code == "client_expired"
    assert isinstance(apply(store, Put("/a", b""), client="d", sequence=9), Applied)


def test_changes_come_in_order_and_whole_revisions():
    store = Store()
    applied(store, Put("/a", b"1"))
    applied(store, Txn((), (Put("/b", b"1"), Delete("/a"), Put("/x", b"1"))))
    applied(store, Put("/b", b"2"))
    watched = store.changes_after(0, Interest(("/a", "/b")), Bounds(2))
    assert [(change.revision, change.key) for change in watched.changes] == [
        (1, "/a"),
        (2, "/b"),
        (2, "/a"),
    ]
    assert watched.revision == 2
    rest = store.changes_after(2, Interest(("/a", "/b")), Bounds(2))
    assert rest.changes == (Change(3, "/b", store.get("/b")),)
    assert store.changes_after(3, Interest(("/",)), Bounds(9)).changes == ()


def test_a_watch_that_finds_nothing_moves_on_to_the_revision_of_the_store():
    store = Store()
    applied(store, Put("/a", b"1"))
    assert store.changes_after(0, Interest(("/b",)), Bounds(1)).revision == 1


def test_compacted_changes_are_refused_and_the_keys_stay():
    store = Store()
    for _ in range(4):
        applied(store, Put("/a", b"1"))
    applied(store, Compact(2))
    with pytest.raises(Refused) as caught:
        store.changes_after(1, Interest(("/",)), Bounds(1))
    assert caught.value.code == "compacted"
    assert len(store.changes_after(2, Interest(("/",)), Bounds(9)).changes) == 2
    assert store.compacted == 2
    assert isinstance(apply(store, Compact(9)), Declined)


def test_a_revision_that_is_yet_to_come_is_refused():
    with pytest.raises(Refused) as caught:
        Store().changes_after(1, Interest(("/",)), Bounds(1))
    assert caught.value.code == "future_revision"


def test_the_history_is_bounded_by_bytes_and_keeps_the_newest():
    store = Store()
    applied(store, SetLimits(history_bytes=10_000))
    for _ in range(30):
        applied(store, Put("/a", bytes(1000)))
    assert 20 < store.compacted < 29
    assert 0 < store.history_bytes <= 10_000
    assert store.changes_after(29, Interest(("/",)), Bounds(9)).changes


def test_the_history_is_bounded_by_number():
    store = Store()
    applied(store, SetLimits(history_changes=5))
    for number in range(12):
        applied(store, Put(f"/{number % 3}", b""))
    assert (store.compacted, store.history_changes) == (7, 5)


def test_one_revision_larger_than_the_history_is_kept_whole():
    store = Store()
    applied(store, SetLimits(history_changes=10))
    applied(store, Txn((), tuple(Put(f"/{n:06}", b"") for n in range(40))))
    revision = store.revision
    applied(store, DeleteRange("/", ""))
    watched = store.changes_after(revision, Interest(("/",)), Bounds(1))
    assert len(watched.changes) == 40
    assert store.compacted == revision


def test_a_restored_store_goes_on_with_the_same_bytes():
    store = Store()
    lease = applied(store, GrantLease(5000)).lease
    apply(store, Put("/a", b"1", lease), client="c", sequence=1)
    applied(store, Put("/b", b"2"))
    data = b"".join(image.encode(store.image()))
    again = Store.restore(image.decode(data))
    assert b"".join(image.encode(again.image())) == data
    for each in (store, again):
        apply(each, Put("/a", b"9"), client="c", sequence=1)
        applied(each, RevokeLease(lease))
    assert again.get("/a") is None
    assert b"".join(image.encode(again.image())) == b"".join(image.encode(store.image()))


@pytest.mark.parametrize("cut", [0, 3, 10, -1])
def test_a_cut_image_is_refused(cut: int):
    store = Store()
    applied(store, Put("/a", b"1"))
    data = b"".join(image.encode(store.image()))
    with pytest.raises(Broken) as caught:
        image.decode(data[:cut])
    assert caught.value.code == "snapshot_corrupt"


def test_an_image_of_another_format_says_so():
    data = b"".join(image.encode(Store().image()))
    at = data.index(b"header") + len("header")
    newer = data[:at] + b"\x03" + data[at + 1 :]
    with pytest.raises(Broken) as caught:
        image.decode(newer)
    assert caught.value.code == "snapshot_version"
