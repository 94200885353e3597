"""Who may do what: roles and bindings compiled into an index that decides.

    index = AccessIndex.compiled(roles, bindings, revision=7)
    index.allows(principal, "run", "pipelines", "sales", "nightly", now_ms=now)     yes or no
    index.decide(…)                                                                 the same, with which binding decided
    index.explain(…)                                                                every binding that speaks of it

The rules:
- Nothing is allowed that no rule allows. A rule that denies wins over all that allow, whichever binding it comes from.
- A binding of a herd speaks of that herd; one for all herds of each herd, and of what belongs to the cluster.
- A binding holds until it expires; at that time it does not hold any more, whether it allows or denies.
- Who belongs to a herd (`Principal.herd`) acts in another one only if both want it, and never on what belongs to the cluster (`holders.py`).
- Operators, nodes and slices have what a fixed table says (`lines.py`), and bindings give them nothing.
- A principal whose proof has ended (`Principal.until_s`) may nothing.

An index is never changed: other roles or bindings are another index. What it remembers is which lines a principal has, by its name and groups, and what was
found from them; both are bounded, and forgotten when a binding of that principal ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, Self

from runink.identity.decisions import Decision, Explanation, Ground, Held, WhoCan
from runink.identity.holders import Holder
from runink.identity.lines import FOREVER_MS, Line, Terms, fixed_lines, lines_of
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import BUILT_IN, Binding, Clearances, Effect, Role, RoleOf
from runink.identity.vocabulary import EVERYTHING, Resource, Verb

HOLDERS_MAX: Final = (
    4_096  # principals whose lines are remembered; the one that has been there longest goes first
)
EXPLAINED_MAX: Final = 200  # rules in an explanation: more are counted


class AccessIndex:
    """Roles and bindings at a revision. `roles` and `bindings` are what it was compiled from, by what they go by."""

    def __init__(
        self,
        roles: dict[tuple[str, str], Role],
        bindings: dict[tuple[str, str], Binding],
        revision: int,
    ) -> None:
        self.roles: Final = roles
        self.bindings: Final = bindings
        self.revision: Final = revision
        self._terms = {key: tuple(map(Terms, role.rules)) for key, role in roles.items()}
        self._built_in = {name: tuple(map(Terms, role.rules)) for name, role in BUILT_IN.items()}
        self._by_subject: dict[str, list[Binding]] = {}
        for binding in bindings.values():
            for subject in binding.subjects:
                self._by_subject.setdefault(subject, []).append(binding)
        self._holders: dict[tuple[str, str, tuple[str, ...], str], Holder] = {}

    @classmethod
    def compiled(
        cls, roles: Iterable[Role], bindings: Iterable[Binding], *, revision: int = 0
    ) -> Self:
        """Return an index of roles that people wrote (the built-in ones are there anyway) and of bindings. A binding whose role is not there gives nothing."""
        by_name = {(role.herd, str(role.name)): role for role in roles}
        return cls(by_name, {one.key: one for one in bindings}, revision)

    def role_of(self, binding: Binding) -> Role | None:
        """Return the role that a binding names, if it is there."""
        if binding.role_of is RoleOf.BUILT_IN:
            return BUILT_IN.get(binding.role)
        return self.roles.get(binding.role_key)

    def allows(
        self,
        principal: Principal,
        verb: str,
        resource: str,
        herd: str,
        name: str = "",
        *,
        now_ms: int,
    ) -> bool:
        """Say whether the principal may do this. `herd` is CLUSTER for what belongs to none; `name` is empty where nothing single is meant."""
        holder = self._holders.get(
            (principal.kind, principal.name, principal.groups, principal.herd)
        )
        if holder is None or not holder.since_ms <= now_ms < holder.until_ms:
            holder = self._holder(principal, now_ms)
        if principal.until_s and now_ms >= principal.until_s * 1_000:
            return False
        if holder.home and herd != holder.home:
            return holder.decide(verb, resource, herd, name).allowed
        answer = holder.tables.get(herd, holder.elsewhere).get((verb, resource))
        if answer is None:
            answer = holder.answer(verb, resource, herd)
        allowed = answer.allowed
        return answer.of(name).allowed if allowed is None else allowed

    def decide(
        self,
        principal: Principal,
        verb: str,
        resource: str,
        herd: str,
        name: str = "",
        *,
        now_ms: int,
    ) -> Decision:
        """Return whether the principal may do this, and which binding decided. The first of its lines in their order does (`Line.order`)."""
        holder = self._holder(principal, now_ms)
        if _has_ended(principal, now_ms):
            return _ENDED
        return holder.decide(verb, resource, herd, name)

    def allows_some(
        self, principal: Principal, verb: str, resource: str, herd: str, *, now_ms: int
    ) -> bool:
        """Say whether there may be something that the principal may do this to: then it may ask for a list, from which `allows` takes what is not for it."""
        holder = self._holder(principal, now_ms)
        return not _has_ended(principal, now_ms) and holder.may_some(verb, resource, herd)

    def hides(
        self, principal: Principal, verb: str, resource: str, herd: str, name: str, *, now_ms: int
    ) -> bool:
        """Say whether rules that speak of names keep this from the principal. Where it may nothing at all with what is of the kind, nothing is hidden by its name."""
        return self._holder(principal, now_ms).hides(verb, resource, herd, name)

    def clearances(self, principal: Principal, herd: str, *, now_ms: int) -> Clearances:
        """Return which marks of fields (`pii:email`, `access:finance`) the principal sees unmasked in a herd."""
        holder = self._holder(principal, now_ms)
        return Clearances() if _has_ended(principal, now_ms) else holder.clearances(herd)

    def herds_visible(
        self, principal: Principal, among: Iterable[str], *, now_ms: int
    ) -> tuple[str, ...]:
        """Return those of the herds in which the principal may do anything at all, in their order: the others are not there for it."""
        holder = self._holder(principal, now_ms)
        if _has_ended(principal, now_ms):
            return ()
        return tuple(herd for herd in among if holder.sees(herd))

    def explain(
        self,
        principal: Principal,
        verb: str,
        resource: str,
        herd: str,
        name: str = "",
        *,
        now_ms: int,
    ) -> Explanation:
        """Return the decision with every rule that speaks of it, also those whose binding has ended."""
        decision = self.decide(principal, verb, resource, herd, name, now_ms=now_ms)
        lines = sorted(self._lines(principal), key=lambda line: line.order)
        asked = [
            line for line in lines if line.holds_in(verb, resource, herd) and line.terms.takes(name)
        ]
        live = [line for line in asked if now_ms < line.until_ms]
        letting_out = [
            line
            for line in lines
            if principal.herd not in {"", herd}
            and line.holds_in(Verb.CROSS, Resource.HERDS, principal.herd)
            and line.terms.takes(herd)
            and now_ms < line.until_ms
        ]
        parts = {
            "allowing": [line for line in live if not line.denies],
            "denying": [line for line in live if line.denies],
            "ended": [line for line in asked if now_ms >= line.until_ms],
            "letting_out": letting_out,
        }
        return Explanation(
            principal.subject,
            verb,
            resource,
            herd,
            name,
            now_ms,
            self.revision,
            decision,
            **{key: _told(part) for key, part in parts.items()},
            left_off=sum(max(len(part) - EXPLAINED_MAX, 0) for part in parts.values()),
        )

    def who_can(
        self, verb: str, resource: str, herd: str, name: str = "", *, now_ms: int
    ) -> WhoCan:
        """Return which subjects of bindings may do this, in the order of their names."""
        allowed: list[Held] = []
        denied: list[Held] = []
        for subject in sorted(self._by_subject):
            holder = self._held(subject, _home_of(subject), self._bound((subject,)), now_ms)
            decision = holder.decide(verb, resource, herd, name)
            if decision.ground in {Ground.ALLOWED, Ground.DENIED}:
                expires_ms = self.bindings[decision.herd, decision.binding].expires_ms
                effect = Effect.ALLOW if decision.allowed else Effect.DENY
                one = Held(
                    subject,
                    decision.binding,
                    decision.herd,
                    decision.role,
                    decision.rule,
                    effect,
                    expires_ms,
                )
                (allowed if decision.allowed else denied).append(one)
        return WhoCan(tuple(allowed), tuple(denied))

    def lines_held(self, principal: Principal, *, now_ms: int) -> tuple[Line, ...]:
        """Return all lines that the principal has now, wherever they hold."""
        return self._holder(principal, now_ms).lines

    def lines_in(self, principal: Principal, herd: str, *, now_ms: int) -> tuple[Line, ...]:
        """Return the lines that count where the principal gives rights in a herd. In EVERYTHING, what it may in one herd only does not count, and what any herd denies does."""
        holder = self._holder(principal, now_ms)
        if _has_ended(principal, now_ms):
            return ()
        if herd == EVERYTHING:
            if holder.home:
                return ()
            return tuple(one for one in holder.lines if one.denies or one.herd == EVERYTHING)
        lines = tuple(one for one in holder.lines if one.herd in {herd, EVERYTHING})
        if not holder.home or herd == holder.home:
            return lines
        if not holder.gate(herd).allowed:
            return ()
        out_ms = max(
            one.until_ms
            for one in holder.lines
            if not one.denies
            and one.holds_in(Verb.CROSS, Resource.HERDS, holder.home)
            and one.terms.takes(herd)
        )
        return tuple(replace(one, until_ms=min(one.until_ms, out_ms)) for one in lines)

    def _holder(self, principal: Principal, now_ms: int) -> Holder:
        key = (principal.kind, principal.name, principal.groups, principal.herd)
        found = self._holders.get(key)
        if found is None or not found.since_ms <= now_ms < found.until_ms:
            lines = self._lines(principal)
            found = self._held(principal.subject, principal.herd, lines, now_ms)
            if len(self._holders) >= HOLDERS_MAX:
                del self._holders[next(iter(self._holders))]
            self._holders[key] = found
        return found

    def _held(self, subject: str, home: str, lines: Iterable[Line], now_ms: int) -> Holder:
        """Return the holder of those lines that hold now, and between which changes of them that is."""
        live, since_ms, until_ms = [], 0, FOREVER_MS
        for line in lines:
            if now_ms < line.until_ms:
                live.append(line)
                until_ms = min(until_ms, line.until_ms)
            else:
                since_ms = max(since_ms, line.until_ms)
        return Holder(subject, home, tuple(live), (since_ms, until_ms))

    def _lines(self, principal: Principal) -> Iterable[Line]:
        """Return all lines of a principal, also those that have ended."""
        fixed = fixed_lines(principal)
        if fixed is not None:
            return fixed
        if (
            principal.kind is PrincipalKind.SERVICE_ACCOUNT
            and _home_of(principal.subject) != principal.herd
        ):
            return ()  # it says that it belongs to another herd than its name
        return self._bound(principal.subjects)

    def _bound(self, subjects: Iterable[str]) -> Iterator[Line]:
        """Return the lines that bindings give the subjects; what names several of them counts once, for the first."""
        seen = set()
        for subject in subjects:
            for binding in self._by_subject.get(subject, ()):
                if binding.key not in seen:
                    seen.add(binding.key)
                    yield from lines_of(binding, self._terms_of(binding), subject)

    def _terms_of(self, binding: Binding) -> tuple[Terms, ...]:
        if binding.role_of is RoleOf.BUILT_IN:
            return self._built_in.get(binding.role, ())
        return self._terms.get(binding.role_key, ())


def _home_of(subject: str) -> str:
    """Return the herd that a subject belongs to: none but service accounts belong to one."""
    kind, _, name = subject.partition(":")
    return name.partition("/")[0] if kind == PrincipalKind.SERVICE_ACCOUNT else ""


def _has_ended(principal: Principal, now_ms: int) -> bool:
    return bool(principal.until_s) and now_ms >= principal.until_s * 1_000


def _told(lines: list[Line]) -> tuple[Held, ...]:
    return tuple(line.told() for line in lines[:EXPLAINED_MAX])


_ENDED: Final = Decision(
    allowed=False, ground=Ground.ENDED, reason="what proved who this is has ended"
)
