"""The built-in roles: what each holds, as one table that changes only when somebody means it. RUNINK_REWRITE=1 accepts what comes out now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from runink.identity.access import AccessIndex
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import BUILT_IN, Binding, RoleOf
from runink.identity.vocabulary import CLUSTER, EVERYTHING, Resource, Verb, is_of_the_cluster
from runink.names import BindingName

TRANSCRIPT = Path(__file__).parents[2] / "transcripts/identity/built_in_roles.txt"
HERD = "sales"


def held(role: str) -> str:
    """Return what somebody may to whom the role is bound for all herds, resource by resource, as the index decides."""
    binding = Binding(
        BindingName("one"), EVERYTHING, BUILT_IN[role].name, RoleOf.BUILT_IN, ("user:corp:ann",)
    )
    index, ann = AccessIndex.compiled([], [binding]), Principal(PrincipalKind.USER, "corp:ann")
    lines = [f"{role}: {BUILT_IN[role].description}"]
    for resource in Resource:
        verbs = [
            verb.value
            for verb in Verb
            if index.allows(
                ann,
                verb,
                resource,
                CLUSTER if is_of_the_cluster(verb, resource) else HERD,
                now_ms=0,
            )
        ]
        if verbs:
            lines.append(f"    {resource:17} {' '.join(verbs)}")
    shown = sorted(index.clearances(ann, HERD, now_ms=0).shown)
    return "\n".join([*lines, f"    unmasked          {' '.join(shown)}" if shown else ""]).rstrip()


def test_built_in_roles_hold_what_the_table_says() -> None:
    table = "\n\n".join(held(role) for role in BUILT_IN) + "\n"
    if os.environ.get("RUNINK_REWRITE"):
        TRANSCRIPT.write_text(table)
    assert table == TRANSCRIPT.read_text()


@pytest.mark.parametrize("role", [one for one in BUILT_IN if "admin" not in one])
def test_only_administrators_read_secrets_and_give_rights(role: str) -> None:
    text = held(role)
    assert "reveal" not in text
    for line in text.splitlines():
        if line.split()[0] in {"roles", "bindings", "tokens", "service-accounts", "secrets"}:
            assert not {"create", "update", "delete", "bind", "escalate"} & set(line.split())


@pytest.mark.parametrize("role", BUILT_IN)
def test_in_one_herd_no_role_reaches_the_cluster(role: str) -> None:
    binding = Binding(
        BindingName("one"), HERD, BUILT_IN[role].name, RoleOf.BUILT_IN, ("user:corp:ann",)
    )
    index, ann = AccessIndex.compiled([], [binding]), Principal(PrincipalKind.USER, "corp:ann")
    for verb in Verb:
        for resource in Resource:
            if is_of_the_cluster(verb, resource):
                for herd in (CLUSTER, HERD):
                    assert not index.allows(ann, verb, resource, herd, now_ms=0)
            assert not index.allows(ann, verb, resource, "another", now_ms=0)
