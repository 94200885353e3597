"""People of the two-herd matrix whose rules speak of names: by a name somebody is let in, or something is hidden from him."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from access_row import Row
from runink.identity.principals import Principal
from runink.identity.roles import Binding, Effect, Role, RoleOf, Rule
from runink.identity.vocabulary import EVERYTHING, OF_THE_CLUSTER, Resource, Verb
from runink.names import BindingName, RoleName
from runink.operations.declarations import Operation, named_in
from runink.testing.served import person

LET_IN = "somebody whom a rule lets in by the name"
LET_IN_ELSEWHERE = "somebody whom a rule lets in by other names"
KEPT_OUT = "somebody from whom a rule hides it by the name"
KEPT_FROM_ABOVE = "somebody from whom a rule hides what it stands under"
NAMED: dict[str, Principal] = {
    LET_IN: person("let-in"),
    LET_IN_ELSEWHERE: person("let-in-elsewhere"),
    KEPT_OUT: person("kept-out"),
    KEPT_FROM_ABOVE: person("kept-from-above"),
}
# What stands under a thing: the first part of a path that names something, where that is no kind of the operation's own.
ABOVE = {
    "nodes.placements.list": (Resource.NODES, "node"),
    "schedules.trigger": (Resource.SCHEDULES, "pipeline"),
    "schedules.backfills.create": (Resource.SCHEDULES, "pipeline"),
    "schedules.backfills.stop": (Resource.SCHEDULES, "pipeline"),
    "pipelines.deploy": (Resource.PIPELINES, "pipeline"),
    "accounts.secrets.create": (Resource.SERVICE_ACCOUNTS, "account"),
    "tokens.mint": (Resource.SERVICE_ACCOUNTS, "account"),
    "tokens.revoke": (Resource.SERVICE_ACCOUNTS, "account"),
    "tokens.revoke-all": (Resource.SERVICE_ACCOUNTS, "account"),
    **dict.fromkeys(
        (
            "slices.list",
            "slices.get",
            "placements.list",
            "placements.why",
            "logs.list",
            "logs.follow",
            "lineage.get",
            "quality.get",
            "dead-letters.list",
            "dead-letters.rows",
            "samples.list",
            "samples.get",
        ),
        (Resource.RUNS, "run"),
    ),
}


class Named(NamedTuple):
    """What an operation is about, by name: `name` decides whether it may be done, `shown` is told of by its answer, and `above` is what it stands under."""

    kinds: frozenset[Resource]
    name: str
    shown: str
    above: tuple[Resource, str] | None

    @property
    def names(self) -> tuple[str, ...]:
        above = self.above[1] if self.above is not None else ""
        return tuple(sorted({self.name, self.shown, above} - {""}))


def named(operation: Operation, row: Row, asked: dict[str, object]) -> Named:
    """Return what is asked about."""
    above = None
    if operation.name in ABOVE:
        kind, part = ABOVE[operation.name]
        above = kind, str(asked[part])
    own = row.of or operation.resource
    kinds = {own, above[0] if above is not None else own} - {None}
    name = named_in(operation, asked) or row.makes
    return Named(frozenset(one for one in kinds if one is not None), name, row.shows, above)


def rules_of(what: Named, herd: str) -> tuple[list[Role], list[Binding]]:
    """Return what these people may in a herd, or in all and the cluster ("")."""
    everything = [one for one in Resource if not herd or one not in OF_THE_CLUSTER]
    rest = Rule((EVERYTHING,), tuple(one for one in everything if one not in what.kinds))
    kinds = tuple(sorted(what.kinds))

    def some(*names: str) -> tuple[Rule, ...]:
        return (rest, Rule((EVERYTHING,), kinds, names)) if kinds else (rest,)

    hidden = Rule((EVERYTHING,), (EVERYTHING,), what.names, Effect.DENY)
    rules = {
        LET_IN: some(*what.names),
        LET_IN_ELSEWHERE: some("zz-*"),
        KEPT_OUT: (Rule((EVERYTHING,), (EVERYTHING,)), *([hidden] if what.names else [])),
        KEPT_FROM_ABOVE: (Rule((EVERYTHING,), (EVERYTHING,)), *_from_above(what)),
    }
    roles, bindings = [], []
    for title, who in NAMED.items():
        name = who.name.removeprefix("corp:")
        role = Role(RoleName(name), herd, rules[title])
        roles.append(role)
        role_of = RoleOf.HERD if herd else RoleOf.CLUSTER
        binding = Binding(BindingName(name), herd or EVERYTHING, role.name, role_of, (who.subject,))
        bindings.append(binding)
    return roles, bindings


def _from_above(what: Named) -> Iterable[Rule]:
    if what.above is not None:
        kind, name = what.above
        yield Rule((Verb.GET,), (kind,), (name,), Effect.DENY)
