"""Nodes as they are shown: how they stand, what they have and what is left on them; and of what they run each caller sees the part of its own herds."""

from __future__ import annotations

from typing import Any

import pytest
from runink.barn.keys import health_key, member_key, node_key, placement_key, run_key, slice_key
from runink.dag import Resources
from runink.errors import Forbidden, NotFound
from runink.names import HerdName, NodeId, PipelineName, RunId, SliceId
from runink.operations.calls import Position
from runink.operations.catalog import nodes
from runink.runs.health import TROUBLE, NodeHealth
from runink.runs.records import (
    NodeRecord,
    Placement,
    RunRecord,
    RunState,
    SliceRecord,
    SliceState,
)
from runink.testing.served import NOW_MS, Served, bound, person, served

pytestmark = pytest.mark.anyio
ANN, VIC = person("ann"), person("vic")
BINDINGS = [bound("sales", "viewer", ANN.subject, herd="sales"), bound("all", "viewer", VIC.subject)]  # fmt: skip
OFFERS = Resources(4000, 8 << 30)


async def join(cluster: Served, *names: str) -> None:
    for name in names:
        await cluster.barn.put(node_key(NodeId(name)), NodeRecord(NodeId(name), OFFERS))


async def place(cluster: Served, node: str, herd: str, number: int) -> None:
    """Have a slice of a run of its own run on a node."""
    run, name = RunId(f"01JDYX5K3QW8R2M4N6P7S9T0{number:02}"), SliceId("bronze")
    whose, on = HerdName(herd), NodeId(node)
    await cluster.barn.put(
        run_key(whose, run),
        RunRecord(
            run=run,
            herd=whose,
            pipeline=PipelineName("daily"),
            version="v",
            title="",
            file="daily.dsl",
            project="/p",
            bundle="b",
            state=RunState.RUNNING,
            submitted_ms=NOW_MS,
        ),
    )
    slice_of = SliceRecord(
        name, run, whose, "gang-1", SliceState.RUNNING, Resources(500, 1 << 30), node=on
    )
    await cluster.barn.put(slice_key(whose, run, name), slice_of)
    await cluster.barn.put(placement_key(on, run, name), Placement(run, name, whose, "gang-1", 1))


async def test_nodes_are_listed_with_how_they_stand_and_what_they_run():
    async with served(bindings=BINDINGS) as cluster:
        await join(cluster, "w1", "w2", "w3")
        await place(cluster, "w2", "sales", 1)
        await place(cluster, "w2", "stock", 2)
        seen = NodeHealth(NodeId("w3"), silent_ms=NOW_MS, troubles=2 * TROUBLE, troubled_ms=NOW_MS, why="it was lost")  # fmt: skip
        lost = NodeHealth(NodeId("w4"), lost_ms=NOW_MS - 5, back_ms=NOW_MS + 5)
        for one in (seen, lost):
            await cluster.barn.put(health_key(one.node), one)
        await cluster.ask(nodes.CORDON, node="w1")
        page = await cluster.ask(nodes.LIST, VIC, limit=3)
        shown = [(one.node, one.state, one.standing, one.slices) for one in page.items]
        assert shown == [("w1", "ready", "cordoned", 0), ("w2", "ready", None, 2), ("w3", "suspect", None, 0)]  # fmt: skip
        assert (page.items[2].troubles, page.items[2].trouble) == (2, "it was lost")
        rest = await cluster.ask(nodes.LIST, VIC, position=Position(page.revision, page.after))
        (gone,) = rest.items
        assert (gone.node, gone.state, gone.since_ms, gone.back_ms) == ("w4", "lost", NOW_MS - 5, NOW_MS + 5)  # fmt: skip
        assert gone.capacity is None


async def test_a_node_tells_its_room_and_what_is_left_while_it_is_drained():
    async with served() as cluster:
        await join(cluster, "w1")
        await place(cluster, "w1", "sales", 1)
        await place(cluster, "w1", "stock", 2)
        before = await cluster.ask(nodes.GET, node="w1")
        assert (before.capacity, before.used) == (OFFERS, Resources(1000, 2 << 30))
        assert (before.standing, before.left) == (None, None)
        said = await cluster.ask(nodes.DRAIN, node="w1")
        assert said.standing == "draining"
        after = await cluster.ask(nodes.GET, node="w1")
        assert (after.standing, after.left, after.slices) == ("draining", 2, 2)
        assert after.revision > before.revision
        assert (await cluster.ask(nodes.UNCORDON, node="w1")).standing is None
        assert (await cluster.ask(nodes.GET, node="w1")).left is None


@pytest.mark.parametrize("operation", [nodes.GET, nodes.CORDON, nodes.DRAIN, nodes.UNCORDON])
async def test_a_node_that_is_not_there_is_told(operation: Any):
    async with served() as cluster:
        with pytest.raises(NotFound) as refused:
            await cluster.ask(operation, node="w9")
        assert refused.value.code == "no_such_node"


async def test_of_what_a_node_runs_each_caller_sees_its_own_herds_part():
    async with served(bindings=BINDINGS) as cluster:
        await join(cluster, "w1")
        await place(cluster, "w1", "sales", 1)
        await place(cluster, "w1", "stock", 2)

        async def herds(by: Any) -> list[str]:
            page = await cluster.ask(nodes.PLACEMENTS, by, node="w1")
            return [one.herd for one in page.items]

        assert await herds(VIC) == ["sales", "stock"]
        assert await herds(ANN) == ["sales"]
        assert await herds(person("zoe")) == []
        with pytest.raises(Forbidden):
            await cluster.ask(nodes.GET, ANN, node="w1")


async def test_members_are_listed_with_who_leads():
    async with served() as cluster:
        await cluster.barn.put(member_key(1), "127.0.0.1:7000")
        status = await cluster.ask(nodes.STATUS)
        assert (status.lead, status.member) == (1, 1)
        page = await cluster.ask(nodes.MEMBERS)
        assert [(one.member, one.role, one.address) for one in page.items] == [(1, "leader", "127.0.0.1:7000")]  # fmt: skip


async def test_a_decision_that_is_not_there_is_told():
    async with served() as cluster:
        with pytest.raises(NotFound):
            await cluster.ask(nodes.REPLAY, decision=12)
