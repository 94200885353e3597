"""Giving rights: whatever somebody changes that may be changed, nobody holds in the end what neither he nor who changed it held."""

from __future__ import annotations

from itertools import product

from access_worlds import ENDS_MS, FIELDS, MARKS, SUBJECTS, Policy, bindings, roles, rules, some
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from runink.errors import Refused
from runink.identity.access import AccessIndex
from runink.identity.granting import (
    HerdAccess,
    check_may_bind,
    check_may_declare,
    check_may_delete_role,
    check_may_speak_for,
    check_may_unbind,
    check_may_write_role,
)
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import Binding, Effect, Role, RoleOf, Rule
from runink.names import BindingName, RoleName

NOW_MS = 5_000
TIMES_MS = (NOW_MS, 10_000, 15_000, 20_000, 35_000)
VERBS = ("get", "delete", "create", "update", "cross", "bind", "escalate")
RESOURCES = ("runs", "secrets", "bindings", "roles", "herds", "nodes", "tokens")
NAMES = ("", "x", "xy", "xay", "a", "b")
HERDS = ("a", "b", "c", "")
ASKED = list(product(VERBS, RESOURCES, HERDS, NAMES))
ANN = Principal(PrincipalKind.USER, "i:ann", ("i:team",))
BOB = Principal(PrincipalKind.USER, "i:bob", ("i:team", "i:all"))
ACCOUNT = Principal(PrincipalKind.SERVICE_ACCOUNT, "a/x", herd="a")
ACTORS = (ANN, ACCOUNT)
CLERK = Rule(("create", "update", "delete"), ("bindings", "roles", "tokens"))
Held = list[frozenset[object]]


def held(index: AccessIndex, who: Principal) -> Held:
    """Return all that somebody may, at each of the times."""
    found: Held = []
    for now in TIMES_MS:
        may = {one for one in ASKED if index.allows(who, *one, now_ms=now)}
        seen = {
            (herd, mark)
            for herd in HERDS
            for mark in (*MARKS, *FIELDS)
            if _shows_all(index, who, herd, mark, now)
        }
        found.append(frozenset(may | seen))
    return found


def _shows_all(index: AccessIndex, who: Principal, herd: str, mark: str, now: int) -> bool:
    return mark in MARKS and index.clearances(who, herd, now_ms=now).shows(mark)


def more(after: Held, *before: Held) -> list[frozenset[object]]:
    """Return what there is afterwards that none of them had before, at each time."""
    return [now - frozenset().union(*past) for now, *past in zip(after, *before, strict=True)]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Principal, Policy]:
    """Return somebody who may change bindings and roles, and what there is: often an administrator, who is denied something."""
    who = draw(st.sampled_from(ACTORS))
    clerks = (Role(RoleName("clerk"), "a", (CLERK,)), Role(RoleName("clerk"), "", (CLERK,)))
    herd, of = draw(
        st.sampled_from((("a", RoleOf.HERD), ("a", RoleOf.HERD), ("*", RoleOf.CLUSTER)))
    )
    end_ms = draw(st.sampled_from((0, 0, 20_000)))
    found = {
        "base": Binding(BindingName("base"), herd, RoleName("clerk"), of, (who.subject,), end_ms)
    }
    for number in range(draw(st.integers(1, 4))):
        found[f"k{number}"] = draw(bindings(f"k{number}"))
    there = {(one.herd, one.name): one for one in (*draw(roles()), *clerks)}
    if draw(st.integers(0, 2)):
        admin, ban = RoleName("admin"), RoleName("s")
        end_ms = draw(st.sampled_from(ENDS_MS))
        found["adm"] = Binding(
            BindingName("adm"), "a", admin, RoleOf.BUILT_IN, (who.subject,), end_ms
        )
        denied = draw(st.lists(rules((Effect.DENY,)), min_size=1, max_size=2))
        there["a", "s"] = Role(ban, "a", tuple(denied))
        banned = draw(some((who.subject, "user:i:bob", "group:i:team"), 2))
        found["k0"] = Binding(
            BindingName("k0"), "a", ban, RoleOf.HERD, banned, draw(st.sampled_from(ENDS_MS))
        )
    return who, Policy(tuple(there.values()), tuple(found.values()))


Change = tuple[str, object]
IN_A = st.builds(
    Binding,
    st.sampled_from(("k0", "k2", "new")),
    st.just("a"),
    st.sampled_from(("r", "s", "clerk")),
    st.just(RoleOf.HERD),
    some(SUBJECTS[:5], 2),
    st.sampled_from(ENDS_MS),
)


def written(*herds: str) -> st.SearchStrategy[Role]:
    some_rules = st.lists(st.one_of(rules(), st.just(CLERK)), max_size=2).map(tuple)
    names = st.sampled_from(("r", "s", "t", "clerk"))
    return st.builds(Role, names, st.sampled_from(herds), some_rules)


CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.tuples(st.just("bind"), st.sampled_from(("k0", "k1", "new", "base")).flatmap(bindings)),
    st.tuples(st.just("bind"), IN_A),
    st.tuples(st.just("write"), written("a", "a", "b", "")),
    st.tuples(st.just("declare"), st.tuples(st.integers(0, 511), written("a"), IN_A)),
    st.tuples(st.just("unbind"), st.sampled_from([(herd, name) for herd in ("a", "b", "*") for name in ("k0", "k1", "k2", "new", "base")])),
    st.tuples(st.just("drop"), st.sampled_from([(herd, name) for herd in ("a", "") for name in ("r", "s", "t")])),
)  # fmt: skip


def declared(index: AccessIndex, kept: int, role: Role, binding: Binding) -> HerdAccess:
    """Return a file of the herd `a` that leaves out some of what there is, and has one role and one binding more, or other ones."""
    there = [role for role in index.roles.values() if role.herd == "a"]
    bound = [one for one in index.bindings.values() if one.herd == "a"]
    roles = {one.name: one for one in there}
    if kept & 1:
        roles[role.name] = role
    elif kept & 2:
        roles.pop(role.name, None)
    named = {one.name: one for place, one in enumerate(bound) if kept >> (place + 4) & 1}
    if kept & 4:
        named[binding.name] = binding
    return HerdAccess("a", tuple(roles.values()), tuple(named.values()))


def changed(index: AccessIndex, who: Principal, change: Change) -> AccessIndex:
    """Return the index after a change, or the same one if it may not be made."""
    kind, what = change
    all_roles, all_bindings = dict(index.roles), dict(index.bindings)
    try:
        match kind:
            case "bind":
                check_may_bind(index, who, what, now_ms=NOW_MS)
                all_bindings[what.key] = what
            case "unbind":
                check_may_unbind(index, who, what, now_ms=NOW_MS)
                del all_bindings[what]
            case "declare":
                file = declared(index, *what)
                check_may_declare(index, who, file, now_ms=NOW_MS)
                all_roles = {key: one for key, one in all_roles.items() if key[0] != file.herd}
                all_roles |= {(one.herd, one.name): one for one in file.roles}
                all_bindings = {key: one for key, one in all_bindings.items() if key[0] != "a"}
                all_bindings |= {one.key: one for one in file.bindings}
            case "write":
                check_may_write_role(index, who, what, now_ms=NOW_MS)
                all_roles[what.herd, what.name] = what
            case "drop":
                check_may_delete_role(index, who, what, now_ms=NOW_MS)
                del all_roles[what]
    except Refused:
        return index
    return AccessIndex.compiled(all_roles.values(), all_bindings.values())


@settings(max_examples=70)
@given(worlds(), st.lists(CHANGES, min_size=1, max_size=12))
def test_no_changes_that_somebody_may_make_give_anybody_what_he_did_not_hold(
    world: tuple[Principal, Policy], changes: list[Change]
) -> None:
    who, policy = world
    index = AccessIndex.compiled(policy.roles, policy.bindings)
    before, others = held(index, who), held(index, BOB)
    assume(not any(one[0] in {"bind", "escalate"} for now in before for one in now if len(one) > 2))
    for change in changes:
        index = changed(index, who, change)
    assert not any(more(held(index, who), before))
    assert not any(more(held(index, BOB), others, before))


@settings(max_examples=40)
@given(worlds(), st.sampled_from((10_000, 20_000, 40_000)))
def test_who_may_speak_for_an_account_holds_all_that_it_may(
    world: tuple[Principal, Policy], until_ms: int
) -> None:
    _, policy = world
    index = AccessIndex.compiled(policy.roles, policy.bindings)
    try:
        check_may_speak_for(index, ANN, ACCOUNT.name, until_ms=until_ms, now_ms=NOW_MS)
    except Refused:
        return
    new = more(held(index, ACCOUNT), held(index, ANN))
    assert not any(found for found, now in zip(new, TIMES_MS, strict=True) if now < until_ms)
