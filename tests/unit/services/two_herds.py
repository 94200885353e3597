"""The two-herd matrix: every operation, asked by every kind of principal, in a herd of its own, in one of somebody else's, and in one that is not there.

What is expected follows from the plain rules of access (`tests/property/access_oracle.py`), which share nothing with the code that decides. What carries a question is a
`Carrier`: services in memory, HTTP, the wire.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import msgspec
from access_row import Row
from access_rows import ROWS
from runink.clients.herds import create_herd
from runink.errors import Forbidden, NotFound, RuninkError
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import Binding, Role, RoleOf, Rule
from runink.identity.vocabulary import Resource, Verb
from runink.names import BindingName, HerdName, RoleName
from runink.operations.answers import Content
from runink.operations.calls import Condition, Unauthenticated
from runink.operations.catalog.table import CATALOG
from runink.operations.declarations import HERD, Operation, named_in, path_names
from runink.testing.served import NOW_MS, OPERATOR, Served, bound, person, program, served

sys.path.insert(0, str(Path(__file__).parents[2] / "property"))
from access_oracle import Naive, is_of_the_cluster

OWN, FOREIGN, NOWHERE = "sales", "stock-of-others", "nowhere"
HERDS = (OWN, FOREIGN, NOWHERE)
BY_NAME = {operation.name: operation for operation in CATALOG}

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
}

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
RULES = Naive(ROLES, BINDINGS)


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
    """Carries a question to a world's services. `refuses_ended`: it looks at tokens itself, so that who comes with one that has ended is not known. `wants_tokens`: it does so whatever is asked."""

    refuses_ended: bool
    wants_tokens: bool

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
                return Told(Outcome.DONE, "", "")
        if isinstance(answer, Content):
            return Told(Outcome.DONE, "", "")
        return Told(Outcome.DONE, "", msgspec.json.encode(answer).decode())


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


@asynccontextmanager
async def world_of(row: Row, *, of_cluster: bool) -> AsyncIterator[tuple[Served, dict[str, Any]]]:
    """Have a world with both herds and what the row prepares in each, and the fields to ask with."""
    async with served(roles=ROLES, bindings=BINDINGS) as world:
        for herd in (OWN, FOREIGN):
            await create_herd(world.barn, HerdRecord(HerdName(herd)), By("operator:root", NOW_MS))
        fields = dict(row.fields)
        for herd in ("",) if of_cluster else (FOREIGN, OWN):
            if row.prepare is not None:
                fields |= await row.prepare(world, herd) or {}
        yield world, fields


def may(operation: Operation, who: Principal | None, herd: str, name: str) -> bool:
    """Say by the plain rules whether somebody may."""
    if operation.is_public or operation.is_for_known:
        return True
    assert who is not None
    assert operation.verb is not None
    assert operation.resource is not None
    names = [name] if name else _names_of(who, herd)
    return any(
        RULES.decide(who, operation.verb, operation.resource, herd, one, NOW_MS)[0] for one in names
    )


@cache
def sees(who: Principal, herd: str) -> bool:
    """Say by the plain rules whether somebody may do anything at all in a herd."""
    return any(
        RULES.decide(who, verb, resource, herd, name, NOW_MS)[0]
        for verb in Verb
        for resource in Resource
        if not is_of_the_cluster(verb, resource)
        for name in _names_of(who, herd)
    )


def _names_of(who: Principal, herd: str) -> list[str]:
    """Return names of all sorts that rules speak of: none in particular, and those in rules."""
    return ["", *(name for rule, *_ in RULES.has(who, herd, NOW_MS) for name in rule.names)]


async def mistakes_of(operation: Operation, carrier: Carrier) -> list[str]:
    """Ask an operation in all ways, and return what was not as the plain rules have it."""
    row, found = ROWS[operation.name], list[str]()
    is_of_herd = HERD in path_names(operation.path)
    herds = HERDS if is_of_herd else ("",)
    kept: list[tuple[str, str]] = []
    async with world_of(row, of_cluster=not is_of_herd) as (world, fields):
        for title, who in PRINCIPALS.items():
            told = {}
            for herd in herds:
                asked = fields_for(world, fields, herd) | ({HERD: herd} if is_of_herd else {})
                if _expected(operation, carrier, who, asked) is Outcome.DONE:
                    kept.append((title, herd))
                    continue
                told[herd] = await carrier.ask(world, operation, who, asked, row.content)
                found += _mistakes(operation, carrier, title, asked, told[herd])
            if not _sees_foreign(who) and _hints(told):
                found.append(f"{title}: a foreign herd is told from one that is not there: {told}")
    for title, herd in kept:
        async with world_of(row, of_cluster=not is_of_herd) as (world, fields):
            asked = fields_for(world, fields, herd) | ({HERD: herd} if is_of_herd else {})
            one = await carrier.ask(world, operation, PRINCIPALS[title], asked, row.content)
            found += _mistakes(operation, carrier, title, asked, one)
    return found


def fields_for(world: Served, fields: Mapping[str, Any], herd: str) -> dict[str, Any]:
    """Return the fields for a herd."""
    return {name: one(world, herd) if callable(one) else one for name, one in fields.items()}


def _expected(
    operation: Operation, carrier: Carrier, who: Principal | None, asked: Mapping[str, Any]
) -> Outcome:
    if operation.is_public and not carrier.wants_tokens:
        return Outcome.DONE
    if who is None or (carrier.refuses_ended and who is ENDED):
        return Outcome.UNKNOWN
    herd = asked.get(HERD, "")
    if may(operation, who, herd, named_in(operation, asked)):
        return Outcome.DONE
    return Outcome.FORBIDDEN if not herd or sees(who, herd) else Outcome.ABSENT


def _mistakes(
    operation: Operation, carrier: Carrier, title: str, asked: Mapping[str, Any], told: Told
) -> list[str]:
    who, row, herd = PRINCIPALS[title], ROWS[operation.name], asked.get(HERD, "")
    expected = _expected(operation, carrier, who, asked)
    got, right = told.outcome, {expected}
    if expected is Outcome.DONE and herd == NOWHERE:
        right |= {Outcome.ABSENT, Outcome.REFUSED}
    elif expected is Outcome.DONE and row.told:
        right, got = {Outcome.REFUSED}, got if told.code != row.told else Outcome.REFUSED
    where = f"{title} in {herd or 'the cluster'}"
    found = [] if got in right else [f"{where}: {told}, and not {expected}"]
    # Accounts of another herd that are bound here are this herd's to know, and its own herd is everybody's.
    text = told.text.replace(f"service-account:{FOREIGN}/", "")
    is_its_own = who is not None and who.herd == FOREIGN
    if herd != FOREIGN and not is_its_own and not _sees_foreign(who) and FOREIGN in text:
        found.append(f"{where}: is told of {FOREIGN}: {told}")
    return found


def _sees_foreign(who: Principal | None) -> bool:
    return who is not None and sees(who, FOREIGN)


def _hints(told: Mapping[str, Told]) -> bool:
    """Say whether what was told of the foreign herd is other than of one that is not there."""
    if not {FOREIGN, NOWHERE} <= told.keys():
        return False
    there, nowhere = told[FOREIGN], told[NOWHERE]
    plain = there.text.replace(FOREIGN, NOWHERE)
    return (there.outcome, there.code, plain) != (nowhere.outcome, nowhere.code, nowhere.text)
