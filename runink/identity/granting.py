"""Giving rights: nobody gives what he does not hold.

Each function here says whether a change of roles and bindings may be made by somebody, and raises if not: Forbidden with what is missing, Conflict where the change itself
is none that anybody may make. The index is the one that the change is decided on; who writes the change compares that nothing has changed since.

What counts as held, of each verb on each resource of each name that a rule allows:
- Some line of the principal allows all of it, in that herd; what is given for all herds must be held for all herds.
- No line denies any of it, unless the role itself denies that part, too.
- It lasts as long as what is given. So what is held until noon can be given until noon; and as a role has no end, who writes one holds it without end.
- `*` is held by who has `*`: it means also what there will be.
- To take away what denies is to give what was denied: a binding or a rule that denies goes only by somebody who holds that.
- Who says how the people of an issuer are known may be any of them: he holds all that they have.

Two verbs are exceptions. Who holds `bind` of a role gives it without holding what is in it; who holds `escalate` of a role writes anything into it.
Who holds `bind` for all herds takes back any binding of any herd, also one that denies it something there.

The last binding that makes somebody cluster-admin for ever stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from runink.errors import Conflict, Forbidden, NotFound
from runink.identity.access import AccessIndex
from runink.identity.lines import FOREVER_MS, Line, Terms
from runink.identity.patterns import covers, overlaps
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import BUILT_IN, CLUSTER_ADMIN, NEVER, Binding, Role, RoleOf, Rule
from runink.identity.vocabulary import CLUSTER, EVERYTHING, Resource, Verb, is_of_the_cluster
from runink.suggestions import near_or_all


class HerdAccess(NamedTuple):
    """All roles and bindings of a herd, as its file declares them."""

    herd: str
    roles: tuple[Role, ...]
    bindings: tuple[Binding, ...]


LACKING_SHOWN_MAX: Final = 5  # of what is missing: one is enough to see why


def check_may_bind(
    index: AccessIndex, principal: Principal, binding: Binding, *, now_ms: int
) -> None:
    """Raise unless the principal may make this binding, or make it of the one that has its name.

    Raises Forbidden (`forbidden`, `not_held`), NotFound (`no_such_role`) and Conflict (`last_cluster_admin`).
    """
    old = index.bindings.get(binding.key)
    verb = Verb.UPDATE if old else Verb.CREATE
    _check_allowed(index, principal, verb, Resource.BINDINGS, binding.key, now_ms)
    role = index.role_of(binding)
    if role is None:
        raise _no_such_role(index, principal, binding, now_ms)
    lines = index.lines_in(principal, binding.herd, now_ms=now_ms)
    until_ms = _until_ms(binding)
    if _held_until(lines, Verb.BIND, Resource.ROLES, role.name) < until_ms:
        lacking = _lacking(lines, role.rules, binding.herd, until_ms)
        _check_none(lacking, f"{principal.subject} may not bind {binding.role_text}", Verb.BIND)
    if old is not None:
        if (
            old.role_key != binding.role_key
            or not set(old.subjects) <= set(binding.subjects)
            or until_ms < _until_ms(old)
        ):
            _check_lifted(index, principal, old, now_ms)
        if not _is_lasting_admin(binding):
            _check_not_last(index, old)


def check_may_unbind(
    index: AccessIndex, principal: Principal, key: tuple[str, str], *, now_ms: int
) -> None:
    """Raise unless the principal may take away the binding of this herd (or of EVERYTHING) and name.

    Raises Forbidden (`forbidden`, `not_held`), NotFound (`no_such_binding`) and Conflict (`last_cluster_admin`).
    """
    of_the_cluster = index.decide(
        principal, Verb.DELETE, Resource.BINDINGS, CLUSTER, key[1], now_ms=now_ms
    )
    if not of_the_cluster.allowed:
        _check_allowed(index, principal, Verb.DELETE, Resource.BINDINGS, key, now_ms)
    old = index.bindings.get(key)
    if old is None:
        raise NotFound(f"there is no binding {key[1]}", code="no_such_binding")
    _check_lifted(index, principal, old, now_ms)
    _check_not_last(index, old)


def check_may_write_role(
    index: AccessIndex, principal: Principal, role: Role, *, now_ms: int
) -> None:
    """Raise unless the principal may make this role, or make it of the one that has its name.

    Raises Forbidden (`forbidden`, `not_held`, `built_in_role`).
    """
    if role.name in BUILT_IN:
        text = f"{role.name} is a built-in role, which cannot be changed"
        raise Forbidden(text, code="built_in_role", hint="write a role of another name")
    herd = role.herd or EVERYTHING
    old = index.roles.get((role.herd, role.name))
    verb = Verb.UPDATE if old else Verb.CREATE
    _check_allowed(index, principal, verb, Resource.ROLES, (herd, role.name), now_ms)
    lines = index.lines_in(principal, herd, now_ms=now_ms)
    if _held_until(lines, Verb.ESCALATE, Resource.ROLES, role.name) >= FOREVER_MS:
        return
    lifted = _lifted(old.rules, role.rules) if old else ()
    lacking = _lacking(lines, (*role.rules, *lifted), herd, FOREVER_MS)
    _check_none(lacking, f"{principal.subject} may not write role {role.name}", Verb.ESCALATE)


def check_may_delete_role(
    index: AccessIndex, principal: Principal, key: tuple[str, str], *, now_ms: int
) -> None:
    """Raise unless the principal may delete the role of this herd (or of CLUSTER) and name.

    Raises Forbidden (`forbidden`, `built_in_role`), NotFound (`no_such_role`) and Conflict (`role_in_use`) if a binding names it, also one that has ended.
    """
    herd, name = key
    if name in BUILT_IN:
        text = f"{name} is a built-in role, which cannot be deleted"
        raise Forbidden(text, code="built_in_role")
    scope = (herd or EVERYTHING, name)
    _check_allowed(index, principal, Verb.DELETE, Resource.ROLES, scope, now_ms)
    if key not in index.roles:
        raise NotFound(f"there is no role {name}", code="no_such_role")
    users = [
        one
        for one in index.bindings.values()
        if one.role_of is not RoleOf.BUILT_IN and one.role_key == key
    ]
    if users:
        shown = sorted(
            one.name
            for one in users
            if _may_know(index, principal, Resource.BINDINGS, one.key, now_ms)
        )
        hint = f"take away first: {', '.join(shown[:LACKING_SHOWN_MAX])}" if shown else ""
        raise Conflict(f"role {name} is bound {len(users)} times", code="role_in_use", hint=hint)


def check_may_declare(
    index: AccessIndex, principal: Principal, declared: HerdAccess, *, now_ms: int
) -> None:
    """Raise unless the principal may have these be all roles and bindings of a herd, in place of those that it has. What stays needs no right.

    It is judged as so many changes one after the other: roles are written, then all bindings change, then roles are deleted. Raises what those raise.
    """
    herd = declared.herd
    roles = {(role.herd, str(role.name)): role for role in declared.roles}
    bindings = {one.key: one for one in declared.bindings}
    assert all(of == herd for of, _ in (*roles, *bindings))
    for key, role in roles.items():
        if index.roles.get(key) != role:
            check_may_write_role(index, principal, role, now_ms=now_ms)
    written = AccessIndex(index.roles | roles, index.bindings, index.revision)
    for key, binding in bindings.items():
        old = index.bindings.get(key)
        if old is None or _unsigned(old) != _unsigned(binding):
            check_may_bind(written, principal, binding, now_ms=now_ms)
    others = {key: one for key, one in index.bindings.items() if key[0] != herd}
    for key in index.bindings.keys() - others.keys() - bindings.keys():
        check_may_unbind(written, principal, key, now_ms=now_ms)
    bound = AccessIndex(written.roles, others | bindings, index.revision)
    for key in [one for one in index.roles if one[0] == herd and one not in roles]:
        check_may_delete_role(bound, principal, key, now_ms=now_ms)


def _unsigned(binding: Binding) -> Binding:
    """Return a binding without who made it and when: to declare again what is there is no change."""
    return msgspec.structs.replace(binding, made_by="", made_ms=0)


def check_may_vouch(index: AccessIndex, principal: Principal, issuer: str, *, now_ms: int) -> None:
    """Raise unless the principal holds all that people of an issuer have: who says how they are known may come as any of them. Raises Forbidden (`not_held`)."""
    theirs = f"user:{issuer}:", f"group:{issuer}:"
    what = f"{principal.subject} may not say how people of {issuer} are known"
    for binding in index.bindings.values():
        role, until_ms = index.role_of(binding), _until_ms(binding)
        is_theirs = any(one.startswith(theirs) for one in binding.subjects)
        if role is None or not is_theirs or until_ms <= now_ms:
            continue
        lines = index.lines_in(principal, binding.herd, now_ms=now_ms)
        if _held_until(lines, Verb.BIND, Resource.ROLES, role.name) < until_ms:
            _check_none(_lacking(lines, role.rules, binding.herd, until_ms), what, Verb.BIND)


def check_may_speak_for(
    index: AccessIndex, principal: Principal, account: str, *, until_ms: int, now_ms: int
) -> None:
    """Raise unless the principal may have a token of a service account (HERD/NAME) until then: it can do with it all that the account may, so it must hold that.

    Raises Forbidden (`forbidden`, `not_held`).
    """
    herd, _, name = account.partition("/")
    theirs = Principal(PrincipalKind.SERVICE_ACCOUNT, account, herd=herd)
    _check_allowed(index, principal, Verb.CREATE, Resource.TOKENS, (herd, name), now_ms)
    if principal.subject == theirs.subject:
        return
    given = index.lines_held(theirs, now_ms=now_ms)
    for scope in dict.fromkeys(line.herd for line in given):
        lines = index.lines_in(principal, scope, now_ms=now_ms)
        denied = tuple(
            one.terms.rule for one in given if one.denies and one.herd in {scope, EVERYTHING}
        )
        for line in given:
            if line.herd == scope and not line.denies:
                rules = (line.terms.rule, *denied)
                lacking = _lacking(lines, rules, scope, min(until_ms, line.until_ms))
                _check_none(lacking, f"{principal.subject} may not speak for {account}")


def _check_allowed(
    index: AccessIndex,
    principal: Principal,
    verb: Verb,
    resource: Resource,
    key: tuple[str, str],
    now_ms: int,
) -> None:
    herd, name = key
    scope = CLUSTER if herd == EVERYTHING else herd
    decision = index.decide(principal, verb, resource, scope, name, now_ms=now_ms)
    if not decision.allowed:
        raise Forbidden(f"{principal.subject} may not {verb} {resource}: {decision.reason}")


def _check_lifted(index: AccessIndex, principal: Principal, old: Binding, now_ms: int) -> None:
    """Raise unless the principal holds what a binding denies, for as long as it denies it."""
    role = index.role_of(old)
    lifted = _lifted(role.rules, ()) if role else ()
    if not lifted:
        return
    lines = index.lines_in(principal, old.herd, now_ms=now_ms)
    until_ms = _until_ms(old)
    cluster = [
        one
        for one in index.lines_in(principal, EVERYTHING, now_ms=now_ms)
        if one.herd == EVERYTHING
    ]
    for held in (lines, cluster):
        if _held_until(held, Verb.BIND, Resource.ROLES, old.role) >= until_ms:
            return
    lacking = _lacking(lines, lifted, old.herd, until_ms)
    _check_none(lacking, f"{principal.subject} may not take back what {old.name} denies", Verb.BIND)


def _check_not_last(index: AccessIndex, old: Binding) -> None:
    if _is_lasting_admin(old) and not any(
        _is_lasting_admin(one) for one in index.bindings.values() if one.key != old.key
    ):
        hint = f"bind {CLUSTER_ADMIN} to somebody else first, without an end"
        text = f"{old.name} is the last binding that makes somebody {CLUSTER_ADMIN} for ever"
        raise Conflict(text, code="last_cluster_admin", hint=hint)


def _is_lasting_admin(binding: Binding) -> bool:
    return (
        binding.role_of is RoleOf.BUILT_IN
        and binding.role == CLUSTER_ADMIN
        and binding.herd == EVERYTHING
        and binding.expires_ms == NEVER
        and any(not one.startswith(PrincipalKind.SERVICE_ACCOUNT) for one in binding.subjects)
    )


def _until_ms(binding: Binding) -> int:
    return FOREVER_MS if binding.expires_ms == NEVER else binding.expires_ms


def _may_know(
    index: AccessIndex, principal: Principal, kind: Resource, key: tuple[str, str], now_ms: int
) -> bool:
    """Say whether no rule hides a role or a binding from the principal by its name."""
    herd, name = key
    scope = CLUSTER if herd == EVERYTHING else herd
    return not index.hides(principal, Verb.GET, kind, scope, name, now_ms=now_ms)


def _no_such_role(
    index: AccessIndex, principal: Principal, binding: Binding, now_ms: int
) -> NotFound:
    herd = binding.role_key[0]
    names = [
        name
        for of, name in index.roles
        if of == herd and _may_know(index, principal, Resource.ROLES, (of, name), now_ms)
    ]
    hint = near_or_all(binding.role, [*BUILT_IN, *names])
    return NotFound(f"there is no role {binding.role_text}", code="no_such_role", hint=hint)


def _check_none(lacking: Iterator[str], what: str, exception: Verb | None = None) -> None:
    """Raise Forbidden if anything is lacking, with the first of it."""
    shown = list(islice(dict.fromkeys(lacking), LACKING_SHOWN_MAX + 1))
    if not shown:
        return
    more = ", and more" if len(shown) > LACKING_SHOWN_MAX else ""
    text = f"{what} without holding {', '.join(shown[:LACKING_SHOWN_MAX])}{more}"
    hint = f"somebody may who holds it, or {exception} of that role" if exception else ""
    raise Forbidden(text, code="not_held", hint=hint)


def _lifted(old: Sequence[Rule], new: Sequence[Rule]) -> tuple[Rule, ...]:
    """Return what `old` rules deny and `new` ones do not deny as they stood, as rules that allow it."""
    kept = [rule for rule in new if rule.denies]
    return tuple(
        Rule(rule.verbs, rule.resources, rule.names, fields=rule.fields)
        for rule in old
        if rule.denies and rule not in kept
    )


def _lacking(
    lines: Sequence[Line], rules: Sequence[Rule], herd: str, until_ms: int
) -> Iterator[str]:
    """Yield what the rules allow that the lines do not hold until then, as people read it."""
    denying = [Terms(rule) for rule in rules if rule.denies]
    unseen = [mark for one in denying for mark in one.rule.fields]
    for rule in rules:
        if rule.denies:
            continue
        for verb, resource in _pairs(rule):
            if herd != EVERYTHING and is_of_the_cluster(verb, resource):
                continue  # a role gives nothing of it in a herd
            denied = [
                name
                for one in denying
                if one.speaks_of(verb, resource)
                for name in _names(one.rule)
            ]
            for pattern in _names(rule):
                if _held_until(lines, verb, resource, pattern, denied) < until_ms:
                    some = "" if pattern == EVERYTHING else f" {pattern}"
                    yield f"{verb} of {resource}{some}"
        for mark in rule.fields:
            if _shown_until(lines, mark, unseen) < until_ms:
                yield f"sight of {mark}"


def _pairs(rule: Rule) -> Iterator[tuple[str, str]]:
    """Return each verb with each resource of a rule; `*` are all that there are, and itself for those to come."""
    verbs = (*Verb, EVERYTHING) if EVERYTHING in rule.verbs else rule.verbs
    resources = (*Resource, EVERYTHING) if EVERYTHING in rule.resources else rule.resources
    return ((verb, resource) for verb in verbs for resource in resources)


def _names(rule: Rule) -> tuple[str, ...]:
    return rule.names or (EVERYTHING,)


def _held_until(
    lines: Iterable[Line], verb: str, resource: str, pattern: str, denied: Iterable[str] = ()
) -> int:
    """Return until when all of this is held, 0 if it is not. What is `denied` is not given, so it need not be held."""
    until_ms = 0
    for line in lines:
        if not line.terms.speaks_of(verb, resource):
            continue
        names = _names(line.terms.rule)
        if line.denies:
            if any(_bars(one, pattern, denied) for one in names):
                return 0
        elif line.until_ms > until_ms and any(covers(one, pattern) for one in names):
            until_ms = line.until_ms
    return until_ms


def _shown_until(lines: Iterable[Line], mark: str, denied: Iterable[str]) -> int:
    """Return until when fields of this mark are seen, 0 if they are not. Marks are read as patterns: `pii:*` covers `pii:email`."""
    until_ms = 0
    for line in lines:
        fields = line.terms.rule.fields
        if line.denies:
            if any(_bars(one, mark, denied) for one in fields):
                return 0
        elif any(covers(one, mark) for one in fields):
            until_ms = max(until_ms, line.until_ms)
    return until_ms


def _bars(barred: str, pattern: str, denied: Iterable[str]) -> bool:
    """Say whether what is barred takes something of the pattern away, beyond what is denied with it anyway."""
    if not overlaps(barred, pattern):
        return False
    return not any(covers(one, barred) or covers(one, pattern) for one in denied)
