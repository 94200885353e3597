"""The judge of leases: what a sound store may do passes, and every way to break a lease that we fear is found."""

from __future__ import annotations

from math import inf

import pytest
from runink.barn.keyvalue import Change, KeyValue
from runink.testing.lease_lives import LeaseLife, Moment, check_leases

TTL_S = 2.0


def put(key: str, revision: int) -> Change:
    return Change(revision, key, KeyValue(key, b"", revision, revision, 1, 7))


def deleted(key: str, revision: int) -> Change:
    return Change(revision, key, None)


def life(
    *renewals: Moment, refused_at: float | None = None, is_kept: bool = False, **keys: int | None
) -> LeaseLife:
    return LeaseLife(7, TTL_S, list(renewals), dict(keys), refused_at, is_kept)


GRANT = Moment(1.0, 1.5, 1)  # so it lasts until 3.0 at least
RENEWAL = Moment(2.0, 2.5, 4)  # and so until 4.0
LATE = Moment(9.0, 9.5, 90)  # by then everything had happened


def test_a_lease_that_ends_in_time_with_all_its_keys_is_sound():
    changes = [put("a", 2), put("b", 3), deleted("a", 5), deleted("b", 5)]
    assert check_leases([life(GRANT, a=2, b=3)], changes, [Moment(2.5, 3.1, 5)]) == []


def test_a_lease_that_is_kept_need_not_end():
    assert check_leases([life(GRANT, RENEWAL, is_kept=True, a=2)], [put("a", 2)], [LATE]) == []


def test_a_lease_that_nobody_could_renew_in_time_may_end_though_it_was_to_be_kept():
    kept = life(GRANT, refused_at=3.2, is_kept=True, a=2)
    assert check_leases([kept], [put("a", 2), deleted("a", 3)], [Moment(2.0, 3.1, 3)]) == []


@pytest.mark.parametrize("changes", [[], [put("a", 2), deleted("a", 5)]])
def test_a_key_with_an_unknown_outcome_may_be_there_or_not(changes: list[Change]):
    assert check_leases([life(GRANT, a=None)], changes, [LATE]) == []


def test_what_nobody_was_answered_about_may_have_ended_at_any_time():
    assert check_leases([life(GRANT, a=2)], [put("a", 2), deleted("a", 5)], []) == []


ENDED = [put("a", 2), deleted("a", 5)]
WRONG = {
    "ended before its time": (
        life(GRANT, a=2),
        ENDED,
        [Moment(2.0, 2.8, 5)],
        "which was there at 2.8",
    ),
    "ended before the time of its renewal": (
        life(GRANT, RENEWAL, a=2),
        ENDED,
        [Moment(3.0, 3.8, 6)],
        "which was there at 3.8",
    ),
    "the earliest answer counts, whatever its revision": (
        life(GRANT, a=2),
        ENDED,
        [Moment(2.0, 2.8, 9), Moment(5.0, 6.0, 5), LATE],
        "which was there at 2.8",
    ),
    "refused before its time": (
        life(GRANT, refused_at=2.8, a=2),
        ENDED,
        [LATE],
        "was told to have ended at 2.8",
    ),
    "refused, and its key is there": (
        life(GRANT, refused_at=3.5, is_kept=True, a=2),
        [put("a", 2)],
        [],
        "it has ended, and its keys are there: ['a']",
    ),
    "nobody renews it, and its key is there": (
        life(GRANT, a=2),
        [put("a", 2)],
        [],
        "nobody renews it, and its keys are there: ['a']",
    ),
    "a key that may be there, and is, is there too long": (
        life(GRANT, a=None),
        [put("a", 2)],
        [],
        "nobody renews it, and its keys are there: ['a']",
    ),
    "a key outlives it": (
        life(GRANT, is_kept=True, a=2, b=3),
        [*ENDED, put("b", 3)],
        [LATE],
        "it has ended, and its keys are there: ['b']",
    ),
    "ended twice": (
        life(GRANT, a=2, b=3),
        [*ENDED, put("b", 3), deleted("b", 6)],
        [LATE],
        "ended more than once, at [5, 6]",
    ),
    "a key deleted twice": (
        life(GRANT, a=2),
        [*ENDED, deleted("a", 6)],
        [LATE],
        "a was deleted 2 times, at [5, 6]",
    ),
    "renewed behind its end": (
        life(GRANT, Moment(1.1, 1.2, 5), a=2),
        ENDED,
        [LATE],
        "and was renewed at 5",
    ),
    "given a key behind its end": (
        life(GRANT, a=2, b=6),
        [*ENDED, put("b", 6), deleted("b", 7)],
        [LATE],
        "and was given b at 6",
    ),
    "a key that no watch shows": (
        life(GRANT, a=2, b=3),
        ENDED,
        [LATE],
        "no watch shows that b was put at 3",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_breaks_a_lease_is_found(name: str):
    wrong, changes, moments, told = WRONG[name]
    findings = check_leases([wrong], changes, moments)
    assert any(told in finding for finding in findings), findings


def test_a_finding_names_the_lease_and_its_time():
    (finding,) = check_leases([life(GRANT, RENEWAL, a=2)], ENDED, [Moment(3.0, 3.8, 6)])
    told = "lease 7 of 2 s, renewed 1 times, due at 4 ended at revision 5, which was there at 3.8"
    assert finding == told


def test_answers_from_before_the_end_say_nothing_of_it():
    early = Moment(-inf, 1.6, 4)
    assert check_leases([life(GRANT, a=2)], ENDED, [early, LATE]) == []
