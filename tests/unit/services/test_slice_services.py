"""The parts of a run over the API: its slices, where they are, and why, without a word about other herds."""

from __future__ import annotations

import pytest
from run_records import RUN, put_run, run_at, run_record, slice_record
from runink.barn.keys import node_key
from runink.dag import Resources
from runink.errors import Forbidden, NotFound
from runink.identity.principals import Principal, PrincipalKind
from runink.identity.roles import Binding, Role, RoleOf, Rule
from runink.names import BindingName, HerdName, NodeId, RoleName
from runink.operations.calls import Position
from runink.operations.catalog import logs, runs, slices
from runink.runs.attempts import Earlier, Fault
from runink.runs.records import NodeRecord, RunState, SliceState, Turn
from runink.testing.served import NOW_MS, bound, person, served

pytestmark = pytest.mark.anyio
ANN = person("ann")
VIEWER = [bound("ann", "viewer", ANN.subject, herd="sales")]
DONE = run_record("sales", state=RunState.CANCELLED)


async def test_slices_are_listed_by_name_and_state_part_by_part():
    async with served() as cluster:
        states = {"a": SliceState.SUCCEEDED, "b": SliceState.FAILED, "c": SliceState.SUCCEEDED}
        parts = [slice_record(DONE, name, state=state) for name, state in states.items()]
        await put_run(cluster.barn, DONE, *parts)
        first = await cluster.ask(slices.LIST, herd="sales", run=RUN, limit=2)
        after = Position(first.revision, first.after)
        rest = await cluster.ask(slices.LIST, herd="sales", run=RUN, limit=2, position=after)
        assert [one.slice for one in (*first.items, *rest.items)] == ["a", "b", "c"]
        page = await cluster.ask(slices.LIST, herd="sales", run=RUN, state=["failed"])
        assert [one.slice for one in page.items] == ["b"]


async def test_a_slice_is_told_with_its_attempts_its_node_and_what_it_waits_for():
    async with served() as cluster:
        earlier = (Earlier(1, NodeId("w2"), Fault.LOST),)
        part = slice_record(DONE, attempt=2, earlier=earlier, waits_for="w1 has cpu 1")
        await put_run(cluster.barn, DONE, part)
        told = await cluster.ask(slices.GET, herd="sales", run=RUN, slice="gold")
        assert (told.attempt, told.node, told.waits_for) == (2, "w1", "w1 has cpu 1")
        assert told.earlier == (slices.Earlier(1, "w2", "lost"),)
        assert told.used is None
        for name in ("silver", "gold.x"):
            with pytest.raises(NotFound) as refused:
                await cluster.ask(slices.GET, herd="sales", run=RUN, slice=name)
            assert "gold" in refused.value.hint


@pytest.mark.parametrize("name", ["..", "a/b", ".x", "a\nb", "", "x" * 201])
async def test_what_is_no_name_of_a_slice_is_not_looked_for(name: str):
    async with served() as cluster:
        with pytest.raises(NotFound) as refused:
            await cluster.ask(slices.GET, herd="sales", run=RUN, slice=name)
        assert refused.value.code == "not_found"


async def test_placements_say_where_slices_are_and_since_when_they_wait():
    async with served() as cluster:
        turn = Turn(priority=3, since_ms=NOW_MS, placed_ms=NOW_MS + 5)
        parts = [
            slice_record(DONE, "a", turn=turn, decision=7),
            slice_record(DONE, "b", node=None, state=SliceState.PENDING, waits_for="no room"),
        ]
        await put_run(cluster.barn, DONE, *parts)
        page = await cluster.ask(slices.PLACEMENTS, herd="sales", run=RUN)
        placed, waits = page.items
        assert (placed.node, placed.decision, placed.placed_ms) == ("w1", 7, NOW_MS + 5)
        assert (waits.node, waits.waits_for) == (None, "no room")


async def test_why_a_run_waits_is_told_without_other_herds_runs():
    """Both wait for the same node, and the other one is ahead."""
    async with served(bindings=VIEWER) as cluster:
        room = Resources(cpu_m=1000, memory_bytes=1 << 30)
        await cluster.barn.put(node_key(NodeId("w1")), NodeRecord(NodeId("w1"), room))
        other = run_at(1)
        for herd, run, priority in (("stock", other, 9), ("sales", RUN, 0)):
            record = run_record(herd, run, state=RunState.ADMITTED, priority=priority)
            turn = Turn(priority=priority, submitted_ms=NOW_MS, since_ms=NOW_MS)
            waiting = slice_record(
                record, state=SliceState.PENDING, node=None, resources=room, turn=turn
            )
            await put_run(cluster.barn, record, waiting)
        told = await cluster.ask(slices.WHY, ANN, herd="sales", run=RUN)
        (gang,) = told.gangs
        assert (gang.stands, gang.position, gang.queue) == ("waiting", 1, 1), gang
        asked = {"herd": "sales", "run": RUN, "if": ["quota sales cpu=1", "priority -50"]}
        told = await cluster.ask(slices.WHY, ANN, **asked)
        assert told.if_ == ("quota sales cpu=1", "priority -50")
        assert other not in str(told)
        with pytest.raises(NotFound) as refused:
            await cluster.ask(
                slices.WHY, ANN, herd="sales", run=RUN, **{"if": ["quota stock cpu=1"]}
            )
        nowhere = refused.value.text.replace("stock", "nowhere")
        with pytest.raises(NotFound) as refused:
            await cluster.ask(
                slices.WHY, ANN, herd="sales", run=RUN, **{"if": ["quota nowhere cpu=1"]}
            )
        assert refused.value.text == nowhere
        assert HerdName("stock") not in str(told)


async def test_a_slice_reads_itself_and_its_run_and_nothing_else():
    """By the token that it is given: what the table of principals says, asked through the API."""
    async with served() as cluster:
        await put_run(cluster.barn, DONE, slice_record(DONE), slice_record(DONE, "silver"))
        other = run_record("sales", run_at(1), state=RunState.CANCELLED)
        await put_run(cluster.barn, other, slice_record(other))
        itself = Principal(PrincipalKind.SLICE, f"sales/{RUN}/gold/1", herd="sales")
        told = await cluster.ask(slices.GET, itself, herd="sales", run=RUN, slice="gold")
        assert told.slice == "gold"
        assert (await cluster.ask(runs.GET, itself, herd="sales", run=RUN)).run == RUN
        for operation, asked in (
            (slices.GET, {"run": RUN, "slice": "silver"}),
            (slices.GET, {"run": other.run, "slice": "gold"}),
            (runs.GET, {"run": other.run}),
            (slices.LIST, {"run": RUN}),
            (logs.LIST, {"run": RUN}),
        ):
            with pytest.raises(Forbidden):
                await cluster.ask(operation, itself, herd="sales", **asked)


async def test_slices_are_listed_that_the_caller_may_read():
    rules = (Rule(("list",), ("slices",)), Rule(("get",), ("slices",), (f"{RUN}/silver",)))
    role = Role(RoleName("one"), "sales", rules)
    binding = Binding(BindingName("one"), "sales", role.name, RoleOf.HERD, (ANN.subject,))
    async with served(roles=[role], bindings=[binding]) as cluster:
        await put_run(cluster.barn, DONE, slice_record(DONE), slice_record(DONE, "silver"))
        page = await cluster.ask(slices.LIST, ANN, herd="sales", run=RUN)
        assert [one.slice for one in page.items] == ["silver"]
