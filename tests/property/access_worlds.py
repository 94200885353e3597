"""Small worlds of roles, bindings and people for the laws of access: few words, so that rules meet."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import BUILT_IN, Binding, Effect, Role, RoleOf, Rule
from runink.names import BindingName, RoleName

HERDS = ("a", "b")
ASKED_HERDS = ("a", "b", "c", "")
VERBS = ("get", "list", "delete", "create", "cross", "bind", "run")
RESOURCES = ("runs", "secrets", "herds", "nodes", "slices", "bindings")
PATTERNS = ("x*", "*y", "xy", "a", "b", "x?", "RUN", "*")
NAMES = ("", "x", "y", "xy", "xay", "a", "b", "RUN", "RUN/s")
MARKS = ("pii:email", "pii:name", "access:finance")
FIELDS = (*MARKS, "pii:*", "access:*", "*")
ENDS_MS = (0, 10_000, 20_000, 30_000)
TIMES_MS = (5_000, 10_000, 15_000, 20_000, 35_000)
SUBJECTS = (
    "user:i:ann",
    "user:i:bob",
    "group:i:team",
    "group:i:all",
    "service-account:a/x",
    "service-account:b/y",
)
_USER, _ACCOUNT = PrincipalKind.USER, PrincipalKind.SERVICE_ACCOUNT
PRINCIPALS = (
    Principal(_USER, "i:ann"),
    Principal(_USER, "i:ann", ("i:team", "i:all")),
    Principal(_USER, "i:bob", ("i:all",)),
    Principal(_USER, "i:bob", until_s=15),
    Principal(_ACCOUNT, "a/x", herd="a"),
    Principal(_ACCOUNT, "b/y", herd="b"),
    Principal(_ACCOUNT, "b/y", herd="a"),
    Principal(PrincipalKind.NODE, "x"),
    Principal(PrincipalKind.SLICE, "a/RUN/s/1", herd="a"),
    Principal(PrincipalKind.OPERATOR, "root"),
)


@dataclass(frozen=True)
class Policy:
    roles: tuple[Role, ...]
    bindings: tuple[Binding, ...]


def some(words: tuple[str, ...], most: int) -> st.SearchStrategy[tuple[str, ...]]:
    lists = st.lists(st.sampled_from(words), min_size=1, max_size=most, unique=True)
    return lists.map(tuple)


def rules(
    effects: tuple[Effect, ...] = (Effect.ALLOW, Effect.ALLOW, Effect.DENY),
) -> st.SearchStrategy[Rule]:
    effect = st.sampled_from(effects)
    names = st.one_of(st.just(()), some(PATTERNS, 2))
    speaking = st.builds(Rule, some((*VERBS, "*"), 3), some((*RESOURCES, "*"), 3), names, effect)
    showing = st.builds(
        lambda fields, how: Rule(fields=fields, effect=how), some(FIELDS, 2), effect
    )
    return st.one_of(speaking, speaking, speaking, showing)


def roles(
    effects: tuple[Effect, ...] = (Effect.ALLOW, Effect.ALLOW, Effect.DENY),
) -> st.SearchStrategy[tuple[Role, ...]]:
    """Return a role `r` in each herd and of the cluster, and another one in the first herd."""
    each = [
        st.lists(rules(effects), min_size=1, max_size=3).map(
            lambda some, name=name, herd=herd: Role(RoleName(name), herd, tuple(some))
        )
        for name, herd in (("r", "a"), ("r", "b"), ("r", ""), ("s", "a"))
    ]
    return st.tuples(*each)


@st.composite
def bindings(draw: st.DrawFn, name: str) -> Binding:
    herd = draw(st.sampled_from((*HERDS, *HERDS, "*")))
    kinds = [RoleOf.HERD, RoleOf.HERD, RoleOf.CLUSTER, RoleOf.BUILT_IN]
    of = draw(st.sampled_from(kinds if herd != "*" else kinds[2:]))
    role = draw(
        st.sampled_from(("r", "s", "gone") if of is not RoleOf.BUILT_IN else tuple(BUILT_IN))
    )
    subjects = draw(some(SUBJECTS, 2))
    ends_ms = draw(st.sampled_from(ENDS_MS))
    return Binding(BindingName(name), herd, RoleName(role), of, subjects, ends_ms)


@st.composite
def policies(
    draw: st.DrawFn, effects: tuple[Effect, ...] = (Effect.ALLOW, Effect.ALLOW, Effect.DENY)
) -> Policy:
    count = draw(st.integers(1, 6))
    bound = tuple(draw(bindings(f"k{number}")) for number in range(count))
    return Policy(draw(roles(effects=effects)), bound)
