"""What a policy asks of tokens, rule by rule, and what a good token tells."""

from __future__ import annotations

import json
from typing import Any

import pytest
from runink.identity.algorithms import ALGORITHMS, Algorithm
from runink.identity.denials import Fault, Unauthenticated
from runink.identity.tokens import (
    Claims,
    TokenPolicy,
    UnverifiedToken,
    check,
    id_tokens,
    read,
    verify,
)
from runink.testing.tokens import (
    AUDIENCE,
    EC_KID,
    NOW_S,
    RSA_KID,
    URL,
    Issuer,
    claims,
    ec_header,
    header,
    policy,
)

ISSUER = Issuer()
RING = ISSUER.ring()
CLIENT = "runi-console"
LOGIN = id_tokens(issuer=URL, client_id=CLIENT, nonce="n-0S6_WzA2Mj", algorithms=ALGORITHMS)


def verified(one: TokenPolicy, now_s: int = NOW_S, head: Any = None, **changes: Any) -> Claims:
    return verify(ISSUER.token(claims(**changes), head or header()), RING, one, now_s=now_s)


def fault(one: TokenPolicy, now_s: int = NOW_S, head: Any = None, **changes: Any) -> Fault:
    with pytest.raises(Unauthenticated) as refused:
        verified(one, now_s, head, **changes)
    return refused.value.fault


def id_token(**changes: Any) -> dict[str, Any]:
    return {"head": header(typ=None), "aud": CLIENT, "nonce": "n-0S6_WzA2Mj", **changes}


def test_what_a_good_token_says_is_told() -> None:
    for head, kid in ((header(), RSA_KID), (ec_header(), EC_KID)):
        found = verified(policy(), head=head, aud=["x", AUDIENCE])
        assert found == Claims(
            issuer=URL,
            subject="248289761001",
            audiences=("x", AUDIENCE),
            issued_s=NOW_S - 5,
            expires_s=NOW_S + 300,
            token_id="a1b2c3d4-e5f6-7890-abcd-ef0123456789",
            key_id=kid,
            members=claims(aud=["x", AUDIENCE]),
        )


def test_a_token_without_an_id_is_good() -> None:
    assert verified(policy(), jti=None).token_id == ""


def test_each_limit_of_time_holds_to_the_second() -> None:
    at_ends = [
        ({"exp": NOW_S - 29, "iat": NOW_S - 60}, None),
        ({"exp": NOW_S - 30, "iat": NOW_S - 60}, Fault.EXPIRED),
        ({"iat": NOW_S + 30}, None),
        ({"iat": NOW_S + 31}, Fault.NOT_YET),
        ({"nbf": NOW_S + 30}, None),
        ({"nbf": NOW_S + 31}, Fault.NOT_YET),
        ({"iat": NOW_S, "exp": NOW_S + 86400}, None),
        ({"iat": NOW_S, "exp": NOW_S + 86401}, Fault.LIFETIME),
        ({"iat": NOW_S, "exp": NOW_S}, Fault.LIFETIME),
        ({"iat": NOW_S, "exp": NOW_S + 1}, None),
    ]
    for changes, wrong in at_ends:
        if wrong is None:
            verified(policy(), **changes)
        else:
            assert fault(policy(), **changes) is wrong


def test_each_limit_of_size_holds_to_the_character() -> None:
    room = 512 - len(json.dumps(header(x5t="")))
    verified(policy(), head=header(x5t="x" * room))
    assert fault(policy(), head=header(x5t="x" * (room + 1))) is Fault.SIZE

    def padded(characters: int) -> str:
        # Three bytes are four characters, so one of these headers makes it come out even.
        for head in (header(x5t="x" * more) for more in range(1, 4)):
            rest = characters - len(ISSUER.token(claims(x=""), head))
            for filler in (rest * 3 // 4 + more for more in range(-2, 3)):
                token = ISSUER.token(claims(x="x" * filler), head)
                if len(token) == characters:
                    return token
        raise AssertionError

    assert verify(padded(8192), RING, policy(), now_s=NOW_S).issuer == URL
    with pytest.raises(Unauthenticated) as refused:
        verify(padded(8193), RING, policy(), now_s=NOW_S)
    assert refused.value.fault is Fault.SIZE


def test_a_subject_may_be_as_long_as_the_standard_says() -> None:
    assert verified(policy(), sub="a" * 255).subject == "a" * 255
    assert len(verified(policy(), aud=[AUDIENCE] * 64).audiences) == 64


def test_without_leeway_a_token_ends_when_it_says() -> None:
    exact = policy(leeway_s=0)
    verified(exact, now_s=NOW_S + 299)
    assert fault(exact, now_s=NOW_S + 300) is Fault.EXPIRED
    assert fault(exact, now_s=NOW_S - 6) is Fault.NOT_YET


def test_an_algorithm_that_the_issuer_may_not_use_is_refused_although_its_key_is_known() -> None:
    assert fault(policy(algorithms=frozenset({Algorithm.ES256}))) is Fault.ALGORITHM


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_a_type_is_the_same_in_any_case_and_as_a_media_type(typ: str) -> None:
    verified(policy(), head=header(typ=typ))


def test_a_provider_without_types_needs_a_policy_that_says_so() -> None:
    lenient = policy(types=frozenset({"jwt", ""}))
    verified(lenient, head=header(typ="JWT"))
    verified(lenient, head=header(typ=None))
    assert fault(lenient) is Fault.TYPE


def test_what_a_provider_adds_to_headers_is_passed_over_if_the_policy_names_it() -> None:
    head = header(**{"pi.atm": "a6g8"})
    assert fault(policy(), head=head) is Fault.HEADER
    verified(policy(further_header=frozenset({"pi.atm"})), head=head)


def test_a_policy_cannot_name_what_changes_the_meaning_of_a_token() -> None:
    for name in ("crit", "b64", "jku", "jwk", "x5u", "x5c", "zip", "enc"):
        with pytest.raises(AssertionError):
            policy(further_header=frozenset({name}))


def test_a_claim_that_the_policy_requires_must_be_there() -> None:
    strict = policy(required=frozenset({"jti", "herd"}))
    assert fault(strict) is Fault.CLAIM
    assert fault(strict, herd="flights", jti=None) is Fault.CLAIM
    verified(strict, herd="flights")


def test_of_an_issuer_that_serves_many_only_one_tenant_is_let_in() -> None:
    ours = policy(expected=(("tid", "airline"), ("email_verified", True)))
    verified(ours, tid="airline", email_verified=True)
    for wrong in ({}, {"tid": "other"}, {"tid": ["airline"]}, {"tid": "airline"}):
        assert fault(ours, **wrong) is Fault.CLAIM
    for value in (False, 1, "true"):
        assert fault(ours, tid="airline", email_verified=value) is Fault.CLAIM


def test_letters_of_all_languages_are_read_however_they_are_written() -> None:
    plain = '{"sub": "Zoë", "x": "\U0001d11e"}'.encode()
    escaped = rb'{"sub": "Zo\u00eb", "x": "\uD834\uDD1E"}'
    rest = claims(sub=None)
    for written in (plain, escaped):
        body = written[:-1] + b"," + json.dumps(rest).encode()[1:]
        found = verify(ISSUER.token(body, header()), RING, policy(), now_s=NOW_S)
        assert found.subject == "Zoë"
        assert found.members["x"] == "\U0001d11e"


def test_a_token_may_choose_its_issuer_and_nothing_else_before_it_is_checked() -> None:
    token = read(ISSUER.token(claims(), header()))
    assert token.issuer == URL
    assert check(token, RING, policy(), now_s=NOW_S).issuer == URL
    assert read(ISSUER.token(claims(iss=[URL]), header())).issuer == ""


def test_a_token_is_not_shown_where_what_was_read_is_printed() -> None:
    token = ISSUER.token(claims(), header())
    assert isinstance(read(token), UnverifiedToken)
    assert token not in repr(read(token))


def test_a_key_is_asked_for_only_by_a_token_that_is_right_in_all_else() -> None:
    head = header(kid="new")
    assert fault(policy(), head=head) is Fault.UNKNOWN_KEY
    assert fault(policy(), head=head, iss="https://evil.example") is Fault.ISSUER
    assert fault(policy(), head=head, exp=NOW_S - 100, iat=NOW_S - 200) is Fault.EXPIRED
    assert fault(policy(), head=head, aud="x") is Fault.AUDIENCE


def test_an_id_token_answers_one_login_of_one_client() -> None:
    assert verified(LOGIN, **id_token()).subject == "248289761001"
    verified(LOGIN, **id_token(azp=CLIENT))
    verified(LOGIN, **id_token(aud=[CLIENT, "other"], azp=CLIENT))
    verified(LOGIN, **id_token(head=header(typ="JWT")))


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"nonce": None}, Fault.NONCE),
        ({"nonce": "n-0S6_WzA2Mk"}, Fault.NONCE),
        ({"nonce": ["n-0S6_WzA2Mj"]}, Fault.NONCE),
        ({"aud": "other"}, Fault.AUDIENCE),
        ({"azp": "other"}, Fault.PARTY),
        ({"azp": [CLIENT]}, Fault.PARTY),
        ({"aud": [CLIENT, "other"]}, Fault.PARTY),
        ({"aud": [CLIENT, "other"], "azp": "other"}, Fault.PARTY),
        ({"head": header()}, Fault.TYPE),
        ({"head": header(typ="logout+jwt")}, Fault.TYPE),
        ({"iss": URL + "2"}, Fault.ISSUER),
        ({"exp": NOW_S - 30}, Fault.EXPIRED),
    ],
)
def test_an_id_token_for_anything_else_is_refused(changes: dict[str, Any], wrong: Fault) -> None:
    assert fault(LOGIN, **id_token(**changes)) is wrong


def test_an_id_token_may_be_asked_for_its_tenant_too() -> None:
    ours = id_tokens(
        issuer=URL,
        client_id=CLIENT,
        nonce="n-0S6_WzA2Mj",
        algorithms=ALGORITHMS,
        expected=(("hd", "airline.example"),),
    )
    verified(ours, **id_token(hd="airline.example"))
    assert fault(ours, **id_token()) is Fault.CLAIM


def test_an_azp_that_is_null_names_nobody() -> None:

    members = claims(aud=CLIENT, nonce="n-0S6_WzA2Mj")
    body = json.dumps({**members, "azp": None}).encode()
    with pytest.raises(Unauthenticated) as refused:
        verify(ISSUER.token(body, header(typ=None)), RING, LOGIN, now_s=NOW_S)
    assert refused.value.fault is Fault.PARTY


def test_an_id_token_is_no_access_token_and_the_other_way_round() -> None:
    both = {"aud": [AUDIENCE, CLIENT], "azp": CLIENT, "nonce": "n-0S6_WzA2Mj"}
    assert fault(policy(), head=header(typ=None), **both) is Fault.TYPE
    assert fault(LOGIN, head=header(), **both) is Fault.TYPE
