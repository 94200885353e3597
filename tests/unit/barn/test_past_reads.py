"""Reads: at kept revisions, sorted, bounded, with or without values, and cut where an answer is full."""

from __future__ import annotations

import pytest
from barn_world import applied, keys_of
from runink.barn import keyspace
from runink.barn.commands import By, Compact, Delete, DeleteRange, Put, Range, Txn, Want
from runink.barn.keyvalue import UNCOUNTED
from runink.barn.store import Store
from runink.errors import Refused


def fruits() -> Store:
    """Make revision 1: b, 2: a, 3: c, 4: a again, 5: b gone."""
    store = Store()
    applied(store, Put("/b", b"2"), Put("/a", b"9"), Put("/c", b"5"), Put("/a", b"1"), Delete("/b"))
    return store


@pytest.mark.parametrize(
    ("revision", "expected"),
    [
        (1, {"/b": b"2"}),
        (2, {"/a": b"9", "/b": b"2"}),
        (3, {"/a": b"9", "/b": b"2", "/c": b"5"}),
        (4, {"/a": b"1", "/b": b"2", "/c": b"5"}),
        (5, {"/a": b"1", "/c": b"5"}),
        (0, {"/a": b"1", "/c": b"5"}),
    ],
)
def test_every_kept_revision_can_be_read(revision: int, expected: dict[str, bytes]):
    page = fruits().select(Range("/", "", revision=revision))
    assert {item.key: item.value for item in page.items} == expected
    assert (page.count, page.revision) == (len(expected), 5)


def test_a_key_of_the_past_has_the_counters_that_it_had():
    store = fruits()
    applied(store, Put("/b", b"new"))
    was = store.select(Range("/b", "/b\0", revision=4)).items[0]
    assert (was.create_revision, was.mod_revision, was.version) == (1, 1, 1)
    now = store.select(Range("/b", "/b\0")).items[0]
    assert (now.create_revision, now.mod_revision, now.version) == (6, 6, 1)
    assert store.select(Range("/b", "/b\0", revision=5)).items == ()


def test_a_read_below_what_is_kept_or_beyond_what_is_there_is_refused():
    store = fruits()
    applied(store, Compact(3))
    assert len(store.select(Range("/", "", revision=3)).items) == 3
    for revision, code in ((2, "compacted"), (6, "future_revision")):
        with pytest.raises(Refused) as caught:
            store.select(Range("/", "", revision=revision))
        assert caught.value.code == code
    with pytest.raises(Refused, match="up to revision 3"):
        store.select(Range("/", "", revision=1))


@pytest.mark.parametrize(
    ("by", "ascending"),
    [
        (By.KEY, ["/a", "/b", "/c"]),
        (By.CREATE_REVISION, ["/b", "/a", "/c"]),
        (By.MOD_REVISION, ["/b", "/c", "/a"]),
        (By.VERSION, ["/b", "/c", "/a"]),
        (By.VALUE, ["/a", "/b", "/c"]),
    ],
)
def test_a_read_is_sorted_by_what_is_asked_for_then_by_key(by: By, ascending: list[str]):
    store = fruits()
    assert keys_of(store.select(Range("/", "", revision=4, by=by))) == ascending
    expected = ["/a", "/b", "/c"] if by is By.VERSION else ascending[::-1]
    found = keys_of(store.select(Range("/", "", revision=4, by=by, descending=True)))
    assert found == expected
    limited = store.select(Range("/", "", revision=4, by=by, limit=1))
    assert (keys_of(limited), limited.count, limited.more) == (ascending[:1], 3, True)


def test_revisions_bound_what_is_told_and_not_what_is_counted():
    store = fruits()
    for bounds, expected in (
        ({"mod_revision_min": 4}, ["/a"]),
        ({"mod_revision_max": 3}, ["/c"]),
        ({"create_revision_min": 3}, ["/c"]),
        ({"create_revision_max": 2}, ["/a"]),
        ({"create_revision_max": 2, "mod_revision_max": 2}, []),
    ):
        page = store.select(Range("/", "", **bounds))
        assert (keys_of(page), page.count) == (expected, 2)


def test_keys_and_counts_are_told_without_values():
    store = fruits()
    page = store.select(Range("/", "", want=Want.KEYS))
    assert [(item.key, item.value, item.version) for item in page.items] == [
        ("/a", b"", 2),
        ("/c", b"", 1),
    ]
    assert store.select(Range("/", "", want=Want.COUNT)).items == ()
    assert store.select(Range("/", "", want=Want.COUNT, revision=4)).count == 3


def test_an_answer_that_is_full_says_that_there_is_more():
    store = Store()
    applied(store, Txn((), tuple(Put(f"/{n:03}", bytes(1000)) for n in range(100))))
    room = keyspace.Room(items=7)
    page = store._keys.select(Range("/", ""), room)
    assert (len(page.items), page.count, page.more) == (7, 100, True)
    small = keyspace.Room(size_bytes=5000)
    page = store._keys.select(Range("/", ""), small)
    assert 0 < len(page.items) < 10
    assert page.more


def test_a_span_of_the_past_is_counted_from_what_changed_since():
    store = Store()
    applied(store, Txn((), tuple(Put(f"/{n:03}", b"") for n in range(100))))
    applied(store, DeleteRange("/010", "/020"), Put("/015", b"back"), Put("/5000", b""))
    applied(store, Put("/005", b"changed"))
    count = Range("/", "", revision=1, want=Want.COUNT)
    assert store.select(count).count == 100
    assert store.select(Range("/", "")).count == 92


def test_a_span_of_long_ago_is_counted_only_for_who_asks_for_that(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keyspace, "COUNT_LOOKS_MAX", 2)
    store = fruits()
    assert store.select(Range("/", "", revision=3)).count == 3
    assert store.select(Range("/", "", revision=2)).count == UNCOUNTED
    assert store.select(Range("/", "", revision=2, want=Want.COUNT)).count == 2


def test_memory_of_the_past_is_given_back():
    store = Store()
    for number in range(300):
        applied(store, Put(f"/{number % 3}", b"v"), Put(f"/gone/{number}", b""))
        applied(store, Delete(f"/gone/{number}"))
    history = store._keys.history
    assert len(history.gone) == 300
    applied(store, Compact(store.revision))
    for _ in range(30):
        applied(store, Delete("/none"))
    assert (len(history.gone), len(history._chains), len(history._rows)) == (0, 0, 0)
    assert (store.history_bytes, store.history_changes) == (0, 0)
