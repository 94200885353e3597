"""docs/access.md and docs/reference/roles.md say what is decided: the example is run, and the tables are made of what there is. RUNINK_REWRITE=1 writes the table."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from access_people import bound, index
from runink.identity import patterns, reading, roles
from runink.identity.access import AccessIndex
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import BUILT_IN
from runink.identity.vocabulary import OF_THE_CLUSTER, Resource, Verb, is_of_the_cluster

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "access.md").read_text()
REFERENCE = DOCS / "reference/roles.md"
BEGIN = "<!-- roles: made by tests/unit/identity/test_access_pages.py -->\n"
WORDS = {"read": ("get", "list", "watch"), "write": ("create", "update", "delete")}
ANALYST = Principal(PrincipalKind.USER, "corp:7", ("corp:analysts",))
ON_CALL = Principal(PrincipalKind.USER, "corp:248289761001")
NIGHTLY = Principal(PrincipalKind.SERVICE_ACCOUNT, "sales/nightly", herd="sales")
NOW_MS = 1_796_000_000_000  # in November 2026
LATER_MS = 1_801_418_400_000  # 2027-01-31T18:00:00Z


def example() -> AccessIndex:
    """Return what the page's file says, with a binding of the other herd."""
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    document = tomllib.loads(blocks[0])
    found, wrong = reading.read_roles(document["roles"], herd="sales")
    names = [one.name for one in found]
    bindings, also = reading.read_bindings(document["bindings"], herd="sales", roles=names)
    assert not (*wrong, *also)
    return index(*found, *bindings, bound("guest", "viewer", NIGHTLY, herd="stock"))


@pytest.mark.parametrize(
    "question",
    [
        (ANALYST, "get", "pipelines", "sales", "report", NOW_MS),
        (ON_CALL, "run", "pipelines", "sales", "report", LATER_MS - 1),
        (ON_CALL, "get", "pipelines", "sales", "report", LATER_MS),
        (NIGHTLY, "get", "runs", "stock", "", NOW_MS),
    ],
)
def test_the_example_allows_what_the_page_says(question: tuple[Any, ...]) -> None:
    *asked, now_ms = question
    assert example().allows(*asked, now_ms=now_ms)


@pytest.mark.parametrize(
    "question",
    [
        (ANALYST, "get", "pipelines", "sales", "payroll-may", NOW_MS),
        (ANALYST, "run", "pipelines", "sales", "report", NOW_MS),
        (ANALYST, "get", "runs", "stock", "", NOW_MS),
        (ON_CALL, "run", "pipelines", "sales", "report", LATER_MS),
        (ON_CALL, "run", "pipelines", "sales", "payroll-may", NOW_MS),
        (NIGHTLY, "run", "pipelines", "stock", "", NOW_MS),
        (NIGHTLY, "get", "runs", "another", "", NOW_MS),
        (Principal(PrincipalKind.USER, "corp:8"), "get", "runs", "sales", "", NOW_MS),
    ],
)
def test_the_example_allows_nothing_else(question: tuple[Any, ...]) -> None:
    *asked, now_ms = question
    assert not example().allows(*asked, now_ms=now_ms)


def test_the_example_shows_the_fields_that_the_page_says() -> None:
    seen = example().clearances(ANALYST, "sales", now_ms=NOW_MS)
    assert seen.shows_field(pii="email", access=("finance",))
    assert not seen.shows_field(pii="name")


def cell(role: str, resource: Resource, without: str = "") -> str:
    """Return what a role may do with a resource, and another one may not."""
    verbs = _verbs(role, resource) - (_verbs(without, resource) if without else set())
    every = {str(verb) for verb in Verb} - {"bind", "escalate", "cross"}
    if verbs == every:
        return "everything"
    shown = [word for word, parts in WORDS.items() if verbs >= set(parts)]
    rest = verbs - {verb for word in shown for verb in WORDS[word]}
    return ", ".join([*shown, *(str(verb) for verb in Verb if verb in rest)])


def _verbs(role: str, resource: Resource) -> set[str]:
    of_a_herd = resource not in OF_THE_CLUSTER
    return {
        str(verb)
        for rule in BUILT_IN[role].rules
        for verb in rule.verbs
        if resource in rule.resources and is_of_the_cluster(verb, resource) != of_a_herd
    }


def table() -> str:
    lines = ["| resource | viewer | operator, beside | author, beside | steward, beside | admin |", "|---|---|---|---|---|---|"]  # fmt: skip
    for resource in Resource:
        mark = " (of the cluster)" if resource in OF_THE_CLUSTER else ""
        cells = [
            cell("viewer", resource),
            cell("operator", resource, "viewer"),
            cell("author", resource, "operator"),
            cell("steward", resource, "viewer"),
            cell("admin", resource),
        ]
        lines.append(f"| `{resource}`{mark} | {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))  # fmt: skip
    return "\n".join(lines) + "\n"


def test_the_table_of_built_in_roles_is_made_of_them() -> None:
    text = REFERENCE.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split("<!-- end -->")
    whole = f"{before}{BEGIN}\n{table()}\n<!-- end -->{after}"
    if os.environ.get("RUNINK_REWRITE"):
        REFERENCE.write_text(whole)
    assert REFERENCE.read_text() == whole


def test_every_verb_key_and_built_in_role_stands_in_the_documents() -> None:
    text = REFERENCE.read_text()
    verbs = re.findall(
        r"^\| `([a-z]+)` \|", text.partition("## Verbs")[2].partition("##")[0], re.MULTILINE
    )
    assert verbs == [str(one) for one in Verb]
    for keys, title in ((reading._ROLE_KEYS, "roles"), (reading._BINDING_KEYS, "bindings")):
        part = text.partition(f"## `[[{title}]]`")[2].partition("\n## ")[0]
        assert set(re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)) == set(keys)
    told = re.findall(r"^\| `([a-z-]+)` \| ", PAGE.partition("## Built-in")[2], re.MULTILINE)
    assert told[: len(BUILT_IN)] == list(BUILT_IN)


def test_limits_stand_in_the_reference_as_they_are() -> None:
    text = REFERENCE.read_text()
    for words in (
        f"up to {roles.NAMES_MAX} in a role",
        f"{roles.RULES_MAX} rules in all",
        f"up to {roles.SUBJECTS_MAX} of",
        f"`*`; up to {roles.FIELDS_MAX}.",
        f"{roles.ROLES_MAX} roles at most",
        f"{roles.BINDINGS_MAX:,} bindings at most",
        f"up to {roles.DESCRIPTION_MAX:,} characters",
    ):
        assert words in text
    assert patterns.STARS_MAX == 4
    assert "four stars at most" in text
