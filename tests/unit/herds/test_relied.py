"""What a compiled pipeline relies on of its herd has to be so when it runs: clearances, views of roles, masks."""

from __future__ import annotations

from typing import Any

import pytest
from runink.clearances import ClearancePolicy, HerdMask, SinkClearance
from runink.contracts.hidden import Clearance
from runink.dag import Format, Sink
from runink.errors import Refused
from runink.herds.relied import check_relied
from runink.identity.roles import Effect, Role, Rule
from runink.names import HerdName, RoleName

HERD = HerdName("people")
MAIL = HerdMask("Staff", "email", "truncate(3)")


def sink(role: str = "", **relied: Any) -> Sink:
    return Sink("s.out", "s", "csv://a", Format.CSV, "a", clearance=Clearance(**relied), role=role)


def refused(node: Sink, policy: ClearancePolicy, roles: tuple[Role, ...] | None = None) -> str:
    with pytest.raises(Refused) as caught:
        check_relied(HERD, [node], policy, roles)
    assert caught.value.code == "not_cleared"
    assert "compile it again" in caught.value.hint
    return str(caught.value)


def test_a_clearance_that_is_gone_is_relied_on_no_more() -> None:
    node = sink(cleared=("email",))
    check_relied(HERD, [node], ClearancePolicy(sinks=(SinkClearance("csv://a", ("email",)),)))
    for policy in (
        ClearancePolicy(),
        ClearancePolicy(sinks=(SinkClearance("csv://a", ("name",)),)),
    ):
        assert "csv://a is not cleared for email any more" in refused(node, policy)


def showing(*rules: Rule) -> tuple[Role, ...]:
    return (Role(RoleName("finance"), HERD, rules),)


def test_a_role_that_shows_less_by_now_is_written_for_no_more() -> None:
    node = sink("finance", marks=("access:finance", "pii:pay"))
    policy, shown = ClearancePolicy(), Rule(fields=("access:*", "pii:pay"))
    check_relied(HERD, [node], policy, showing(shown))
    check_relied(HERD, [node], policy, None)  # a project's own herd
    denied = Rule(fields=("pii:pay",), effect=Effect.DENY)
    for roles, hidden in (
        (showing(shown, denied), "pii:pay"),
        (showing(), "access:finance, pii:pay"),
        ((), "access:finance, pii:pay"),
    ):
        text = refused(node, policy, roles)
        assert "role finance, for which csv://a is, does not see" in text
        assert f"does not see {hidden} any more" in text


def test_a_mask_that_the_herd_has_changed_is_relied_on_no_more() -> None:
    node = sink(by_herd=(MAIL,))
    for policy in (
        ClearancePolicy("truncate(3)"),
        ClearancePolicy("redact", {"email": "truncate(3)"}),
        ClearancePolicy("redact", {"Staff.email": "truncate(3)", "email": "hash"}),
    ):
        check_relied(HERD, [node], policy)
    for policy in (
        ClearancePolicy(),
        ClearancePolicy("redact"),
        ClearancePolicy("truncate(3)", {"Staff.email": "hash"}),
    ):
        text = refused(node, policy)
        assert "does not mask Staff.email by truncate(3), as csv://a would, any more" in text


def test_what_hides_all_may_stay_whatever_the_herd_says_by_now() -> None:
    check_relied(HERD, [sink(by_herd=(HerdMask("Staff", "email", "redact"),))], ClearancePolicy())
