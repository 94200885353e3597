"""The two-herd matrix: every operation, asked by every kind of principal, in a herd of its own, in one of somebody else's, and in one that is not there.

Among them are people whose rules speak of names (`named_people.py`): they are let in, or told of something, by its name, and those from whom a rule hides it are not.

What is expected follows from the plain rules of access (`tests/property/access_oracle.py`), which share nothing with the code that decides. What carries a question is a
`Carrier`: services in memory, HTTP, the wire.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import msgspec
from access_row import OWN
from access_rows import ROWS
from named_people import KEPT_FROM_ABOVE, LET_IN, NAMED, Named, named, rules_of
from runink.clients.herds import create_herd
from runink.errors import Forbidden, NotFound, RuninkError
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.access import AccessIndex
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import Binding, Role, RoleOf, Rule
from runink.identity.vocabulary import Resource, Verb
from runink.names import BindingName, HerdName, RoleName
from runink.operations.answers import Content, Event
from runink.operations.calls import Condition, Unauthenticated
from runink.operations.catalog.table import CATALOG
from runink.operations.declarations import HERD, Method, Operation, path_names
from runink.testing.served import NOW_MS, OPERATOR, Served, bound, person, program, served

sys.path.insert(0, str(Path(__file__).parents[2] / "property"))
from access_oracle import Naive, is_of_the_cluster

FOREIGN, NOWHERE = "stock-of-others", "nowhere"
HERDS = (OWN, FOREIGN, NOWHERE)
BY_NAME = {operation.name: operation for operation in CATALOG}
OPERATIONS = {name: place for place, name in enumerate(BY_NAME)}

GIL = person("gil", "team")
OWN_BOT, FOREIGN_BOT = program(OWN, "bot"), program(FOREIGN, "bot")
KEPT_IN, LET_OUT = program(FOREIGN, "kept-in"), program(FOREIGN, "let-out")
OLGA = person("olga")
ENDED = Principal(PrincipalKind.USER, "corp:ended", until_s=NOW_MS // 1000 - 1)
NOBODY = "nobody"

PRINCIPALS: dict[str, Principal | None] = {
    NOBODY: None,
    "somebody without bindings": person("zoe"),
    "viewer": person("viewer"),
    "operator of the herd": person("operator"),
    "author": person("author"),
    "steward": person("steward"),
    "admin": person("admin"),
    "admin of the other herd": OLGA,
    "member of a group": GIL,
    "program of the herd": OWN_BOT,
    "program of the other herd": FOREIGN_BOT,
    "program that is bound here and not let out": KEPT_IN,
    "program that is bound here and let out": LET_OUT,
    "slice": Principal(PrincipalKind.SLICE, f"{OWN}/run-1/slice-1/1", herd=OWN),
    "node": Principal(PrincipalKind.NODE, "node-1"),
    "operator": OPERATOR,
    "viewer of all herds": person("auditor"),
    "cluster-admin": person("chief"),
    "somebody whose token has ended": ENDED,
    "somebody whose binding has ended": person("former"),
    **NAMED,
}
PLACES = {title: place for place, title in enumerate(PRINCIPALS)}

_OUT = Role(RoleName("to-own"), FOREIGN, (Rule((Verb.CROSS,), (Resource.HERDS,), (OWN,)),))
_FORMER = Binding(
    BindingName("former"),
    OWN,
    RoleName("admin"),
    RoleOf.BUILT_IN,
    ("user:corp:former",),
    NOW_MS - 1,
)
ROLES = [_OUT]
BINDINGS = [
    *(bound(one, one, f"user:corp:{one}", herd=OWN) for one in ("viewer", "operator", "author", "steward", "admin")),
    bound("olga", "admin", OLGA.subject, herd=FOREIGN),
    bound("team", "operator", "group:corp:team", herd=OWN),
    bound("bot", "author", OWN_BOT.subject, herd=OWN),
    bound("bot", "admin", FOREIGN_BOT.subject, herd=FOREIGN),
    bound("guests", "operator", KEPT_IN.subject, LET_OUT.subject, herd=OWN),
    Binding(BindingName("out"), FOREIGN, _OUT.name, RoleOf.HERD, (LET_OUT.subject,)),
    bound("auditors", "viewer", "user:corp:auditor"),
    bound("chiefs", "cluster-admin", "user:corp:chief"),
    bound("ended", "admin", ENDED.subject, herd=OWN),
    _FORMER,
]  # fmt: skip
RULES = Naive(ROLES, BINDINGS)  # of whoever has no rule that speaks of names


class Outcome(Enum):
    DONE = "done"
    UNKNOWN = "not known who asks"
    FORBIDDEN = "forbidden"
    ABSENT = "nothing there"
    REFUSED = "refused otherwise"


@dataclass(frozen=True)
class Told:
    """What came back. `text` is all that the caller was told: the answer, or the words of the refusal."""

    outcome: Outcome
    code: str
    text: str


class Carrier(Protocol):
    """Carries a question to a world's services. `refuses_ended`: it looks at tokens itself, so that who comes with one that has ended is not known. `wants_tokens`: it does so whatever is asked.

    `is_in_pairs`: it is asked in so many ways that each principal and each kind of herd, each operation and each principal, and each operation and each kind of herd come together once at least.
    """

    refuses_ended: bool
    wants_tokens: bool
    is_in_pairs: bool

    async def ask(
        self,
        world: Served,
        operation: Operation,
        principal: Principal | None,
        fields: Mapping[str, Any],
        content: bytes | None,
    ) -> Told: ...


class InMemory:
    """Calls the services themselves."""

    refuses_ended = False
    wants_tokens = False
    is_in_pairs = False

    async def ask(
        self,
        world: Served,
        operation: Operation,
        principal: Principal | None,
        fields: Mapping[str, Any],
        content: bytes | None,
    ) -> Told:
        condition = Condition(is_any=True) if operation.is_conditional else None
        if principal is None and not operation.is_public:
            return Told(Outcome.UNKNOWN, "unauthenticated", "")
        try:
            answer = await world.ask(
                operation, principal, condition=condition, content=content, **fields
            )
        except RuninkError as error:
            return Told(outcome_of(error), error.code, f"{error.text} {error.hint}")
        if hasattr(answer, "aclose"):
            async with aclosing(answer):
                text = await _first_of(answer) if tells_at_once(fields) else ""
                return Told(Outcome.DONE, "", text)
        if isinstance(answer, Content):
            return Told(Outcome.DONE, "", "")
        return Told(Outcome.DONE, "", msgspec.json.encode(answer).decode())


def tells_at_once(fields: Mapping[str, Any]) -> bool:
    """Say whether a stream tells something at once: of what is not there, nothing comes."""
    return "since" in fields and fields.get(HERD) != NOWHERE


async def _first_of(events: Any) -> str:
    """Return what comes first of a stream of what has happened: if nothing is told of it, that is a bookmark."""
    first = await anext(events)
    return msgspec.json.encode(first).decode() if isinstance(first, Event) else ""


def outcome_of(error: RuninkError) -> Outcome:
    """Return what an error means to the matrix."""
    match error:
        case Unauthenticated():
            return Outcome.UNKNOWN
        case Forbidden():
            return Outcome.FORBIDDEN
        case NotFound():
            return Outcome.ABSENT
        case _:
            return Outcome.REFUSED


@dataclass(frozen=True)
class World:
    """A world in which one operation is asked: what it is about by name, and the plain rules of who may what there."""

    served: Served
    fields: dict[str, Any]
    named: Named
    rules: Naive

    def may(self, operation: Operation, who: Principal | None, herd: str) -> bool:
        """Say by the plain rules whether somebody may."""
        if operation.is_public:
            return True
        assert who is not None
        if self.named.above is not None and self._is_hidden(who, *self.named.above, herd):
            return False
        verb, resource = operation.verb, operation.resource
        if verb is None or resource is None:
            return True
        name = self.named.name
        is_read = verb in {Verb.LIST, Verb.WATCH} and resource is not Resource.SLICES
        if is_read and name and self._is_hidden(who, resource, name, herd):
            return False
        names = [name] if name else _names_of(self.rules, who, herd)
        return any(self.rules.decide(who, verb, resource, herd, one, NOW_MS)[0] for one in names)

    def _is_hidden(self, who: Principal, kind: Resource, name: str, herd: str) -> bool:
        return self.rules.hides(who, Verb.GET, kind, herd, name, NOW_MS)

    def sees(self, who: Principal, herd: str) -> bool:
        """Say by the plain rules whether somebody may do anything at all in a herd."""
        return _sees(self.rules if who in NAMED.values() else RULES, who, herd)


@cache
def _sees(rules: Naive, who: Principal, herd: str) -> bool:
    """Say by the plain rules whether somebody may do anything at all in a herd."""
    if not rules.has(who, herd, NOW_MS):
        return False
    return any(
        rules.decide(who, verb, resource, herd, name, NOW_MS)[0]
        for verb in Verb
        for resource in Resource
        if not is_of_the_cluster(verb, resource)
        for name in _names_of(rules, who, herd)
    )


def _names_of(rules: Naive, who: Principal, herd: str) -> list[str]:
    """Return names of all sorts that rules speak of: none in particular, and those in rules."""
    return ["", *(name for rule, *_ in rules.has(who, herd, NOW_MS) for name in rule.names)]


@asynccontextmanager
async def world_of(operation: Operation) -> AsyncIterator[World]:
    """Have a world with both herds and what the operation's row prepares in each, and people whose rules speak of the names of that."""
    row, is_of_herd = ROWS[operation.name], is_in_herd(operation)
    async with served(roles=ROLES, bindings=BINDINGS) as world:
        for herd in (OWN, FOREIGN):
            await create_herd(world.barn, HerdRecord(HerdName(herd)), By("operator:root", NOW_MS))
        fields = dict(row.fields)
        for herd in (FOREIGN, OWN) if is_of_herd else ("",):
            if row.prepare is not None:
                fields |= await row.prepare(world, herd) or {}
        own = OWN if is_of_herd else ""
        what = named(operation, row, fields_for(world, fields, own) | ({HERD: OWN} if own else {}))
        roles, bindings = rules_of(what, own)
        roles, bindings = [*ROLES, *roles], [*BINDINGS, *bindings]
        world.access.index = AccessIndex.compiled(roles, bindings)
        await world.access.read(world.barn)
        yield World(world, fields, what, Naive(roles, bindings))


def is_in_herd(operation: Operation) -> bool:
    """Say whether an operation is asked of a herd."""
    return HERD in path_names(operation.path)


async def mistakes_of(operation: Operation, carrier: Carrier) -> list[str]:
    """Ask an operation in all ways, and return what was not as the plain rules have it. Who changes nothing is asked in one world with the others."""
    found = list[str]()
    kept: list[tuple[str, str]] = []
    async with world_of(operation) as world:
        asking = Asking(operation, carrier, world)
        for title, who in PRINCIPALS.items():
            told = {}
            for herd in _herds_for(title, operation, carrier):
                is_kept = asking.expected(who, herd) is Outcome.DONE
                if is_kept and operation.method is not Method.GET:
                    kept.append((title, herd))
                    continue
                told[herd] = await asking.ask(who, herd)
                found += asking.mistakes(title, herd, told[herd])
            if not asking.sees_foreign(who) and _hints(told):
                found.append(f"{title}: a foreign herd is told from one that is not there: {told}")
    for title, herd in kept:
        async with world_of(operation) as world:
            asking = Asking(operation, carrier, world)
            found += asking.mistakes(title, herd, await asking.ask(PRINCIPALS[title], herd))
    return found


def _herds_for(title: str, operation: Operation, carrier: Carrier) -> tuple[str, ...]:
    if not is_in_herd(operation):
        return ("",)
    if not carrier.is_in_pairs:
        return HERDS
    return (OWN,) if (PLACES[title] + OPERATIONS[operation.name]) % 2 else (FOREIGN, NOWHERE)


def fields_for(world: Served, fields: Mapping[str, Any], herd: str) -> dict[str, Any]:
    """Return the fields for a herd."""
    return {name: one(world, herd) if callable(one) else one for name, one in fields.items()}


@dataclass(frozen=True)
class Asking:
    """One operation, asked in one world by one carrier."""

    operation: Operation
    carrier: Carrier
    world: World

    async def ask(self, who: Principal | None, herd: str) -> Told:
        asked = fields_for(self.world.served, self.world.fields, herd)
        asked |= {HERD: herd} if herd else {}
        content = ROWS[self.operation.name].content
        return await self.carrier.ask(self.world.served, self.operation, who, asked, content)

    def expected(self, who: Principal | None, herd: str) -> Outcome:
        """Return what the plain rules have come of it."""
        if self.operation.is_public and not self.carrier.wants_tokens:
            return Outcome.DONE
        if who is None or (self.carrier.refuses_ended and who is ENDED):
            return Outcome.UNKNOWN
        if self.world.may(self.operation, who, herd):
            return Outcome.DONE
        is_absent = self.operation.verb is None or (herd and not self.world.sees(who, herd))
        return Outcome.ABSENT if is_absent else Outcome.FORBIDDEN

    def mistakes(self, title: str, herd: str, told: Told) -> Iterator[str]:
        """Yield what is wrong with what was told."""
        who, row = PRINCIPALS[title], ROWS[self.operation.name]
        expected = self.expected(who, herd)
        got, right = told.outcome, {expected}
        if expected is Outcome.DONE and herd == NOWHERE:
            right |= {Outcome.ABSENT, Outcome.REFUSED}
        elif expected is Outcome.DONE and told.code == "not_held" and title in NAMED:
            right |= {Outcome.FORBIDDEN}  # what somebody has of some names only he cannot give on
        elif expected is Outcome.DONE and row.told:
            right, got = {Outcome.REFUSED}, got if told.code != row.told else Outcome.REFUSED
        where = f"{title} in {herd or 'the cluster'}"
        if got not in right:
            yield f"{where}: {told}, and not {expected}"
        # Accounts of another herd that are bound here are this herd's to know, and its own herd is everybody's.
        text = told.text.replace(f"service-account:{FOREIGN}/", "")
        is_its_own = who is not None and who.herd == FOREIGN
        if herd != FOREIGN and not is_its_own and not self.sees_foreign(who) and FOREIGN in text:
            yield f"{where}: is told of {FOREIGN}: {told}"
        shown = self.world.named.shown
        is_told = shown and title in NAMED and herd in {OWN, ""} and told.outcome is Outcome.DONE
        if is_told and (shown in told.text) != (title in {LET_IN, KEPT_FROM_ABOVE}):
            yield f"{where}: {shown} is told of, or not: {told}"

    def sees_foreign(self, who: Principal | None) -> bool:
        return who is not None and self.world.sees(who, FOREIGN)


def _hints(told: Mapping[str, Told]) -> bool:
    """Say whether what was told of the foreign herd is other than of one that is not there."""
    if not {FOREIGN, NOWHERE} <= told.keys():
        return False
    there, nowhere = told[FOREIGN], told[NOWHERE]
    plain = there.text.replace(FOREIGN, NOWHERE)
    return (there.outcome, there.code, plain) != (nowhere.outcome, nowhere.code, nowhere.text)
