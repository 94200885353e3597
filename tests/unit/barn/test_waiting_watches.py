"""Who is told what when a change is committed: matched once for all watches of one interest."""

from __future__ import annotations

from runink.barn.keyvalue import Change, KeyValue, Span, one_key
from runink.barn.watches import Due, Watches
from runink.barn.watching import Interest, Skip


def gone(key: str, revision: int = 1) -> Change:
    return Change(revision, key, None)


def put(key: str, *, before: KeyValue | None = None) -> Change:
    return Change(2, key, KeyValue(key, b"v", 2, 2, 1), before)


def woken(due: list[Due]) -> list[int]:
    return sorted(watch for one in due for watch in one.watches)


def test_a_change_takes_the_watches_that_it_concerns():
    watches = Watches()
    watches.add(1, Interest(("/runs/", "/slices/")))
    watches.add(2, Interest(("/nodes/",)))
    watches.add(3, Interest(("/runs/a/",)))
    watches.add(4, Interest(("",)))
    watches.add(5, Interest((), (one_key("/runs/a/1"),)))
    watches.add(6, Interest((), (Span("/runs/b", ""),)))
    assert woken(watches.take([gone("/runs/a/1"), gone("/slices/a/1/s")])) == [1, 3, 4, 5, 6]
    assert watches.take([gone("/runs/a/1")]) == []
    assert len(watches) == 1
    assert woken(watches.take([gone("/nodes/n")])) == [2]


def test_watches_of_one_interest_are_told_one_value():
    watches = Watches()
    for watch in range(1000):
        watches.add(watch, Interest(("/a/",)))
    due = watches.take([gone("/a/1"), gone("/b/1"), gone("/a/2")])
    assert [(len(one.watches), one.changes) for one in due] == [
        (1000, (gone("/a/1"), gone("/a/2")))
    ]
    assert due[0].watches == tuple(range(1000))
    assert len(watches) == 0


def test_a_watch_with_two_ways_to_a_key_is_told_once():
    watches = Watches()
    watches.add(1, Interest(("/a", "/a/", "/a"), (one_key("/a/1"), Span("/", ""))))
    assert watches.take([gone("/a/1")])[0].changes == (gone("/a/1"),)
    assert watches.take([gone("/a/1")]) == []


def test_a_watch_is_not_woken_by_what_it_skips_and_not_told_what_it_did_not_want():
    watches = Watches()
    watches.add(1, Interest(("/",), skip=Skip.PUTS))
    watches.add(2, Interest(("/",), want_before=True))
    watches.add(3, Interest(("/",)))
    was = KeyValue("/a", b"old", 1, 1, 1)
    due = watches.take([put("/a", before=was)])
    assert {one.watches: one.changes for one in due} == {
        (2,): (put("/a", before=was),),
        (3,): (put("/a"),),
    }
    assert woken(watches.take([gone("/a")])) == [1]


def test_a_watch_that_is_matched_may_go_on_waiting():
    watches = Watches()
    watches.add(1, Interest(("/a",)))
    assert woken(watches.matched([gone("/a")])) == [1]
    assert woken(watches.matched([gone("/a")])) == [1]
    assert len(watches) == 1


def test_a_removed_watch_is_not_woken_and_may_be_removed_twice():
    watches = Watches()
    watches.add(1, Interest(("/a", "/a"), (one_key("/b"),)))
    watches.remove(1)
    watches.remove(1)
    assert watches.take([gone("/a"), gone("/b")]) == []
    assert len(watches) == 0
