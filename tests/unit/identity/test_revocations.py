"""Tokens that are good in themselves and were revoked."""

from __future__ import annotations

import pytest
from msgspec import json
from runink.identity.denials import Fault, Unauthenticated
from runink.identity.revocations import (
    KeyRevoked,
    Revocation,
    Revocations,
    SubjectRevoked,
    TokenRevoked,
)
from runink.identity.tokens import Claims

ISSUER, OTHER = "https://runink.example.org", "https://login.example.org"
NOW_S = 1_800_000_000
TOKEN = TokenRevoked(ISSUER, "t1", NOW_S + 300)
SUBJECT = SubjectRevoked(ISSUER, "flights/loader", NOW_S, NOW_S + 3600)
KEY = KeyRevoked(ISSUER, "k1", NOW_S + 3600)


def claims(
    issuer: str = ISSUER,
    subject: str = "flights/loader",
    issued_s: int = NOW_S,
    token_id: str = "t1",
    key_id: str = "k1",
) -> Claims:
    return Claims(issuer, subject, (), issued_s, issued_s + 60, token_id, key_id, {})


def is_refused(revocations: Revocations, one: Claims) -> bool:
    try:
        revocations.check(one)
    except Unauthenticated as refused:
        return refused.fault is Fault.REVOKED
    return False


def filled(*each: Revocation) -> Revocations:
    revocations = Revocations()
    for one in each:
        revocations.add(one)
    return revocations


def test_nothing_is_revoked_at_first() -> None:
    assert not is_refused(Revocations(), claims())
    assert len(Revocations()) == 0


def test_the_set_counts_what_is_in_it() -> None:
    assert len(filled(TOKEN, SUBJECT, KEY, TOKEN)) == 3


def test_tokens_without_an_id_are_not_revoked_by_having_none() -> None:
    assert not is_refused(filled(TokenRevoked(ISSUER, "", NOW_S + 300)), claims(token_id=""))


def test_a_token_is_revoked_by_issuer_and_id_together() -> None:
    revocations = filled(TOKEN)
    assert is_refused(revocations, claims())
    assert not is_refused(revocations, claims(token_id="t2"))
    assert not is_refused(revocations, claims(issuer=OTHER))
    assert not is_refused(revocations, claims(token_id=""))


def test_of_a_subject_what_was_made_up_to_that_second_is_revoked() -> None:
    revocations = filled(SUBJECT)
    assert is_refused(revocations, claims(issued_s=NOW_S))
    assert not is_refused(revocations, claims(issued_s=NOW_S + 1))
    assert not is_refused(revocations, claims(subject="flights/other"))
    assert not is_refused(revocations, claims(issuer=OTHER))


def test_what_a_key_has_signed_is_revoked() -> None:
    revocations = filled(KEY)
    assert is_refused(revocations, claims(token_id="new", issued_s=NOW_S + 60))
    assert not is_refused(revocations, claims(key_id="k2"))
    assert not is_refused(revocations, claims(issuer=OTHER))


@pytest.mark.parametrize("one", [TOKEN, SUBJECT, KEY])
def test_what_refuses_nothing_any_more_is_pruned_and_told(one: Revocation) -> None:
    revocations = filled(one)
    assert revocations.prune(one.until_s - 1) == ()
    assert is_refused(revocations, claims())
    assert revocations.prune(one.until_s) == (one,)
    assert len(revocations) == 0
    assert not is_refused(revocations, claims())


@pytest.mark.parametrize("one", [TOKEN, SUBJECT, KEY])
def test_a_revocation_can_be_lifted_also_one_that_is_not_there(one: Revocation) -> None:
    revocations = filled(one)
    revocations.lift(one)
    revocations.lift(one)
    assert not is_refused(revocations, claims())


def test_of_two_revocations_each_counts_for_as_far_as_it_reaches() -> None:
    early = SubjectRevoked(ISSUER, "flights/loader", NOW_S + 50, NOW_S + 100)
    for order in ((SUBJECT, early), (early, SUBJECT)):
        revocations = filled(*order)
        assert is_refused(revocations, claims(issued_s=NOW_S + 50))
        assert revocations.prune(NOW_S + 3599) == ()
        assert len(revocations) == 1
    for longer in (TokenRevoked(ISSUER, "t1", NOW_S + 900), KeyRevoked(ISSUER, "k1", NOW_S + 9000)):
        for order in ((TOKEN, KEY, longer), (longer, KEY, TOKEN)):
            revocations = filled(*order)
            revocations.prune(longer.until_s - 1)
            assert is_refused(revocations, claims())


def test_revocations_are_values_that_come_back_from_their_bytes() -> None:
    for one in (TOKEN, SUBJECT, KEY):
        assert json.decode(json.encode(one), type=Revocation) == one
