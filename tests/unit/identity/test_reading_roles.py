"""Roles and bindings as they are written: what is read, and that every mistake is told, with a way out of it."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime

import pytest
from runink.identity.reading import Mistake, read_bindings, read_roles
from runink.identity.roles import (
    BINDINGS_MAX,
    NAMES_MAX,
    NEVER,
    RULES_MAX,
    SUBJECTS_MAX,
    Effect,
    Role,
    RoleOf,
    Rule,
)

RULE = {"verbs": ["get"], "resources": ["runs"]}
ANN = "user:corp:ann"


def roles(text: str, herd: str = "sales") -> tuple[Role, ...]:
    found, mistakes = read_roles(tomllib.loads(text).get("roles", []), herd=herd)
    assert not mistakes
    return found


def wrong_role(herd: str = "sales", **table: object) -> Mistake:
    """Return the one mistake of a role that is otherwise right."""
    found, mistakes = read_roles([{"name": "analyst", **RULE, **table}], herd=herd)
    assert not found
    assert len(mistakes) == 1, mistakes
    return mistakes[0]


def wrong_binding(herd: str = "sales", **table: object) -> Mistake:
    whole = {"name": "team", "role": "viewer", "subjects": [ANN], **table}
    found, mistakes = read_bindings([whole], herd=herd, roles=["analyst"])
    assert not found
    assert len(mistakes) == 1, mistakes
    return mistakes[0]


def test_a_role_of_one_rule_is_written_without_a_table_for_it() -> None:
    (role,) = roles(
        '[[roles]]\nname = "analyst"\nverbs = ["get", "list"]\nresources = ["runs", "lineage"]'
    )
    assert role == Role("analyst", "sales", (Rule(("get", "list"), ("runs", "lineage")),))


def test_further_rules_stand_behind_the_first() -> None:
    (role,) = roles("""
        [[roles]]
        name = "analyst"
        description = "reads"
        verbs = ["*"]
        resources = ["runs"]
        [[roles.rules]]
        effect = "deny"
        verbs = ["delete"]
        resources = ["runs"]
        names = ["prod-*"]
        [[roles.rules]]
        fields = ["pii:email", "access:finance", "*"]
    """)
    assert role.description == "reads"
    assert role.rules == (
        Rule(("*",), ("runs",)),
        Rule(("delete",), ("runs",), ("prod-*",), Effect.DENY),
        Rule(fields=("pii:email", "access:finance", "*")),
    )


def test_a_pattern_for_all_names_is_as_good_as_none() -> None:
    found, _ = read_roles([{"name": "r", **RULE, "names": ["x", "*"]}], herd="sales")
    assert found[0].rules[0].names == ()


def test_who_made_a_binding_is_said_by_who_reads_it_and_never_by_the_text() -> None:
    text = {"name": "team", "role": "analyst", "subjects": [ANN, ANN]}
    found, mistakes = read_bindings(
        [text], herd="sales", roles=["analyst"], made_by="user:corp:boss", made_ms=5
    )
    assert not mistakes
    (one,) = found
    assert (one.herd, one.role, one.role_of) == ("sales", "analyst", RoleOf.HERD)
    assert (one.subjects, one.expires_ms) == ((ANN,), NEVER)
    assert (one.made_by, one.made_ms) == ("user:corp:boss", 5)
    assert wrong_binding(made_by=ANN).text == "binding team: there is no made_by here"


@pytest.mark.parametrize(
    ("role", "role_of", "herd"),
    [
        ("viewer", RoleOf.BUILT_IN, "sales"),
        ("analyst", RoleOf.HERD, "sales"),
        ("cluster/auditor", RoleOf.CLUSTER, "sales"),
        ("cluster-admin", RoleOf.BUILT_IN, "*"),
    ],
)
def test_a_binding_says_whose_role_it_means(role: str, role_of: RoleOf, herd: str) -> None:
    text = {"name": "team", "role": role, "subjects": [ANN]}
    (one,), mistakes = read_bindings([text], herd=herd, roles=["analyst"])
    assert not mistakes
    assert (one.role_of, one.role_text) == (role_of, role)


@pytest.mark.parametrize(
    "said",
    [
        datetime(2027, 1, 31, 19, tzinfo=UTC),
        "2027-01-31T19:00:00Z",
        "2027-01-31T20:00:00+01:00",
    ],
)
def test_an_end_is_a_time_with_its_offset(said: object) -> None:
    text = {"name": "team", "role": "viewer", "subjects": [ANN], "expires": said}
    (one,), _ = read_bindings([text], herd="sales", roles=[])
    assert one.expires_ms == 1_801_422_000_000


@pytest.mark.parametrize(
    "said",
    [datetime(2027, 1, 31, 19), "2027-01-31", "noon", 5, True, "1960-01-01T00:00:00Z"],  # noqa: DTZ001 - a time without an offset is what is refused
)
def test_an_end_that_is_no_moment_is_a_mistake(said: object) -> None:
    mistake = wrong_binding(expires=said)
    assert mistake.text == "binding team: expires is a time of a day, with its offset"
    assert "2027-01-31T18:00:00Z" in mistake.hint


@pytest.mark.parametrize("said", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_times_at_the_ends_of_the_calendar_are_read_or_refused(said: str) -> None:
    text = {"name": "team", "role": "viewer", "subjects": [ANN], "expires": said}
    found, mistakes = read_bindings([text], herd="sales", roles=[])
    assert len(found) + len(mistakes) == 1


@pytest.mark.parametrize(
    ("table", "text", "hint"),
    [
        ({"verbs": ["gte"]}, "there is no verb gte", "did you mean get?"),
        ({"resources": ["pipeline"]}, "there is no resource pipeline", "did you mean pipelines?"),
        ({"verb": ["get"]}, "there is no verb here", "did you mean verbs?"),
        ({"effect": "denied"}, "there is no effect denied", "did you mean deny?"),
        ({"effect": 5}, "there is no effect 5", "there are allow, deny"),
        ({"verbs": "get"}, "verbs is a list of texts", 'as in verbs = ["…"]'),
        ({"verbs": []}, "a rule with resources has verbs, too", 'as in verbs = ["*"]'),
        ({"resources": []}, "a rule with verbs has resources, too", 'as in resources = ["*"]'),
        ({"names": ["a b"]}, "'a b' has characters that no name has", ""),
        ({"names": [""]}, "a pattern of names is 1 to 128 characters", ""),
        ({"names": ["*a*b*c*d*e"]}, "more than 4 stars", ""),
        ({"names": ["x"], "fields": ["*"]}, "a rule with fields has no names", "a rule of its own"),
        ({"fields": ["email"]}, "email marks no fields", "did you mean pii:email or access:email?"),
        ({"fields": ["pii:e*"]}, "after the colon stands one word", ""),
        ({"fields": ["tags:x"]}, "tags:x marks no fields", ""),
        ({"verbs": ["cross"]}, "cross is a verb of herds", 'resources = ["herds"]'),
        ({"resources": ["nodes"]}, "nodes belong to the cluster", "a role of the cluster"),
        ({"rules": "x"}, "rules is a list of tables", "write [[roles.rules]]"),
        ({"rules": [{"names": ["x"]}]}, "a rule has verbs and resources, or fields", ""),
        ({"description": 5}, "description is a text of 1,000 characters at most", ""),
        ({"rules": [RULE] * RULES_MAX}, "65 rules: a role has 64 at most", ""),
        ({"names": ["x"] * (NAMES_MAX + 1)}, "65 names: there are 64 at most", ""),
        ({"name": "Analyst"}, "'Analyst' is not a name of a role", "lower-case letters"),
        ({"name": 5}, "it has no name", 'name = "…"'),
        ({"name": "viewer"}, "viewer is a built-in role, which cannot be changed", "my-viewer"),
    ],
)
def test_what_is_wrong_with_a_role_is_told(table: dict[str, object], text: str, hint: str) -> None:
    mistake = wrong_role(**table)
    assert text in mistake.text
    assert hint in mistake.hint


def test_a_role_of_the_cluster_may_speak_of_what_is_the_clusters() -> None:
    table = {"name": "keeper", "verbs": ["update"], "resources": ["nodes"]}
    found, mistakes = read_roles([table], herd="")
    assert found[0].herd == ""
    assert not mistakes


def test_a_role_without_rules_is_a_mistake() -> None:
    _, mistakes = read_roles([{"name": "idle"}], herd="sales")
    assert mistakes == (
        Mistake("role idle: it has no rules", "idle", "write its verbs and resources"),
    )


def test_patterns_of_names_are_counted_over_all_rules_of_a_role() -> None:
    many = [{**RULE, "names": [f"n{one}-{number}" for number in range(33)]} for one in range(2)]
    _, mistakes = read_roles([{"name": "r", "rules": many}], herd="sales")
    assert [one.text for one in mistakes] == ["role r: a role names 64 patterns of names at most"]


@pytest.mark.parametrize(
    ("table", "text", "hint"),
    [
        ({"role": "analist"}, "there is no role analist", "did you mean analyst?"),
        ({"role": 5}, "it names no role", 'role = "viewer"'),
        ({"role": "cluster/A"}, "'A' is not a name of a role", "lower-case"),
        ({"role": "cluster-admin"}, "cluster-admin is not bound in one herd", "held by admin"),
        ({"subjects": []}, "it names no subjects", "user:ISSUER:SUBJECT"),
        ({"subjects": ANN}, "subjects is a list of texts", ""),
        ({"subjects": ["grup:corp:x"]}, "grup:corp:x is no subject", "did you mean group?"),
        ({"subjects": ["node:n1"]}, "node:n1 is no subject", "user:ISSUER:SUBJECT"),
        ({"subjects": ["ann"]}, "ann is no subject", "user:ISSUER:SUBJECT"),
        ({"subjects": ["user:ann"]}, "user:ann says no issuer", "and no URL"),
        ({"subjects": ["user:https://x.org:5"]}, "says no issuer", "and no URL"),
        ({"subjects": ["user:Corp:ann"]}, "says no issuer", "and no URL"),
        ({"subjects": ["group:corp:"]}, "says no issuer, or no name there", ""),
        ({"subjects": ["group:corp:*"]}, "no pattern stands for subjects", "a group for many"),
        ({"subjects": [f"{ANN} "]}, "without spaces around them", ""),
        ({"subjects": ["user:corp:a\nb"]}, "printed characters", ""),
        ({"subjects": ["user:corp:" + "a" * 600]}, "1 to 512", ""),
        (
            {"subjects": ["service-account:nightly"]},
            "names no service account",
            "analytics/nightly",
        ),
        ({"subjects": ["service-account:A/nightly"]}, "names no service account", ""),
        ({"subjects": [f"user:c:{n}" for n in range(SUBJECTS_MAX + 1)]}, "257 subjects", ""),
        ({"expire": "x"}, "there is no expire here", "did you mean expires?"),
    ],
)
def test_what_is_wrong_with_a_binding_is_told(
    table: dict[str, object], text: str, hint: str
) -> None:
    mistake = wrong_binding(**table)
    assert text in mistake.text
    assert hint in mistake.hint


@pytest.mark.parametrize(
    "subject",
    [
        "user:corp:auth0|248:9",
        "group:corp:Data Team",
        "group:corp:Düsseldorf",
    ],
)
def test_issuers_and_groups_have_the_names_that_their_providers_give_them(subject: str) -> None:
    text = {"name": "team", "role": "viewer", "subjects": [subject]}
    (one,), mistakes = read_bindings([text], herd="sales", roles=[])
    assert not mistakes
    assert one.subjects == (subject,)


def test_all_mistakes_are_told_at_once_and_the_rest_is_read() -> None:
    tables = [
        {"name": "good", **RULE},
        {"name": "bad", "verbs": ["gte", "lst"], "resources": ["run"], "colour": 1},
        {"name": "good", **RULE},
    ]
    found, mistakes = read_roles(tables, herd="sales")
    assert [one.name for one in found] == ["good"]
    assert [one.text for one in mistakes] == [
        "role bad: there is no colour here",
        "role bad: there is no verb gte",
        "role bad: there is no verb lst",
        "role bad: there is no resource run",
        "role good: there are two roles good",
    ]


@pytest.mark.parametrize("tables", ["viewer", [5], {"name": "x"}, None])
def test_what_is_no_list_of_tables_is_one_mistake(tables: object) -> None:
    assert [one.text for one in read_roles(tables, herd="a")[1]] == ["roles is a list of tables"]
    _, mistakes = read_bindings(tables, herd="a", roles=[])
    assert [one.hint for one in mistakes] == ["write [[bindings]]"]


def test_more_bindings_than_a_herd_may_have_are_not_even_read() -> None:
    _, mistakes = read_bindings([{}] * (BINDINGS_MAX + 1), herd="a", roles=[])
    assert [one.text for one in mistakes] == ["1,025 bindings: there are 1,024 at most"]


def test_a_mistake_repeats_no_more_than_a_line_of_what_was_sent() -> None:
    mistake = wrong_role(verbs=["x" * 1_000_000])
    assert len(mistake.text) < 300
    assert len(mistake.word) <= 512
