"""What happens in a herd, told of each kind to who may read it; and what becomes of nodes."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import Any

import anyio
import pytest
from msgspec.structs import replace as changed
from run_records import PIPELINE, deploy
from runink.barn.keys import contract_key, node_key, schedule_key
from runink.calendars import Schedule
from runink.dag import Resources
from runink.identity.roles import Binding, Role, RoleOf, Rule
from runink.identity.vocabulary import Resource, Verb
from runink.names import BindingName, HerdName, NodeId, RoleName
from runink.operations.answers import Event
from runink.operations.catalog import bindings, herds, nodes, run_events
from runink.runs.records import NodeRecord
from runink.runs.schedule_records import ScheduleRecord
from runink.testing.served import Served, person, served

pytestmark = pytest.mark.anyio
SALES = HerdName("sales")
WITHIN_S = 20.0
ANN = person("ann")


async def following(stream: Any) -> Event:
    """Return the next event of a stream."""
    with anyio.fail_after(WITHIN_S):
        while not isinstance(one := await anext(stream), Event):
            pass
    return one


async def take_events(stream: Any, count: int) -> list[Any]:
    async with aclosing(stream):
        found = [await following(stream) for _ in range(count)]
    return [(one.kind, one.data.name, one.data.before, one.data.state) for one in found]


async def happen(cluster: Served) -> None:
    """Have something of each kind happen in the herd, but to runs."""
    await deploy(cluster.barn, SALES)
    await cluster.barn.put(contract_key(SALES, "Order", "1.2.0"), "")
    schedule = ScheduleRecord(SALES, PIPELINE, "v", Schedule(cron="0 6 * * *"), 0)
    for one in (schedule, changed(schedule, seen_ms=9), changed(schedule, paused=True)):
        await cluster.barn.put(schedule_key(SALES, PIPELINE), one)
    fields: dict[str, Any] = {"role": "viewer", "subjects": ["group:corp:all"]}
    await cluster.ask(herds.CREATE, says={"herd": {"id": "sales"}})
    await cluster.ask(bindings.CREATE, herd="sales", binding="all", **fields)


HAPPENED = [
    ("pipeline", PIPELINE, "", "deployed"),
    ("contract", "Order@1.2.0", "", "published"),
    ("schedule", PIPELINE, "", "active"),
    ("schedule", PIPELINE, "active", "paused"),
    ("herd", "sales", "", "declared"),
    ("herd", "sales", "declared", "declared"),
    ("binding", "all", "", "made"),
]


async def test_events_of_a_herd_are_what_is_deployed_published_due_and_allowed_there() -> None:
    async with served() as cluster:
        stream = await cluster.ask(run_events.EVENTS, herd="sales")
        await happen(cluster)
        assert await take_events(stream, len(HAPPENED)) == HAPPENED


async def test_events_are_told_of_the_kinds_that_are_asked_for_and_may_be_read() -> None:
    rule = Rule((Verb.GET, Verb.WATCH), (Resource.EVENTS, Resource.CONTRACTS, Resource.BINDINGS))
    role = Role(RoleName("one"), "sales", (rule,))
    binding = Binding(BindingName("one"), "sales", role.name, RoleOf.HERD, (ANN.subject,))
    async with served(roles=[role], bindings=[binding]) as cluster:
        every = await cluster.ask(run_events.EVENTS, ANN, herd="sales")
        some = await cluster.ask(run_events.EVENTS, ANN, herd="sales", kinds=["binding", "herd"])
        await happen(cluster)
        assert await take_events(every, 2) == [HAPPENED[1], HAPPENED[-1]]
        assert await take_events(some, 1) == [HAPPENED[-1]]


async def test_who_watches_nodes_is_told_when_they_come_are_cordoned_and_go() -> None:
    one, other = NodeId("w1"), NodeId("w2")
    rule = Rule((Verb.GET, Verb.LIST, Verb.WATCH), (Resource.NODES,), ("w1",))
    role = Role(RoleName("one"), "", (rule,))
    binding = Binding(BindingName("one"), "*", role.name, RoleOf.CLUSTER, (ANN.subject,))
    async with (
        served(roles=[role], bindings=[binding]) as cluster,
        aclosing(await cluster.ask(nodes.WATCH, ANN)) as stream,
    ):
        barn = cluster.barn
        told = []
        for act in (
            partial(barn.put, node_key(one), NodeRecord(one, Resources(1000, 1 << 30))),
            partial(cluster.ask, nodes.CORDON, node=one),
            partial(cluster.ask, nodes.UNCORDON, node=one),
            partial(barn.delete, node_key(one)),
        ):
            await barn.put(node_key(other), NodeRecord(other, Resources()))
            await act()
            event = await following(stream)
            told.append((event.kind, event.data.node, event.data.now and event.data.now.standing))
    assert told == [
        ("node", one, None),
        ("node", one, "cordoned"),
        ("node", one, None),
        ("gone", one, None),
    ]
