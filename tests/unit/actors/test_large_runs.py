"""Runs whose outputs and reports are near or beyond what the Barn takes in one record or transaction: they are written in less room, or fail and say why."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import msgspec
import pytest
import trio.testing
from msgspec.structs import replace as changed
from runink.actors.run_writes import LINEAGE_BYTES_MAX, fitting_lineage, transaction_of
from runink.barn.checks import check_proposal
from runink.barn.commands import VALUE_BYTES_MAX, Proposal, Txn, encode_proposal
from runink.barn.keys import PLACEMENTS, SLICES, lineage_key
from runink.clients.barn import Transaction
from runink.dsl.compiler import NODES_MAX
from runink.errors import Conflict, WireError
from runink.governance.lineage import Lineage
from runink.jobs import Done, Failed, NodeFacts, Prepared, PublishJob
from runink.names import RunId
from runink.runs.durations import NOTHING_KNOWN
from runink.runs.jobs import Folders, closing_job
from runink.runs.lifecycle import PUBLISH, decide
from runink.runs.records import RunState, SliceRecord, SliceState, Task
from runink.runs.views import RunView

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from controlled_world import HERD, NODE, SOON_S, Controlled, controlled, follow_to_the_end
from run_world import RunWorld, prepared, staged_dag

OUTPUTS_MAX = NODES_MAX - 1  # something must be read


def outputs(count: int, characters: int = 100) -> tuple[Prepared, ...]:
    """Return so many outputs at paths of that length, of which half is the way to where they lie aside."""
    return tuple(
        changed(
            prepared("a"),
            target=f"/p/{number}-{'t' * (characters // 2)}",
            aside=f"/p/.runink/{number}-{'a' * (characters // 2)}",
            sha256="5" * 64,
        )
        for number in range(count)
    )


def sent(transaction: Transaction) -> bytes:
    """Return a transaction as it is proposed. Raises Invalid for one that the Barn would refuse."""
    proposal = Proposal("c", 1, Txn(transaction.compares, transaction.operations, ()))
    check_proposal(proposal)
    return encode_proposal(proposal)


def to_publish(count: int, characters: int) -> RunWorld:
    """Return a run whose one slice has prepared so many outputs."""
    world = RunWorld(staged_dag("a"))
    world.settle()
    world.place()
    world.run("a")
    world.end("a", Done(prepared=outputs(count, characters)))
    return world


def transaction(world: RunWorld) -> Transaction:
    """Return what carries out what is decided now, and have it done."""
    view = RunView(world.record, world.dag, dict(world.slices))
    decision = decide(view, world.world())
    made = transaction_of(view, decision, revision_of=lambda _: 7, durations=NOTHING_KNOWN)
    world.settle()
    return made


@pytest.mark.parametrize("characters", [100, 1_000])
def test_as_many_outputs_as_a_pipeline_may_have_are_claimed_published_and_given_free_at_once(
    characters: int,
) -> None:
    world = to_publish(OUTPUTS_MAX, characters)
    begins = transaction(world)
    assert world.record.state is RunState.COMMITTING
    assert sent(begins)
    world.place()
    world.run(PUBLISH)
    world.end(PUBLISH, Done())
    ends = transaction(world)
    assert world.record.state is RunState.SUCCEEDED
    assert sent(ends)


@pytest.mark.parametrize(("characters", "is_lean"), [(100, False), (1_000, True)])
def test_what_its_record_has_no_room_for_the_publish_slice_reads_in_the_reports(
    characters: int, *, is_lean: bool
) -> None:
    world = to_publish(OUTPUTS_MAX, characters)
    begins = transaction(world)
    (put,) = [one.value for one in begins.operations if one.key.startswith("/runs/")]
    assert len(put) <= VALUE_BYTES_MAX
    record = msgspec.json.decode(put, type=type(world.record))
    assert all(one.aside == "" for one in record.prepared) is is_lean
    slices = {str(name): one for name, one in world.slices.items()}
    job = closing_job(
        world.dag, record, world.slices[PUBLISH], slices=slices, folders=Folders("/b", "/r")
    )
    assert isinstance(job, PublishJob)
    assert job.publish == outputs(OUTPUTS_MAX, characters)


def test_lineage_that_is_too_long_is_kept_without_columns() -> None:
    world = to_publish(3, 100)
    schema = tuple((f"column{number}", "timestamp[us, tz=UTC]") for number in range(15_000))
    facts = tuple(NodeFacts(node.id, rows_out=5) for node in world.dag.nodes)
    schemas = {node.id: schema for node in world.dag.nodes}
    world.put("a", report=Done(facts, prepared=outputs(3), schemas=schemas))
    transaction(world)
    world.place()
    world.run(PUBLISH)
    world.end(PUBLISH, Done())
    ends = transaction(world)
    assert sent(ends)
    at = lineage_key(HERD.herd, world.record.run)
    (put,) = [one.value for one in ends.operations if one.key == at]
    kept = msgspec.json.decode(put, type=Lineage)
    assert len(put) <= LINEAGE_BYTES_MAX
    assert [one.schema for one in kept.stages] == [(), ()]
    assert [one.facts.rows_out for one in kept.stages] == [5, 5]
    assert len(kept.edges) == 1
    assert fitting_lineage(kept) == put


async def end_with(world: Controlled, run: RunId, report: Done | Failed) -> None:
    """Let the slices of a run that are placed end with this report."""
    listing = await world.client.barn.range(SLICES.prefix(HERD.herd, run), SliceRecord)
    for found in listing.items:
        one = found.value
        if one.state is SliceState.PLACED:
            mine = report if one.task is Task.CHAIN else Done()
            state = SliceState.SUCCEEDED if isinstance(mine, Done) else SliceState.FAILED
            done = changed(one, state=state, launched_ms=1, ended_ms=2, report=mine)
            at = PLACEMENTS.key(NODE, one.run, one.slice)
            await world.client.barn.commit(Transaction().put(found.key, done).delete(at))


@pytest.mark.trio
async def test_a_run_that_has_no_room_at_all_fails_and_says_so_and_others_go_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with controlled() as world:
        await world.add_node()
        world.dag = staged_dag("a", "b")
        request, other = world.request(), world.request()
        await world.client.submit(request)
        for name in ("a", "b"):
            await anyio.sleep(SOON_S)
            long = changed(prepared(name), target="/p/" + name * 700_000)
            await end_with(world, request.run, Done(prepared=(long,)))
        await anyio.sleep(SOON_S)
        await world.client.submit(other)
        async with anyio.create_task_group() as group:
            group.start_soon(world.work)
            await follow_to_the_end(world, request.run)
            await follow_to_the_end(world, other.run)
            group.cancel_scope.cancel()
        record = await world.run(request.run)
        assert record.failure is not None
        assert (record.state, record.failure.error.code) == (RunState.FAILED, "run_too_large")
        assert "make several pipelines of it" in record.failure.error.hint
        assert (await world.run(other.run)).state is RunState.SUCCEEDED
        assert len(world.controllers) == 1, "it did not crash"
        assert NODE in {one.node for one in await world.slices(request.run)}


async def failed_behind(world: Controlled, *reports: Done) -> RunId:
    """Let a run fail in its last scenario, whose others have succeeded with these reports."""
    await world.add_node()
    world.dag = staged_dag(*"abcdef"[: len(reports) + 1])
    request = world.request()
    await world.client.submit(request)
    for report in (*reports, Failed(WireError("Refused", "x", "x"))):
        await anyio.sleep(SOON_S)
        await end_with(world, request.run, report)
    async with anyio.create_task_group() as group:
        group.start_soon(world.work)
        await follow_to_the_end(world, request.run)
        group.cancel_scope.cancel()
    assert len((await world.run(request.run)).kept) == len(reports)
    return request.run


@pytest.mark.trio
async def test_a_run_takes_over_more_than_a_transaction_has_room_for_without_what_lineage_alone_shows(
    autojump_clock: trio.testing.MockClock,
) -> None:
    schema = tuple((f"column{number}", "timestamp[us, tz=UTC]") for number in range(20_000))
    reports = [Done(prepared=(prepared(name),), schemas={name: schema}) for name in "abc"]
    async with controlled() as world:
        old = await failed_behind(world, *reports)
        new = (await world.client.submit(changed(world.request(), resumes=old))).run
        taken = {str(one.slice): one for one in await world.slices(new)}
        lean = [changed(one, schemas={}) for one in reports]
        assert [taken[name].report for name in "abc"] == lean
        async with anyio.create_task_group() as group:
            group.start_soon(world.work)
            await follow_to_the_end(world, new)
            group.cancel_scope.cancel()
        record = await world.run(new)
        assert record.state is RunState.SUCCEEDED
        assert [one.sink for one in record.prepared] == ["a.sink", "b.sink", "c.sink"]


@pytest.mark.trio
async def test_what_has_no_room_in_a_transaction_at_all_is_not_gone_on_from_and_stays_as_it_is(
    autojump_clock: trio.testing.MockClock,
) -> None:
    reports = [
        Done(prepared=(changed(prepared(name), target="/p/" + name * 700_000),)) for name in "abc"
    ]
    async with controlled() as world:
        old = await failed_behind(world, *reports)
        before = await world.run(old)
        with pytest.raises(Conflict) as caught:
            await world.client.submit(changed(world.request(), resumes=old))
        assert caught.value.code == "run_too_large"
        assert await world.run(old) == before
        assert len(world.controllers) == 1, "it did not crash"
