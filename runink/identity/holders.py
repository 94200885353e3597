"""A holder: all lines that one principal has at a time, and the answers that were found from them.

What it is asked is a verb on a resource in a herd. Of its lines, some speak of that; in their order, the first that takes the name decides, and where none does, it is
not allowed. An answer that is the same for every name is kept whole, so that it is found again by one look-up; where it hangs on the name, its lines are kept.
A herd that no binding names has the answers of all such herds: so there are as many of them as there are bindings and words, whatever is asked.

Who belongs to a herd is asked twice about another one: that herd must allow it, by a binding there, and its own must let it out: a rule that allows `cross` of
`herds` with the other herd's name. What belongs to the cluster is never open to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runink.identity.decisions import Decision, Ground
from runink.identity.lines import Line
from runink.identity.patterns import covers
from runink.identity.roles import Clearances
from runink.identity.vocabulary import CLUSTER, EVERYTHING, Resource, Verb, is_of_the_cluster


class Answer:
    """What a holder may do with things of a kind. `decision` is that for every name, or None where it hangs on the name; `allowed` says the same as a boolean."""

    __slots__ = ("_by_name", "_lines", "_otherwise", "allowed", "decision")

    def __init__(self, lines: Iterable[Line], otherwise: Decision) -> None:
        self._lines = sorted(lines, key=lambda line: line.order)
        self._by_name = [(line.terms.names, _by_line(line)) for line in self._lines]
        self._otherwise = otherwise
        self.decision: Final = self._for_every_name()
        self.allowed: Final = None if self.decision is None else self.decision.allowed

    def of(self, name: str) -> Decision:
        """Return what is decided of something of this name."""
        for names, decision in self._by_name:
            if names is None or names.takes(name):
                return decision
        return self._otherwise

    def has_some(self) -> bool:
        """Say whether there may be a name that is allowed."""
        if self.decision is not None:
            return self.decision.allowed
        denied = [one for line in self._lines if line.denies for one in line.terms.rule.names]
        return any(
            not any(covers(wide, one) for wide in denied)
            for line in self._lines
            if not line.denies
            for one in line.terms.rule.names or (EVERYTHING,)
        )

    def _for_every_name(self) -> Decision | None:
        if not self._by_name:
            return self._otherwise
        names, decision = self._by_name[0]
        return decision if names is None else None


class Holder:
    """One principal's lines. `home` is the herd that it cannot leave by itself, empty for none. It holds from `since_ms` to before `until_ms`: then other bindings do."""

    __slots__ = (
        "_clearances",
        "_visible",
        "elsewhere",
        "home",
        "lines",
        "since_ms",
        "subject",
        "tables",
        "until_ms",
    )

    def __init__(
        self, subject: str, home: str, lines: tuple[Line, ...], window_ms: tuple[int, int]
    ) -> None:
        self.subject: Final = subject
        self.home: Final = home
        self.lines: Final = lines
        self.since_ms, self.until_ms = window_ms
        named = {CLUSTER, *(line.herd for line in lines)} - {EVERYTHING}
        self.tables: Final[dict[str, dict[tuple[str, str], Answer]]] = {herd: {} for herd in named}
        self.elsewhere: Final[dict[tuple[str, str], Answer]] = {}
        self._clearances: dict[str, Clearances] = {}
        self._visible: dict[str, bool] = {}

    def answer(self, verb: str, resource: str, herd: str) -> Answer:
        """Return what its lines say of a herd (CLUSTER: of what belongs to none), without asking whether it is let out of its own."""
        table = self.tables.get(herd, self.elsewhere)
        found = table.get((verb, resource))
        if found is None:
            found = self._answered(verb, resource, herd)
            if verb in _VERBS and resource in _RESOURCES:  # of other words there is no end
                table[verb, resource] = found
        return found

    def _answered(self, verb: str, resource: str, herd: str) -> Answer:
        if self.home and (herd == CLUSTER or is_of_the_cluster(verb, resource)):
            return Answer((), _of_the_cluster(self.subject, self.home, resource))
        lines = (line for line in self.lines if line.holds_in(verb, resource, herd))
        return Answer(lines, _not_granted(verb, resource, herd))

    def decide(self, verb: str, resource: str, herd: str, name: str) -> Decision:
        """Return what it may do, and why."""
        answer = self.answer(verb, resource, herd)
        found = answer.decision or answer.of(name)
        if not found.allowed or not self.home or herd == self.home:
            return found
        gate = self.gate(herd)
        return found if gate.allowed else _not_let_out(self.subject, self.home, herd, gate)

    def hides(self, verb: str, resource: str, herd: str, name: str) -> bool:
        """Say whether rules that speak of names keep this name from it: one denies it, or others of its kind are allowed."""
        answer = self.answer(verb, resource, herd)
        if answer.decision is not None:
            return False
        found = answer.of(name)
        return not found.allowed and (found.ground is Ground.DENIED or answer.has_some())

    def gate(self, herd: str) -> Decision:
        """Return whether its own herd lets it act in another."""
        return self.answer(Verb.CROSS, Resource.HERDS, self.home).of(herd)

    def may_some(self, verb: str, resource: str, herd: str) -> bool:
        """Say whether there may be a name that it may do this to."""
        return not self._is_kept_in(herd) and self.answer(verb, resource, herd).has_some()

    def sees(self, herd: str) -> bool:
        """Say whether it may do anything at all in a herd."""
        if self._is_kept_in(herd):
            return False
        key = herd if herd in self.tables else CLUSTER
        found = self._visible.get(key)
        if found is None:
            found = self._visible[key] = any(
                self.answer(verb, resource, herd).has_some()
                for line in self.lines
                if not line.denies and line.herd in {herd, EVERYTHING}
                for verb, resource in line.terms.pairs()
                if not is_of_the_cluster(verb, resource)
            )
        return found

    def clearances(self, herd: str) -> Clearances:
        """Return which marks of fields it sees unmasked in a herd."""
        if self._is_kept_in(herd):
            return Clearances()
        key = herd if herd in self.tables else CLUSTER
        found = self._clearances.get(key)
        if found is None:
            shown, hidden = set[str](), set[str]()
            for line in self.lines:
                if line.herd in {herd, EVERYTHING}:
                    (hidden if line.denies else shown).update(line.terms.rule.fields)
            found = self._clearances[key] = Clearances(frozenset(shown), frozenset(hidden))
        return found

    def _is_kept_in(self, herd: str) -> bool:
        """Say whether it may not act in a herd because it belongs to another."""
        if not self.home or herd == self.home:
            return False
        return herd == CLUSTER or not self.gate(herd).allowed


_VERBS: Final = frozenset(Verb)
_RESOURCES: Final = frozenset(Resource)


def _by_line(line: Line) -> Decision:
    verb, ground = ("denies", Ground.DENIED) if line.denies else ("allows", Ground.ALLOWED)
    where = "all herds" if line.herd == EVERYTHING else f"herd {line.herd}"
    by = f"binding {line.binding} of {where}" if line.binding else f"what every {line.role} has"
    reason = f"rule {line.place + 1} of role {line.role} {verb} it, by {by}"
    return Decision(not line.denies, ground, reason, line.binding, line.herd, line.role, line.place)


def _not_granted(verb: str, resource: str, herd: str) -> Decision:
    where = "of the cluster" if herd == CLUSTER or is_of_the_cluster(verb, resource) else "there"
    reason = f"no binding {where} allows {verb} of {resource}"
    return Decision(allowed=False, ground=Ground.NOT_GRANTED, reason=reason)


def _of_the_cluster(subject: str, home: str, resource: str) -> Decision:
    reason = f"{subject} belongs to herd {home}, and these {resource} to the cluster"
    return Decision(allowed=False, ground=Ground.OF_THE_CLUSTER, reason=reason)


def _not_let_out(subject: str, home: str, herd: str, gate: Decision) -> Decision:
    reason = f"herd {herd} allows it, but {subject} belongs to herd {home}, which does not let it out: {gate.reason}"
    return Decision(
        allowed=False,
        ground=Ground.NOT_LET_OUT,
        reason=reason,
        binding=gate.binding,
        herd=gate.herd,
        role=gate.role,
        rule=gate.rule,
    )
