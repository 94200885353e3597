"""The index of access: who may do what, and which binding says so."""

from __future__ import annotations

import msgspec
import pytest
from access_people import (
    ANN,
    BOB,
    NIGHTLY,
    NODE,
    NOW_MS,
    OWNER,
    SLICE,
    allow,
    bound,
    deny,
    index,
    role,
)
from msgspec.structs import replace as changed
from runink.identity.access import EXPLAINED_MAX, HOLDERS_MAX, AccessIndex
from runink.identity.decisions import Explanation, Ground, Held
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import Effect, Rule
from runink.identity.vocabulary import CLUSTER, EVERYTHING, Resource, Verb


def may(at: AccessIndex, who: Principal, verb: str, resource: str, herd: str = "sales", name: str = "", now_ms: int = NOW_MS) -> bool:  # fmt: skip # noqa: PLR0917 - a question, as people ask it
    allowed = at.allows(who, verb, resource, herd, name, now_ms=now_ms)
    assert at.decide(who, verb, resource, herd, name, now_ms=now_ms).allowed == allowed
    return allowed


def test_nothing_is_allowed_that_no_binding_allows() -> None:
    decision = index().decide(ANN, "get", "runs", "sales", now_ms=NOW_MS)
    assert not decision.allowed
    assert decision.ground is Ground.NOT_GRANTED
    assert decision.reason == "no binding there allows get of runs"


def test_a_decision_names_the_binding_the_role_and_the_rule() -> None:
    at = index(bound("readers", "viewer", "group:corp:team"))
    decision = at.decide(ANN, "get", "runs", "sales", "R1", now_ms=NOW_MS)
    assert (decision.allowed, decision.ground) == (True, Ground.ALLOWED)
    assert (decision.herd, decision.binding) == ("sales", "readers")
    assert (decision.role, decision.rule) == ("viewer", 0)
    assert decision.reason == "rule 1 of role viewer allows it, by binding readers of herd sales"
    assert not may(at, BOB, "get", "runs")
    assert not may(at, ANN, "get", "runs", "others")


def test_a_group_of_another_issuer_is_another_group() -> None:
    at = index(bound("readers", "viewer", "group:corp:team"))
    assert not may(at, changed(ANN, groups=("partner:team",)), "get", "runs")


def test_a_denial_wins_whichever_binding_it_comes_from() -> None:
    at = index(
        role("ban", deny("delete", "runs"), herd=CLUSTER),
        bound("all", "admin", ANN),
        bound("ban", "cluster/ban", "group:corp:team", herd=EVERYTHING),
    )
    decision = at.decide(ANN, "delete", "runs", "sales", "R1", now_ms=NOW_MS)
    assert decision.ground is Ground.DENIED
    assert decision.reason == "rule 1 of role cluster/ban denies it, by binding ban of all herds"
    assert may(at, ANN, "cancel", "runs")


def test_a_denial_of_some_names_leaves_the_others() -> None:
    at = index(
        role("editor", allow("update", "pipelines"), deny("*", "pipelines", "prod-*")),
        bound("edit", "editor", ANN),
    )
    assert may(at, ANN, "update", "pipelines", name="test-1")
    assert not may(at, ANN, "update", "pipelines", name="prod-1")


def test_a_rule_with_names_says_nothing_of_all_but_gives_a_list_of_some() -> None:
    at = index(role("own", allow("get list", "pipelines", "eu-*")), bound("own", "own", ANN))
    assert not may(at, ANN, "list", "pipelines")
    assert may(at, ANN, "list", "pipelines", name="eu-sales")
    assert at.allows_some(ANN, "list", "pipelines", "sales", now_ms=NOW_MS)
    assert not at.allows_some(ANN, "delete", "pipelines", "sales", now_ms=NOW_MS)


def test_a_list_of_names_that_are_all_denied_is_none() -> None:
    at = index(
        role("own", allow("list", "pipelines", "eu-*"), deny("list", "pipelines", "eu-*")),
        bound("own", "own", ANN),
    )
    assert not at.allows_some(ANN, "list", "pipelines", "sales", now_ms=NOW_MS)


def test_what_is_of_the_cluster_needs_a_binding_for_all_herds() -> None:
    keeper = role("keeper", allow("*", "*"), herd=CLUSTER)
    at = index(keeper, bound("here", "cluster/keeper", ANN))
    assert not may(at, ANN, "update", "nodes", CLUSTER, "w1")
    assert not may(at, ANN, "create", "herds", "sales", "sales")
    assert not may(at, ANN, "create", "roles", CLUSTER)
    at = index(keeper, bound("all", "cluster/keeper", ANN, herd=EVERYTHING))
    assert may(at, ANN, "update", "nodes", CLUSTER, "w1")
    assert may(at, ANN, "create", "herds", CLUSTER, "sales")
    assert may(at, ANN, "create", "roles", CLUSTER)
    assert may(at, ANN, "delete", "runs", "any-herd-there-is")


def test_a_binding_holds_until_it_expires_and_not_at_that_time() -> None:
    at = index(bound("guest", "viewer", ANN, until_ms=2_000))
    assert [may(at, ANN, "get", "runs", now_ms=now) for now in (0, 1_999, 2_000, 9_000)] == [
        True,
        True,
        False,
        False,
    ]
    assert may(at, ANN, "get", "runs", now_ms=1_000)  # a clock that was put back


def test_a_denial_can_be_for_a_time() -> None:
    at = index(
        role("ban", deny("*", "*")),
        bound("in", "viewer", ANN),
        bound("out", "ban", ANN, until_ms=2_000),
    )
    assert [may(at, ANN, "get", "runs", now_ms=now) for now in (1_999, 2_000)] == [False, True]


def test_who_proved_it_by_a_token_may_nothing_when_that_has_ended() -> None:
    at = index(bound("in", "viewer", ANN))
    ending = changed(ANN, until_s=2)
    assert may(at, ending, "get", "runs", now_ms=1_999)
    assert not may(at, ending, "get", "runs", now_ms=2_000)
    assert at.decide(ending, "get", "runs", "sales", now_ms=2_000).ground is Ground.ENDED
    assert at.herds_visible(ending, ["sales"], now_ms=2_000) == ()
    assert not at.allows_some(ending, "get", "runs", "sales", now_ms=2_000)


def test_a_binding_of_a_role_that_is_not_there_gives_nothing() -> None:
    at = index(bound("gone", "analyst", ANN))
    assert not may(at, ANN, "get", "runs")


def test_a_role_of_a_herd_is_no_role_of_another_and_shadows_none_that_is_built_in() -> None:
    viewer = role("viewer", allow("*", "*"))
    at = index(
        viewer,
        role("mine", allow("*", "*"), herd="others"),
        bound("one", "viewer", ANN),
        bound("two", "mine", ANN),
    )
    assert not may(at, ANN, "delete", "runs")


def test_a_service_account_does_not_leave_its_herd_because_it_is_bound_in_another() -> None:
    at = index(
        bound("home", "author", NIGHTLY),
        bound("guests", "viewer", NIGHTLY, herd="stock"),
        bound("all", "viewer", NIGHTLY, herd=EVERYTHING),
    )
    assert may(at, NIGHTLY, "run", "pipelines")
    decision = at.decide(NIGHTLY, "get", "runs", "stock", now_ms=NOW_MS)
    assert decision.ground is Ground.NOT_LET_OUT
    assert decision.reason == (
        "herd stock allows it, but service-account:sales/nightly belongs to herd sales, which does not let it out: "
        "no binding there allows cross of herds"
    )
    assert not may(at, NIGHTLY, "get", "runs", "elsewhere")


def test_a_service_account_acts_in_another_herd_that_lets_it_in_if_its_own_lets_it_out() -> None:
    out = role("out", allow("cross", "herds", "stock"))
    at = index(out, bound("out", "out", NIGHTLY), bound("in", "viewer", NIGHTLY, herd="stock"))
    assert may(at, NIGHTLY, "get", "runs", "stock")
    assert not may(at, NIGHTLY, "delete", "runs", "stock")
    assert not may(at, NIGHTLY, "get", "runs", "another")
    assert at.herds_visible(NIGHTLY, ["sales", "stock", "x"], now_ms=NOW_MS) == ("sales", "stock")
    assert not may(index(out, bound("out", "out", NIGHTLY)), NIGHTLY, "get", "runs", "stock")


def test_what_is_of_the_cluster_is_never_open_to_who_belongs_to_a_herd() -> None:
    at = index(bound("root", "cluster-admin", NIGHTLY, herd=EVERYTHING))
    decision = at.decide(NIGHTLY, "get", "nodes", CLUSTER, "w1", now_ms=NOW_MS)
    assert decision.ground is Ground.OF_THE_CLUSTER
    assert not may(at, NIGHTLY, "get", "nodes", "sales", "w1")
    assert not may(at, NIGHTLY, "create", "herds", "sales", "x")
    assert not may(at, NIGHTLY, "get", "roles", CLUSTER)


def test_a_service_account_that_says_it_belongs_elsewhere_than_its_name_has_nothing() -> None:
    at = index(bound("home", "admin", NIGHTLY), bound("in", "admin", NIGHTLY, herd="stock"))
    for herd in ("stock", ""):
        assert not may(at, changed(NIGHTLY, herd=herd), "get", "runs", "stock")
        assert not may(at, changed(NIGHTLY, herd=herd), "get", "runs", "sales")


def test_groups_count_for_people_only() -> None:
    at = index(bound("team", "admin", "group:corp:team"))
    assert not may(at, changed(NIGHTLY, groups=("corp:team",)), "get", "runs")


def test_an_operator_may_everything_whatever_is_bound() -> None:
    at = index(role("ban", deny("*", "*")), bound("ban", "ban", "operator:root"))
    for herd in ("sales", CLUSTER):
        assert all(may(at, OWNER, verb, kind, herd, "x") for verb in Verb for kind in Resource)
    decision = at.decide(OWNER, "get", "barn", CLUSTER, now_ms=NOW_MS)
    assert decision.reason == "rule 1 of role operator allows it, by what every operator has"
    assert at.clearances(OWNER, "sales", now_ms=NOW_MS).shows("pii:email")


def test_a_node_sees_its_own_entry_and_nothing_else() -> None:
    at = index(bound("n", "cluster-admin", "node:w1", herd=EVERYTHING))
    can = [(v, r, name) for v in Verb for r in Resource for name in ("", "w1", "w2") if may(at, NODE, v, r, CLUSTER, name)]  # fmt: skip
    assert can == [("get", "nodes", "w1"), ("watch", "nodes", "w1")]
    assert at.herds_visible(NODE, ["sales"], now_ms=NOW_MS) == ()


def test_a_slice_sees_its_run_and_itself_and_nothing_else() -> None:
    at = index(bound("s", "admin", SLICE.subject), bound("t", "admin", SLICE.subject, herd="stock"))
    names = ("", "RUN1", "RUN2", "RUN1/bronze", "RUN1/silver")
    for herd in ("sales", "stock", CLUSTER):
        can = [(v, r, name) for v in Verb for r in Resource for name in names if may(at, SLICE, v, r, herd, name)]  # fmt: skip
        own = [("get", "runs", "RUN1"), ("get", "slices", "RUN1/bronze")]
        assert can == (own if herd == "sales" else [])


@pytest.mark.parametrize("name", ["sales/*/b/1", "sales/R?/b/1", "sales/R/b", "stock/R/b/1", "sales/R/*/1"])  # fmt: skip
def test_a_slice_or_node_with_a_name_that_none_has_sees_nothing(name: str) -> None:
    strange = changed(SLICE, name=name)
    assert not may(index(), strange, "get", "runs", name="R")
    assert not may(index(), changed(NODE, name="*"), "get", "nodes", CLUSTER, "w1")


def test_herds_are_visible_where_somebody_may_do_anything_at_all() -> None:
    at = index(
        role("ban", deny("*", "*"), herd="shut"),
        role("eyes", Rule(fields=("*",)), herd="sight"),
        role("keeper", allow("*", "nodes"), herd=CLUSTER),
        bound("in", "viewer", ANN),
        bound("out", "ban", ANN, herd="shut"),
        bound("in", "viewer", ANN, herd="shut"),
        bound("see", "eyes", ANN, herd="sight"),
        bound("all", "cluster/keeper", BOB, herd=EVERYTHING),
        bound("all2", "viewer", "user:corp:eve", herd=EVERYTHING),
    )
    herds = ["sales", "shut", "sight", "other"]
    assert at.herds_visible(ANN, herds, now_ms=NOW_MS) == ("sales",)
    assert at.herds_visible(BOB, herds, now_ms=NOW_MS) == ()
    eve = Principal(PrincipalKind.USER, "corp:eve")
    assert at.herds_visible(eve, herds, now_ms=NOW_MS) == tuple(herds)


def test_marks_of_fields_are_seen_that_a_role_clears_and_none_denies() -> None:
    at = index(
        role("finance", Rule(fields=("access:finance", "pii:*"))),
        role("no-mail", Rule(fields=("pii:email",), effect=Effect.DENY)),
        bound("f", "finance", ANN),
        bound("m", "no-mail", "group:corp:team"),
    )
    seen = at.clearances(ANN, "sales", now_ms=NOW_MS)
    assert [seen.shows(one) for one in ("pii:name", "pii:email", "access:finance", "access:hr")] == [True, False, True, False]  # fmt: skip
    assert seen.shows_field(pii="name", access=("hr", "finance"))
    assert not seen.shows_field(pii="name", access=("hr",))
    assert not seen.shows_field(pii="email", access=("finance",))
    assert seen.shows_field()
    assert not at.clearances(ANN, "stock", now_ms=NOW_MS).shows("pii:name")


def test_an_explanation_lists_all_that_speaks_of_it_in_the_order_in_which_it_is_asked() -> None:
    at = index(
        role("ban", deny("get", "runs", "R*")),
        bound("b", "viewer", "group:corp:team", herd=EVERYTHING),
        bound("a", "viewer", ANN),
        bound("old", "admin", ANN, until_ms=500),
        bound("no", "ban", ANN, until_ms=5_000),
        bound("other", "viewer", ANN, herd="stock"),
    )
    told = at.explain(ANN, "get", "runs", "sales", "R1", now_ms=NOW_MS)
    assert told.denying == (Held(ANN.subject, "no", "sales", "ban", 0, Effect.DENY, 5_000),)
    assert [(one.binding, one.subject) for one in told.allowing] == [
        ("a", ANN.subject),
        ("b", "group:corp:team"),
    ]
    assert [one.binding for one in told.ended] == ["old"]
    assert (told.decision.binding, told.revision, told.at_ms) == ("no", 7, NOW_MS)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(told), type=Explanation) == told


def test_an_explanation_says_what_lets_out_of_a_herd() -> None:
    at = index(
        role("out", allow("cross", "herds", "st*"), deny("cross", "herds", "stock")),
        bound("out", "out", NIGHTLY),
        bound("in", "viewer", NIGHTLY, herd="stock"),
    )
    told = at.explain(NIGHTLY, "get", "runs", "stock", now_ms=NOW_MS)
    assert told.decision.ground is Ground.NOT_LET_OUT
    assert [(one.rule, one.effect.value) for one in told.letting_out] == [(1, "deny"), (0, "allow")]
    assert told.decision.rule == 1
    assert at.explain(NIGHTLY, "get", "runs", "sales", now_ms=NOW_MS).letting_out == ()


def test_an_explanation_has_an_end() -> None:
    many = [bound(f"b{number}", "viewer", ANN) for number in range(EXPLAINED_MAX + 5)]
    told = index(*many).explain(ANN, "get", "runs", "sales", now_ms=NOW_MS)
    assert (len(told.allowing), told.left_off) == (EXPLAINED_MAX, 5)


def test_a_person_that_one_binding_names_twice_has_it_once() -> None:
    at = index(bound("both", "viewer", ANN, "group:corp:team"))
    told = at.explain(ANN, "get", "runs", "sales", now_ms=NOW_MS)
    assert [one.subject for one in told.allowing] == [ANN.subject]


def test_who_can_tells_people_and_groups_and_who_is_denied() -> None:
    at = index(
        role("ban", deny("delete", "runs")),
        bound("team", "admin", "group:corp:team", until_ms=9_000),
        bound("prog", "admin", "service-account:stock/x", NIGHTLY),
        bound("out", "ban", BOB),
        bound("see", "viewer", "user:corp:eve"),
    )
    found = at.who_can("delete", "runs", "sales", now_ms=NOW_MS)
    assert [(one.subject, one.binding, one.expires_ms) for one in found.allowed] == [
        ("group:corp:team", "team", 9_000),
        (NIGHTLY.subject, "prog", 0),
    ]
    assert [one.subject for one in found.denied] == [BOB.subject]


def test_what_is_remembered_of_principals_has_an_end() -> None:
    at = index(bound("in", "viewer", ANN))
    for number in range(HOLDERS_MAX + 10):
        assert not may(at, Principal(PrincipalKind.USER, f"corp:{number}"), "get", "runs")
    assert len(at._holders) == HOLDERS_MAX
    assert may(at, ANN, "get", "runs")


def test_herds_and_words_that_there_are_none_of_are_not_remembered() -> None:
    at = index(bound("in", "viewer", ANN, herd=EVERYTHING))
    for number in range(100):
        assert may(at, ANN, "get", "runs", f"herd{number}", f"R{number}")
        assert not may(at, ANN, f"verb{number}", f"thing{number}")
    (holder,) = at._holders.values()
    assert len(holder.elsewhere) == 1
    assert {herd: len(table) for herd, table in holder.tables.items()} == {CLUSTER: 0}
