"""Questions about who may what: what is told is what holds, and nobody learns by asking what they may not know."""

from __future__ import annotations

import pytest
from runink.errors import Forbidden, Invalid, NotFound
from runink.identity.decisions import Ground
from runink.identity.roles import Binding, Effect, Role, RoleOf, Rule
from runink.names import BindingName, RoleName
from runink.operations.catalog import herds, questions
from runink.testing.served import NOW_MS, Served, bound, person, program, served

pytestmark = pytest.mark.anyio
ANN, BEN, OLGA = person("ann"), person("ben", "team"), person("olga")
BOT = program("stock", "bot")
OUT = Role(RoleName("out"), "stock", (Rule(("cross",), ("herds",), ("sales",)),))
DENY = Role(RoleName("no-payroll"), "sales", (Rule(("*",), ("pipelines",), ("payroll-*",), Effect.DENY),))  # fmt: skip
BINDINGS = [
    bound("admins", "admin", ANN.subject, herd="sales"),
    bound("team", "operator", "group:corp:team", herd="sales"),
    bound("guests", "viewer", BOT.subject, herd="sales"),
    bound("olga", "admin", OLGA.subject, herd="stock"),
    Binding(BindingName("deny"), "sales", DENY.name, RoleOf.HERD, ("group:corp:team",)),
]
LET_OUT = Binding(BindingName("nightly-out"), "stock", OUT.name, RoleOf.HERD, (BOT.subject,))
RUNS = {"verb": "get", "resource": "runs", "in_herd": "sales"}
AS_BOT = RUNS | {"as": BOT.subject}


async def declared(cluster: Served) -> None:
    """Declare both herds, with no rights of their own: those are given."""
    for name in ("sales", "stock"):
        await cluster.barn.put(f"/herds/{name}", {"herd": name})


async def test_who_asks_learns_who_they_are_and_where_they_may_anything():
    async with served(roles=[DENY], bindings=BINDINGS) as cluster:
        await declared(cluster)
        said = await cluster.ask(questions.WHOAMI, BEN)
        assert (said.subject, said.groups, said.herds) == (
            "user:corp:ben",
            ("group:corp:team",),
            ("sales",),
        )
        assert (await cluster.ask(questions.WHOAMI)).herds == ("sales", "stock")


@pytest.mark.parametrize(
    ("asked", "allowed", "is_for_some"),
    [
        ({"verb": "run", "resource": "pipelines", "name": "daily"}, True, False),
        ({"verb": "run", "resource": "pipelines", "name": "payroll-1"}, False, False),
        ({"verb": "delete", "resource": "pipelines", "name": "daily"}, False, False),
        ({"verb": "get", "resource": "runs"}, True, False),
    ],
)
async def test_the_answer_is_what_the_index_decides(asked, allowed, is_for_some):
    async with served(roles=[DENY], bindings=BINDINGS) as cluster:
        said = await cluster.ask(questions.CAN_I, BEN, in_herd="sales", **asked)
        assert (said.allowed, said.is_for_some) == (allowed, is_for_some)
        explained = await cluster.ask(questions.EXPLAIN, BEN, in_herd="sales", **asked)
        assert explained.decision.allowed is allowed
        assert explained.decision.reason == said.reason


async def test_what_is_allowed_for_some_names_is_said_to_be():
    some = Role(RoleName("some"), "sales", (Rule(("get",), ("secrets",), ("a*",)),))
    given = Binding(BindingName("some"), "sales", some.name, RoleOf.HERD, (OLGA.subject,))
    async with served(roles=[some], bindings=[given]) as cluster:
        asked = {"verb": "get", "resource": "secrets", "in_herd": "sales"}
        said = await cluster.ask(questions.CAN_I, OLGA, **asked)
        assert (said.allowed, said.is_for_some) == (True, True)
        assert not (await cluster.ask(questions.CAN_I, OLGA, **asked, name="b")).allowed


async def test_only_who_may_impersonate_asks_for_somebody_else():
    async with served(roles=[DENY], bindings=BINDINGS) as cluster:
        asked = RUNS | {"as": BEN.subject}
        assert not (await cluster.ask(questions.CAN_I, ANN, **asked)).allowed
        grouped = await cluster.ask(questions.CAN_I, ANN, **asked, as_group=["group:corp:team"])
        assert grouped.allowed
        group = await cluster.ask(questions.CAN_I, ANN, **RUNS, **{"as": "group:corp:team"})
        assert (group.allowed, group.subject) == (True, "group:corp:team")
        with pytest.raises(Forbidden):
            await cluster.ask(questions.CAN_I, BEN, **RUNS, **{"as": ANN.subject})
        with pytest.raises(NotFound):
            await cluster.ask(questions.EXPLAIN, OLGA, **asked)
        assert (await cluster.ask(questions.CAN_I, BEN, **asked)).allowed, "that is who asks"
        for bad in ("everybody", "user:corp", "group:corp:", "service-account:x"):
            with pytest.raises(Invalid):
                await cluster.ask(questions.CAN_I, ANN, **RUNS, **{"as": bad})


async def test_of_a_herd_that_is_not_seen_the_answer_is_as_of_one_that_is_not_there():
    async with served(roles=[DENY], bindings=BINDINGS) as cluster:
        await declared(cluster)
        for who in (OLGA, BOT):
            told = [
                await cluster.ask(operation, who, **RUNS | {"in_herd": herd})
                for operation in (questions.CAN_I, questions.EXPLAIN)
                for herd in ("sales", "nowhere")
            ]
            assert told[0] == told[1]
            assert str(told[2]).replace("sales", "nowhere") == str(told[3])


async def test_how_another_herd_lets_its_account_out_is_told_to_who_may_read_it_there():
    async with served(roles=[DENY, OUT], bindings=[*BINDINGS, LET_OUT]) as cluster:
        for who, told in ((ANN, ()), (None, ("nightly-out",))):
            asker = [who] if who else []
            said = await cluster.ask(questions.EXPLAIN, *asker, **AS_BOT)
            assert said.decision.allowed
            assert tuple(one.binding for one in said.letting_out) == told
    async with served(roles=[DENY], bindings=BINDINGS) as cluster:
        said = await cluster.ask(questions.EXPLAIN, ANN, **AS_BOT)
        assert said.decision.ground is Ground.NOT_LET_OUT
        assert "no binding" not in said.decision.reason


async def test_who_may_is_told_to_who_may_read_bindings():
    asked = {"verb": "run", "resource": "pipelines"}
    async with served(roles=[DENY], bindings=BINDINGS) as cluster:
        said = await cluster.ask(questions.WHO_CAN, ANN, herd="sales", **asked)
        assert [one.subject for one in said.allowed] == ["group:corp:team", "user:corp:ann"]
        with pytest.raises(NotFound):
            await cluster.ask(questions.WHO_CAN, OLGA, herd="sales", **asked)
        with pytest.raises(Forbidden):
            await cluster.ask(questions.WHO_CAN_IN_CLUSTER, ANN, **asked)
        everywhere = await cluster.ask(questions.WHO_CAN_IN_CLUSTER, **asked)
        assert everywhere.allowed == ()


async def test_what_has_ended_is_explained_as_well():
    ended = Binding(BindingName("past"), "sales", RoleName("viewer"), RoleOf.BUILT_IN, (OLGA.subject,), NOW_MS)  # fmt: skip
    async with served(bindings=[*BINDINGS, ended], roles=[DENY]) as cluster:
        says = {"herd": {"id": "sales"}}
        await cluster.ask(herds.CREATE, says=says)
        said = await cluster.ask(questions.EXPLAIN, **RUNS, **{"as": OLGA.subject})
        assert not said.decision.allowed
        assert [one.binding for one in said.ended] == ["past"]
