"""Decisions of access: how many a second, and how long an index of 1,500 bindings takes to make.

The reference is casbin with a model that says no more than this: people have roles in a domain, roles have permissions.  It is given the same people, roles and herds; both must decide the same.
Ours knows more (denials, names, ends), and remembers what it found.  The sides take turns, the best turn of each counts, in seconds of a processor.  `bench/access.py` gathers these figures.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from runink.identity.access import AccessIndex
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import BUILT_IN, Binding, Effect, Role, RoleOf, Rule
from runink.names import BindingName, RoleName

from figures import Figure, above, below, main, shown

BINDINGS = 1_500
PEOPLE = 500
HERDS = 50
ROLES = ("viewer", "operator", "author")
QUESTIONS = 2_000
TURNS = 5
TURN_S = 0.3
DECISIONS_PER_S_MUST = 1_000_000
COMPILED_MS_MUST = 100
NOW_MS = 1_000
Question = tuple[Principal, str, str, str, str]
MODEL = """
[request_definition]
r = sub, obj, act, dom
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub, r.dom) && r.obj == p.obj && r.act == p.act
"""


def herd_of(number: int) -> str:
    return f"herd-{number % HERDS}"


def bindings() -> list[Binding]:
    return [
        Binding(
            BindingName(f"b{number}"),
            herd_of(number),
            RoleName(ROLES[number % len(ROLES)]),
            RoleOf.BUILT_IN,
            (f"user:corp:p{number % PEOPLE}",),
        )
        for number in range(BINDINGS)
    ]


def questions() -> list[Question]:
    """Return what known people ask, about half of which they may."""
    verbs = cycle(("get", "run", "delete", "list", "cancel"))
    resources = cycle(("runs", "pipelines", "secrets"))
    return [
        (
            Principal(PrincipalKind.USER, f"corp:p{number % PEOPLE}", ("corp:all",)),
            next(verbs),
            next(resources),
            herd_of(number),
            f"thing-{number}",
        )
        for number in range(QUESTIONS)
    ]


def rate(decide: Callable[[Question], bool], asked: list[Question]) -> float:
    """Return how many questions are answered in a second of one core."""
    done, began = 0, time.process_time()
    while (took := time.process_time() - began) < TURN_S:
        for one in asked:
            decide(one)
        done += len(asked)
    return done / took


def index() -> AccessIndex:
    return AccessIndex.compiled([], bindings(), revision=1)


def casbin() -> Any:
    """Return casbin's faster enforcer, which looks only at permissions of what is asked (`cache_key_order`), with the same roles and bindings."""
    sys.path += map(str, Path(__file__).parents[1].glob(".venv-bench/lib/python3*/site-packages"))
    from casbin import FastEnforcer
    from casbin.model import FastModel

    model = FastModel([1, 2])
    model.load_model_from_text(MODEL)
    enforcer = FastEnforcer(model, cache_key_order=[1, 2])
    enforcer.add_policies(
        {
            (role, str(resource), str(verb))
            for role in ROLES
            for rule in BUILT_IN[role].rules
            for resource in rule.resources
            for verb in rule.verbs
        }
    )
    enforcer.add_grouping_policies(
        [(one.subjects[0], str(one.role), one.herd) for one in bindings()]
    )
    return enforcer


def decided() -> list[Figure]:
    """Yes or no, and with the binding that decided; the same for people that are asked about for the first time."""
    at, theirs, asked = index(), casbin(), questions()

    def allowed(question: Question) -> bool:
        return at.allows(*question, now_ms=NOW_MS)

    def explained(question: Question) -> bool:
        return at.decide(*question, now_ms=NOW_MS).allowed

    def enforced(question: Question) -> bool:
        who, verb, resource, herd, _ = question
        return bool(theirs.enforce(who.subject, resource, verb, herd))

    for one in asked:
        assert allowed(one) == explained(one) == enforced(one), one
    may = sum(map(allowed, asked))
    turns = [
        (rate(allowed, asked), rate(explained, asked), rate(enforced, asked[:100]))
        for _ in range(TURNS)
    ]
    ours, whole, other = (max(column) for column in zip(*turns, strict=True))
    return [
        above(
            f"decisions/s, to casbin ({may} of {QUESTIONS:,} allowed)",
            ours,
            DECISIONS_PER_S_MUST,
            other,
        ),
        above(
            "decisions/s with the binding that decided, to casbin",
            whole,
            DECISIONS_PER_S_MUST,
            other,
        ),
    ]


def named() -> list[Figure]:
    """Where rules are about some names, each name is looked at: by patterns, of which one denies."""
    rules = (
        Rule(("*",), ("*",), ("thing-1*", "own-*", "*-test")),
        Rule(("*",), ("*",), ("*-prod",), Effect.DENY),
    )
    roles = [Role(RoleName("some"), herd_of(number), rules) for number in range(HERDS)]
    bound = [replace(one, role=RoleName("some"), role_of=RoleOf.HERD) for one in bindings()]
    at, known = AccessIndex.compiled(roles, bound), index()
    asked = questions()
    turns = [
        (
            rate(lambda one: at.allows(*one, now_ms=NOW_MS), asked),
            rate(lambda one: known.allows(*one, now_ms=NOW_MS), asked),
        )
        for _ in range(TURNS)
    ]
    ours, plain = (max(column) for column in zip(*turns, strict=True))
    return [shown("decisions/s that hang on the name, to those that do not", ours, plain)]


def compiled() -> list[Figure]:
    """An index is made anew whenever a role or a binding changes, and then remembers nothing."""
    first = questions()[:PEOPLE]

    def made() -> None:
        at = index()
        for one in first:
            at.allows(*one, now_ms=NOW_MS)

    def taken_ms(work: Callable[[], object]) -> float:
        began = time.process_time()
        work()
        return (time.process_time() - began) * 1_000

    ours = min(taken_ms(made) for _ in range(TURNS))
    other = min(taken_ms(casbin) for _ in range(TURNS))
    name = f"index of {BINDINGS:,} bindings made, and {PEOPLE} people asked about once, ms, to casbin's made"
    return [below(name, ours, COMPILED_MS_MUST, other)]


def measure(_: argparse.Namespace) -> list[Figure]:
    return [*decided(), *named(), *compiled()]


if __name__ == "__main__":
    main(measure, str(__doc__))
