"""From the claims of a verified token to who it speaks for."""

from __future__ import annotations

from typing import Any

import pytest
from runink.errors import Invalid
from runink.identity.denials import Fault, Unauthenticated
from runink.identity.principal_mapping import (
    GROUPS_MAX,
    ClaimMapping,
    claim_path,
    service_account_principal,
    slice_principal,
    user_of,
)
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.tokens import Claims

UNTIL_S = 1_800_000_300
SSO = ClaimMapping(issuer_id="sso")


def claims(subject: str = "u-1", **members: Any) -> Claims:
    return Claims(
        "https://x",
        subject,
        ("a",),
        UNTIL_S - 300,
        UNTIL_S,
        "t1",
        "k1",
        {"sub": subject, **members},
    )


def groups(found: Any, mapping: ClaimMapping = SSO) -> tuple[str, ...]:
    return user_of(claims(groups=found), mapping).groups


def test_a_user_is_named_by_the_issuers_id_and_its_subject() -> None:
    found = user_of(claims(email="ada@example.org", groups=["b", "a", "b"]), SSO)
    assert found == Principal(
        kind=PrincipalKind.USER,
        name="sso:u-1",
        groups=("sso:a", "sso:b"),
        token="t1",
        until_s=UNTIL_S,
        issued_s=UNTIL_S - 300,
        key="k1",
        display="ada@example.org",
    )
    assert found.herd == ""


def test_groups_may_be_a_list_or_a_text_with_spaces_or_missing() -> None:
    assert groups(["/crew/pilots", "of two words"]) == ("sso:/crew/pilots", "sso:of two words")
    assert groups("pilots  crew") == ("sso:crew", "sso:pilots")
    assert groups("") == groups([]) == groups(None) == ()
    assert user_of(claims(), SSO).groups == ()


def test_groups_are_found_where_the_provider_has_them() -> None:
    keycloak = ClaimMapping(issuer_id="kc", groups=claim_path("realm_access.roles"))
    found = user_of(claims(realm_access={"roles": ["admin"]}, groups=["other"]), keycloak)
    assert found.groups == ("kc:admin",)
    assert user_of(claims(realm_access="x"), keycloak).groups == ()
    auth0 = ClaimMapping(issuer_id="a0", groups=claim_path("https://example.org/groups"))
    assert user_of(claims(**{"https://example.org/groups": ["x"]}), auth0).groups == ("a0:x",)
    none = ClaimMapping(issuer_id="sso", groups=())
    assert user_of(claims(groups=["x"]), none).groups == ()


@pytest.mark.parametrize(
    "found",
    [
        7,
        True,
        {"a": 1},
        ["a", 7],
        ["a", None],
        ["a", ""],
        ["a", "b\nc"],
        ["a" * 256],
        [f"g{at}" for at in range(GROUPS_MAX + 1)],
        " ".join(f"g{at}" for at in range(GROUPS_MAX + 1)),
    ],
)
def test_groups_that_are_wrong_are_refused_whole(found: Any) -> None:
    with pytest.raises(Unauthenticated) as refused:
        groups(found)
    assert refused.value.fault is Fault.GROUPS


def test_groups_that_the_provider_keeps_elsewhere_are_not_taken_for_none() -> None:
    with pytest.raises(Unauthenticated) as refused:
        user_of(claims(_claim_names={"groups": "src1"}), SSO)
    assert refused.value.fault is Fault.GROUPS
    assert user_of(claims(_claim_names={"address": "src1"}), SSO).groups == ()


def test_as_many_groups_as_are_allowed_are_taken() -> None:
    assert len(groups([f"g{at}" for at in range(GROUPS_MAX)])) == GROUPS_MAX


def test_a_name_may_be_another_claim() -> None:
    by_mail = ClaimMapping(issuer_id="sso", name=("email",))
    assert user_of(claims(email="ada@example.org"), by_mail).name == "sso:ada@example.org"
    for wrong in ({}, {"email": 7}, {"email": ""}, {"email": "a\nb"}):
        with pytest.raises(Unauthenticated) as refused:
            user_of(claims(**wrong), by_mail)
        assert refused.value.fault is Fault.SUBJECT


def test_the_first_claim_that_can_be_shown_is_shown() -> None:
    assert user_of(claims(email="a\u202eb", preferred_username="ada"), SSO).display == "ada"
    assert user_of(claims(email=7, name="Ada " * 50), SSO).display == ("Ada " * 25)
    assert user_of(claims(), SSO).display == ""


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("groups", ("groups",)),
        ("resource_access.runi.roles", ("resource_access", "runi", "roles")),
        ("https://example.org/a.b", ("https://example.org/a.b",)),
        ("a.b.c.d.e.f.g.h", tuple("abcdefgh")),
        ("a" * 255, ("a" * 255,)),
    ],
)
def test_a_path_is_written_with_dots_or_is_a_uri(text: str, path: tuple[str, ...]) -> None:
    assert claim_path(text) == path


@pytest.mark.parametrize("text", ["", ".", "a..b", "a.", "a.b.c.d.e.f.g.h.i", "a" * 256])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        claim_path(text)
    assert refused.value.code == "invalid_claim_path"


@pytest.mark.parametrize("issuer_id", ["", "a:b", "SSO", "a" * 64])
def test_an_issuers_id_holds_nothing_that_divides_names(issuer_id: str) -> None:
    with pytest.raises(AssertionError):
        ClaimMapping(issuer_id=issuer_id)


OWN = {"iss": "https://x", "aud": "a", "iat": UNTIL_S - 300, "exp": UNTIL_S, "jti": "t1"}


def test_a_service_account_belongs_to_its_herd() -> None:
    found = claims("flights/loader", **OWN, herd="flights", account="loader")
    assert service_account_principal(found) == Principal(
        kind=PrincipalKind.SERVICE_ACCOUNT,
        name="flights/loader",
        herd="flights",
        token="t1",
        until_s=UNTIL_S,
        issued_s=UNTIL_S - 300,
        key="k1",
    )


def test_a_slice_is_one_attempt_of_a_run_of_its_herd() -> None:
    members = {**OWN, "herd": "flights", "run": "r1", "slice": "a.b", "attempt": 2, "node": "n1"}
    assert slice_principal(claims("flights/r1/a.b/2", **members)) == Principal(
        kind=PrincipalKind.SLICE,
        name="flights/r1/a.b/2",
        herd="flights",
        token="t1",
        until_s=UNTIL_S,
        issued_s=UNTIL_S - 300,
        key="k1",
    )


def test_a_claim_of_another_herd_in_the_subject_is_refused() -> None:
    with pytest.raises(Unauthenticated):
        service_account_principal(claims("cargo/loader", **OWN, herd="flights", account="loader"))


def test_no_provider_can_name_a_principal_of_the_cluster() -> None:
    forged = claims("flights/loader", herd="flights", account="loader")
    assert user_of(forged, SSO).subject == "user:sso:flights/loader"
    assert user_of(forged, SSO).herd == ""
