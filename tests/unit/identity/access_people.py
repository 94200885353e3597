"""People, programs and bindings that the tests of access share."""

from __future__ import annotations

from runink.identity.access import AccessIndex
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import BUILT_IN, NEVER, Binding, Effect, Role, RoleOf, Rule
from runink.names import BindingName, RoleName

ANN = Principal(PrincipalKind.USER, "corp:ann", ("corp:team",))
BOB = Principal(PrincipalKind.USER, "corp:bob")
NIGHTLY = Principal(PrincipalKind.SERVICE_ACCOUNT, "sales/nightly", herd="sales")
SLICE = Principal(PrincipalKind.SLICE, "sales/RUN1/bronze/2", herd="sales")
NODE = Principal(PrincipalKind.NODE, "w1")
OWNER = Principal(PrincipalKind.OPERATOR, "root")
NOW_MS = 1_000


def allow(verbs: str, resources: str, *names: str) -> Rule:
    """Return a rule from words with spaces between."""
    return Rule(tuple(verbs.split()), tuple(resources.split()), names)


def deny(verbs: str, resources: str, *names: str) -> Rule:
    return Rule(tuple(verbs.split()), tuple(resources.split()), names, Effect.DENY)


def role(name: str, *rules: Rule, herd: str = "sales") -> Role:
    return Role(RoleName(name), herd, rules)


def bound(
    name: str,
    role_text: str,
    *subjects: Principal | str,
    herd: str = "sales",
    until_ms: int = NEVER,
    made_by: str = "",
) -> Binding:
    """Return a binding of a role, named as people do."""
    named = role_text.removeprefix("cluster/")
    of = RoleOf.BUILT_IN if named in BUILT_IN else RoleOf.HERD
    if role_text != named:
        of = RoleOf.CLUSTER
    who = tuple(one if isinstance(one, str) else one.subject for one in subjects)
    return Binding(BindingName(name), herd, RoleName(named), of, who, until_ms, made_by)


def index(*parts: Role | Binding, revision: int = 7) -> AccessIndex:
    roles = [one for one in parts if isinstance(one, Role)]
    bindings = [one for one in parts if isinstance(one, Binding)]
    return AccessIndex.compiled(roles, bindings, revision=revision)
