"""Lines: rules as somebody has them, made ready to be asked. A line is one rule of a role under one binding.

What nobody binds stands in a fixed table, as lines of the same kind:

    operator     everything: who reaches the state folder's socket owns the machine's state
    node         get and watch of its own entry among nodes; what else it may say to members, the wire decides by its certificate
    slice        get of its own run (`RUN`) and of itself (`RUN/SLICE`), in its herd; it gets data, secrets and code through its agent
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from runink.identity.decisions import Held
from runink.identity.patterns import Patterns, mistake_in
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import NEVER, Binding, Rule
from runink.identity.vocabulary import EVERYTHING, Resource, Verb, is_of_the_cluster

FOREVER_MS: Final = 1 << 62  # the end of what has none: later than any time
_SLICE_PARTS: Final = 4  # HERD/RUN/SLICE/ATTEMPT


class Terms:
    """A rule made ready: whether it speaks of a verb on a resource, and of a name. Made once for each rule, however often it is bound."""

    __slots__ = ("_resources", "_verbs", "names", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule: Final = rule
        self.names: Final = Patterns(rule.names) if rule.names else None
        self._verbs = None if EVERYTHING in rule.verbs else frozenset(rule.verbs)
        self._resources = None if EVERYTHING in rule.resources else frozenset(rule.resources)

    def speaks_of(self, verb: str, resource: str) -> bool:
        """Say whether the rule is about this, whatever its name."""
        if self._verbs is not None and verb not in self._verbs:
            return False
        return self._resources is None or resource in self._resources

    def takes(self, name: str) -> bool:
        """Say whether the rule is about something of this name."""
        return self.names is None or self.names.takes(name)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Return each verb with each resource that the rule is about."""
        verbs = tuple(Verb) if self._verbs is None else self.rule.verbs
        resources = tuple(Resource) if self._resources is None else self.rule.resources
        return ((verb, resource) for verb in verbs for resource in resources)


@dataclass(frozen=True, slots=True)
class Line:
    """A rule that somebody has. `herd` is where the binding holds (EVERYTHING: everywhere), `place` that of the rule in its role, `until_ms` when it ends."""

    terms: Terms
    subject: str
    binding: str
    herd: str
    role: str
    place: int
    until_ms: int = FOREVER_MS

    @property
    def denies(self) -> bool:
        return self.terms.rule.denies

    @property
    def order(self) -> tuple[bool, bool, bool, str, int]:
        """Return its place among the lines that speak of one thing; the first that takes the name decides.

        What denies comes before what allows, what is about all names before what is about some, a herd's before one for all herds, then by the binding's
        name and the rule's place.
        """
        every = self.herd == EVERYTHING
        return not self.denies, bool(self.terms.rule.names), every, self.binding, self.place

    def holds_in(self, verb: str, resource: str, herd: str) -> bool:
        """Say whether it speaks of this in that herd (CLUSTER: of what belongs to none)."""
        if self.herd != EVERYTHING and (self.herd != herd or is_of_the_cluster(verb, resource)):
            return False
        return self.terms.speaks_of(verb, resource)

    def told(self) -> Held:
        """Return it as a fact."""
        until_ms = NEVER if self.until_ms == FOREVER_MS else self.until_ms
        effect = self.terms.rule.effect
        return Held(self.subject, self.binding, self.herd, self.role, self.place, effect, until_ms)


def lines_of(binding: Binding, terms: Iterable[Terms], subject: str) -> Iterator[Line]:
    """Return the lines that a binding gives one of its subjects."""
    until_ms = FOREVER_MS if binding.expires_ms == NEVER else binding.expires_ms
    for place, one in enumerate(terms):
        yield Line(one, subject, binding.name, binding.herd, binding.role_text, place, until_ms)


def fixed_lines(principal: Principal) -> tuple[Line, ...] | None:
    """Return what a principal has that cannot be bound, as the table above says; None for those that bindings are made for."""
    match principal.kind:
        case PrincipalKind.OPERATOR:
            everything = (Rule((EVERYTHING,), (EVERYTHING,)), Rule(fields=(EVERYTHING,)))
            return _fixed(principal, EVERYTHING, everything)
        case PrincipalKind.NODE:
            own = Rule((Verb.GET, Verb.WATCH), (Resource.NODES,), (principal.name,))
            return _fixed(principal, EVERYTHING, (own,))
        case PrincipalKind.SLICE:
            parts = principal.name.split("/")
            if len(parts) != _SLICE_PARTS or parts[0] != principal.herd:
                return ()
            _, run, name, _ = parts
            rules = (
                Rule((Verb.GET,), (Resource.RUNS,), (run,)),
                Rule((Verb.GET,), (Resource.SLICES,), (f"{run}/{name}",)),
            )
            return _fixed(principal, principal.herd, rules)
        case PrincipalKind.USER | PrincipalKind.SERVICE_ACCOUNT:
            return None


def _fixed(principal: Principal, herd: str, rules: tuple[Rule, ...]) -> tuple[Line, ...]:
    names = [name for rule in rules for name in rule.names]
    if any("*" in name or "?" in name or mistake_in(name) for name in names):
        return ()  # its own name would speak of others' as well
    return tuple(
        Line(Terms(rule), principal.subject, "", herd, principal.kind.value, place)
        for place, rule in enumerate(rules)
    )
