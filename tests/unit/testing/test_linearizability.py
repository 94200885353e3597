"""The checkers of histories: what is sound passes, and every kind of unsoundness that we fear is found."""

from __future__ import annotations

from math import inf

import pytest
from runink.testing.histories import Delete, Get, Operation, Put, Saw, Swap, Wrote
from runink.testing.linearizability import Verdict, check_linearizable
from runink.testing.revision_order import check_revisions

A, B, C = b"a", b"b", b"c"


def put(began: float, ended: float, value: bytes, revision: int, *, key: str = "k") -> Operation:
    return Operation("w", key, Put(value), began, ended, Wrote(revision))


def unknown_put(began: float, value: bytes) -> Operation:
    return Operation("u", "k", Put(value), began)


def delete(began: float, ended: float, revision: int, *, changed: bool = True) -> Operation:
    return Operation("d", "k", Delete(), began, ended, Wrote(revision, changed=changed))


def swap(
    began: float, ended: float, expected: int | bytes, value: bytes, wrote: Wrote
) -> Operation:
    return Operation("s", "k", Swap(expected, value), began, ended, wrote)


def get(
    began: float, ended: float, value: bytes | None, mod: int, revision: int = 0, key: str = "k"
) -> Operation:
    return Operation("r", key, Get(), began, ended, Saw(value, mod, revision or mod))


SOUND = {
    "nothing": [],
    "a read of nothing": [get(0, 1, None, 0)],
    "one after the other": [put(0, 1, A, 1), get(2, 3, A, 1), put(4, 5, B, 2), get(6, 7, B, 2)],
    "a read beside a write sees the old value": [
        put(0, 1, A, 1),
        put(2, 9, B, 2),
        get(3, 4, A, 1),
    ],
    "a read beside a write sees the new value": [
        put(0, 1, A, 1),
        put(2, 9, B, 2),
        get(3, 4, B, 2),
    ],
    "two writes at once": [put(0, 9, A, 2), put(0, 9, B, 1), get(10, 11, A, 2)],
    "an unknown write never shows": [put(0, 1, A, 1), unknown_put(2, B), get(3, 4, A, 1)],
    "an unknown write shows late": [
        put(0, 1, A, 1),
        unknown_put(2, B),
        get(3, 4, A, 1),
        get(5, 6, A, 1),
        get(7, 8, B, 2),
    ],
    "an unknown write is overwritten unseen": [
        unknown_put(0, A),
        put(1, 2, B, 2),
        get(3, 4, B, 2),
    ],
    "an unknown write is seen, then compared with": [
        unknown_put(0, A),
        get(1, 2, A, 1),
        swap(3, 4, 1, B, Wrote(2)),
        get(5, 6, B, 2),
    ],
    "an unknown write is compared with, unseen": [
        unknown_put(0, A),
        swap(3, 4, 1, B, Wrote(2)),
        get(5, 6, B, 2),
    ],
    "swaps on a revision": [
        swap(0, 1, 0, A, Wrote(1)),
        swap(2, 3, 0, B, Wrote(1, changed=False)),
        swap(4, 5, 1, B, Wrote(2)),
        get(6, 7, B, 2),
    ],
    "swaps on a value": [
        put(0, 1, A, 1),
        swap(2, 3, B, C, Wrote(1, changed=False)),
        swap(4, 5, A, C, Wrote(2)),
        get(6, 7, C, 2),
    ],
    "an unknown swap may have held": [
        put(0, 1, A, 1),
        Operation("u", "k", Swap(1, B), 2),
        get(9, 10, B, 2),
    ],
    "a key is deleted and put again": [
        put(0, 1, A, 1),
        delete(2, 3, 2),
        delete(4, 5, 2, changed=False),
        get(6, 7, None, 0, 2),
        put(8, 9, B, 3),
    ],
    "an unknown delete shows late": [
        put(0, 1, A, 1),
        Operation("u", "k", Delete(), 2),
        get(3, 4, A, 1),
        get(5, 6, None, 0, 2),
    ],
    "keys do not mind each other": [
        put(0, 1, A, 1),
        put(2, 3, B, 2, key="j"),
        get(4, 5, A, 1, 2),
        get(4, 5, B, 2, key="j"),
    ],
}

# What is found, by which check: the search sees values, the cheap check revisions. Most is seen by both.
UNSOUND = {
    "a stale read": [put(0, 1, A, 1), put(2, 3, B, 2), get(4, 5, A, 1)],
    "a lost write": [put(0, 1, A, 1), get(2, 3, None, 0, 1)],
    "a lost update: two swaps of one revision held": [
        put(0, 1, A, 1),
        swap(2, 5, 1, B, Wrote(2)),
        swap(3, 6, 1, C, Wrote(3)),
    ],
    "a read that goes back in time": [
        put(0, 1, A, 1),
        put(2, 9, B, 2),
        get(3, 4, B, 2),
        get(5, 6, A, 1),
    ],
    "a value that nobody wrote": [put(0, 1, A, 1), get(2, 3, C, 1)],
    "a write that was reported as failed": [put(0, 1, A, 1), get(4, 5, B, 2)],
    "a write that was applied twice": [
        unknown_put(0, A),
        get(1, 2, A, 1),
        put(3, 4, B, 2),
        get(5, 6, A, 3),
    ],
    "an unknown write that shows before it began": [get(0, 1, A, 1), unknown_put(2, A)],
    "an unknown write that shows and is gone again": [
        put(0, 1, A, 1),
        unknown_put(2, B),
        get(3, 4, B, 2),
        get(5, 6, A, 1),
    ],
    "a swap that held on what was not there": [put(0, 1, A, 1), swap(2, 3, 0, B, Wrote(2))],
    "a swap that did not hold on what was there": [
        put(0, 1, A, 1),
        swap(2, 3, A, B, Wrote(1, changed=False)),
    ],
    "a deleted key that is read": [put(0, 1, A, 1), delete(2, 3, 2), get(4, 5, A, 1, 2)],
    "a delete that found nothing where something was": [
        put(0, 1, A, 1),
        delete(2, 3, 1, changed=False),
    ],
    "a delete that found something where nothing was": [delete(0, 1, 1)],
    "a read that shows another revision than was acknowledged": [
        put(0, 1, A, 1),
        get(2, 3, A, 2, 2),
    ],
    "a change without a new revision": [put(0, 1, A, 1), put(2, 3, B, 1)],
    "revisions against real time": [put(0, 1, A, 2), put(2, 3, B, 1), get(4, 5, B, 1, 2)],
}
ONLY_BY_SEARCH = {
    "a lost update: two swaps of one revision held",
    "a swap that held on what was not there",
    "a swap that did not hold on what was there",
    "a delete that found nothing where something was",
    "a delete that found something where nothing was",
    "a write that was applied twice",  # the second time with a revision that nobody was told
}


@pytest.mark.parametrize("name", SOUND)
def test_what_is_sound_passes_both_checks(name: str):
    assert check_linearizable(SOUND[name]).verdict is Verdict.LINEARIZABLE
    assert check_revisions(SOUND[name]) == []


@pytest.mark.parametrize("name", UNSOUND)
def test_what_no_order_explains_is_found_by_search(name: str):
    assert check_linearizable(UNSOUND[name]).verdict is Verdict.VIOLATION


@pytest.mark.parametrize("name", sorted(UNSOUND.keys() - ONLY_BY_SEARCH))
def test_what_revisions_tell_is_found_without_a_search(name: str):
    assert check_revisions(UNSOUND[name])


BY_REVISION_ONLY = {
    "two changes with one revision": [put(0, 9, A, 1), put(0, 9, B, 1, key="j")],
    "a read of another key goes back": [
        put(0, 1, A, 1),
        put(2, 3, B, 2, key="j"),
        get(4, 5, A, 1, 1),
    ],
    "a change that was yet to come": [put(0, 9, A, 2), get(1, 2, A, 2, 1)],
    "another key's change": [put(0, 1, A, 1, key="j"), unknown_put(0, A), get(2, 3, A, 1)],
    "two values of one revision": [
        unknown_put(0, A),
        unknown_put(0, B),
        get(1, 9, A, 1),
        get(1, 9, B, 1),
    ],
}


@pytest.mark.parametrize("name", BY_REVISION_ONLY)
def test_what_only_revisions_tell_is_found(name: str):
    assert check_revisions(BY_REVISION_ONLY[name])


def test_the_report_names_the_operation_that_no_order_explains_and_the_order_up_to_it():
    stale = get(4, 5, A, 1)
    later = [put(6, 7, C, 3), get(8, 9, C, 3)]
    report = check_linearizable([put(0, 1, A, 1), put(2, 3, B, 2), stale, *later])
    assert report.operation == stale
    assert [str(one.action) for one in report.order] == [str(Put(A)), str(Put(B))]
    assert report.register.value == B
    assert str(stale) in str(report)


def tangle() -> list[Operation]:
    """Return swaps that may have held in any order, and a read that no order gives."""
    swaps = [
        Operation("u", "k", Swap(bytes([n]), bytes([m])), 0)
        for n in range(5)
        for m in range(5)
        if n != m
    ]
    return [put(0, 1, bytes([0]), 1), *swaps, get(2, 3, bytes([4]), 40), get(4, 5, A, 50)]


def test_a_search_that_takes_too_long_is_given_up_and_says_so():
    assert check_linearizable(tangle(), steps_max=200).verdict is Verdict.UNKNOWN


def test_what_is_known_of_one_key_outweighs_what_is_unknown_of_another():
    wrong = [get(0, 1, A, 1, key="z")]
    assert check_linearizable(tangle() + wrong, steps_max=200).verdict is Verdict.VIOLATION


def test_unknown_writes_that_nobody_saw_cost_no_search():
    unseen = [unknown_put(0, bytes([n])) for n in range(100)]
    reads = [get(2 * n, 2 * n + 1, bytes([n]), n) for n in range(1, 50)]
    report = check_linearizable(unseen + reads)
    assert report.verdict is Verdict.LINEARIZABLE
    stale = get(200, 201, bytes([7]), 7)
    report = check_linearizable([*unseen, *reads, stale])
    assert report.verdict is Verdict.VIOLATION
    assert report.operation == stale
    assert report.steps < 20_000


def test_operations_that_touch_in_time_may_go_either_way():
    assert check_linearizable([put(0, 1, A, 1), get(1, 2, None, 0)]).verdict is Verdict.LINEARIZABLE


def test_a_long_history_of_many_clients_is_judged_in_few_steps():
    """Eight clients that overlap all the time; as many operations on one key as the simulation makes."""
    history = []
    for n in range(1, 501):
        value = bytes([n % 7])
        history.append(put(n, n + 7.5, value, n))
        history.append(get(n + 0.6, n + 4, value, n))
    report = check_linearizable(history)
    assert report.verdict is Verdict.LINEARIZABLE
    assert report.steps < 20_000
    assert max(one.ended or inf for one in history) < inf
