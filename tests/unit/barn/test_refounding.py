"""What becomes of a state that a lost majority left: it goes on behind its last entry, and nobody's retry is applied twice."""

from __future__ import annotations

import pytest
from barn_world import applied, apply
from runink.barn.commands import GrantLease, NameCluster, Proposal, Put, encode_proposal
from runink.barn.keys import member_key
from runink.barn.keyvalue import key_prefix
from runink.barn.refounding import for_group_of_one, replay
from runink.barn.store import Store
from runink.barn.watching import Bounds, Interest
from runink.errors import Refused
from runink.raft.messages import (
    ConfChangeSingle,
    ConfChangeType,
    ConfChangeV2,
    Entry,
    encode_conf_change,
)


def written() -> Store:
    store = Store()
    applied(store, NameCluster("old"), GrantLease(5000), Put("/a", b"1"))
    applied(store, *(Put(member_key(member), b'"here"') for member in (1, 2, 3, 31)))
    apply(store, Put("/a", b"2"), client="c", sequence=7)
    return store


def left_to(member: int, *, bump: int = 0) -> Store:
    state = written().image()
    return Store.restore(for_group_of_one(state, cluster="new", member=member, term=9, bump=bump))


def test_it_goes_on_one_entry_behind_in_the_new_term_under_a_new_id():
    before, store = written(), left_to(3)
    assert (store.applied_index, store.applied_term) == (before.applied_index + 1, 9)
    assert (store.cluster, store.is_refounded) == ("new", True)
    assert store.revision == before.revision + 1
    assert [lease.lease for lease in store.leases()] == [lease.lease for lease in before.leases()]
    item = store.get("/a")
    assert item is not None
    assert (item.value, item.mod_revision) == (b"2", before.revision)


def test_the_other_members_are_forgotten_in_one_revision_and_the_past_is_kept():
    store = left_to(3)
    kept = [item.key for item in store.range(key_prefix("/members/")).items]
    assert kept == [member_key(3)]
    gone = store.changes_after(store.revision - 1, Interest(("/",)), Bounds(9)).changes
    assert [change.key for change in gone] == [member_key(1), member_key(2), member_key(31)]
    assert store.changes_after(0, Interest(("/a",)), Bounds(9)).changes


def test_what_a_client_repeats_is_answered_as_before():
    before, store = written(), left_to(3)
    apply(store, Put("/a", b"2"), client="c", sequence=7)
    item = store.get("/a")
    assert item is not None
    assert item.mod_revision == before.revision


def test_the_revision_is_moved_on_where_the_lost_members_may_have_made_more():
    before, store = written(), left_to(3, bump=1000)
    assert store.revision == before.revision + 1001
    with pytest.raises(Refused) as caught:
        store.changes_after(before.revision, Interest(("/",)), Bounds(9))
    assert (caught.value.code, caught.value.revision) == ("compacted", before.revision + 1000)


def test_all_entries_of_a_log_are_applied_and_changes_of_the_membership_only_counted():
    change = ConfChangeSingle(ConfChangeType.ConfChangeRemoveNode, 2)
    type_, data = encode_conf_change(ConfChangeV2(changes=(change,)))
    store = Store()
    replay(
        store,
        [
            Entry(1, 1),
            Entry(1, 2, data=encode_proposal(Proposal("c", 1, Put("/a", b"1")))),
            Entry(2, 3, type_, data),
            Entry(2, 4, data=encode_proposal(Proposal("c", 1, Put("/a", b"1")))),
        ],
    )
    assert (store.applied_index, store.applied_term, store.revision) == (4, 2, 1)
    assert store.drain_changes() == []
