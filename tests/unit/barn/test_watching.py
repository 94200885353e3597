"""What a watch is told: whole revisions, parts of those that are too large, what it is interested in, and from the index where that is shorter."""

from __future__ import annotations

import pytest
from barn_world import applied
from runink.barn import watching
from runink.barn.commands import Delete, DeleteRange, Put, Txn
from runink.barn.history import Watched
from runink.barn.keyvalue import Change, Span, key_prefix, one_key
from runink.barn.store import Store
from runink.barn.watching import Bounds, Interest, Skip, change_bytes

ALL = Interest(("/",))


def told(store: Store, interest: Interest, after: int = 0) -> list[tuple[int, str, bool]]:
    watched = store.changes_after(after, interest, Bounds(1000))
    assert watched.part == 0
    return [(one.revision, one.key, one.now is None) for one in watched.changes]


def written() -> Store:
    store = Store()
    applied(store, Put("/a/1", b"1"), Put("/b/1", b"1"), Put("/a/1", b"2"), Delete("/a/1"))
    return store


def test_a_watch_is_told_of_its_prefixes_and_spans():
    store = written()
    assert told(store, Interest(("/a/",))) == [
        (1, "/a/1", False),
        (3, "/a/1", False),
        (4, "/a/1", True),
    ]
    assert told(store, Interest((), (one_key("/b/1"),))) == [(2, "/b/1", False)]
    assert told(store, Interest((), (Span("/b", ""),))) == [(2, "/b/1", False)]
    both = Interest(("/b/",), (key_prefix("/a/"),))
    assert len(told(store, both)) == 4
    assert told(store, both, after=3) == [(4, "/a/1", True)]


def test_what_is_skipped_is_not_told():
    store = written()
    assert told(store, Interest(("/",), skip=Skip.PUTS)) == [(4, "/a/1", True)]
    assert told(store, Interest(("/a",), skip=Skip.DELETES)) == [
        (1, "/a/1", False),
        (3, "/a/1", False),
    ]


def test_what_was_before_is_told_to_who_wants_it():
    store = written()
    changes = store.changes_after(2, Interest(("/",), want_before=True), Bounds(9)).changes
    assert [one.before.value for one in changes if one.before] == [b"1", b"2"]
    assert all(one.before is None for one in store.changes_after(2, ALL, Bounds(9)).changes)


def follow(store: Store, interest: Interest, bounds: Bounds) -> list[Watched]:
    """Ask until nothing is left."""
    answers = [store.changes_after(0, interest, bounds)]
    while answers[-1].revision < store.revision or answers[-1].part:
        last = answers[-1]
        answers.append(store.changes_after(last.revision, interest, bounds, part=last.part))
        assert len(answers) < 1000
    return answers


@pytest.mark.parametrize("interest", [ALL, Interest(("/5",)), Interest(("/",), want_before=True)])
@pytest.mark.parametrize("size", [1, 700, 2000, 5000, 1 << 20])
def test_parts_joined_are_what_happened_whatever_the_size_of_an_answer(
    interest: Interest, size: int
):
    store = Store()
    for first in (0, 5, 40):
        applied(store, Txn((), tuple(Put(f"/{n}", b"v" * 100) for n in range(first, first + 20))))
        applied(store, Put("/55", b""))
    applied(store, DeleteRange("/", ""))
    whole = store.changes_after(0, interest, Bounds(1000)).changes
    answers = follow(store, interest, Bounds(1000, size))
    assert [change for one in answers for change in one.changes] == list(whole)
    for answer in answers:
        weight = sum(map(change_bytes, answer.changes))
        assert weight <= size or len(answer.changes) == 1
        if answer.part:
            assert {change.revision for change in answer.changes} == {answer.revision + 1}


def test_a_part_is_of_the_revision_behind_the_one_that_is_told_whole():
    store = Store()
    applied(store, Txn((), tuple(Put(f"/{n}", b"") for n in range(4))))
    size = change_bytes(Change(1, "/0", store.get("/0")))
    first = store.changes_after(0, ALL, Bounds(9, 3 * size))
    assert (len(first.changes), first.revision, first.part) == (3, 0, 3)
    rest = store.changes_after(0, ALL, Bounds(9, 3 * size), part=3)
    assert ([one.key for one in rest.changes], rest.revision, rest.part) == (["/3"], 1, 0)


def test_a_watch_for_a_rare_key_does_not_look_at_everything(monkeypatch: pytest.MonkeyPatch):
    store = Store()
    applied(store, Put("/rare", b"1"))
    for number in range(200):
        applied(store, Put("/busy", b"%d" % number))
    applied(store, Delete("/rare"), Put("/rare", b"2"))
    monkeypatch.setattr(watching, "LOOKS_MAX", 5)
    watched = store.changes_after(0, Interest(("/rare",)), Bounds(9))
    assert [one.revision for one in watched.changes] == [1, 202, 203]
    assert watched.revision == store.revision


def test_a_look_ends_after_some_changes_and_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watching, "LOOKS_MAX", 10)
    store = Store()
    for number in range(50):
        applied(store, Put(f"/{number}", b""))
    skipping = Interest(("/",), skip=Skip.PUTS)
    first = store.changes_after(0, skipping, Bounds(9))
    assert first.changes == ()
    assert 10 <= first.revision < 50
    assert follow(store, skipping, Bounds(9))[-1].revision == 50
