"""Decisions of a scheduler that has a solver: made again they are the same bytes, and another release is not taken for the one that decided."""

from __future__ import annotations

from contextlib import aclosing

import pytest
from msgspec.structs import replace
from runink.actors.barn import Barn
from runink.actors.scheduler import Scheduler
from runink.barn.keys import PLACEMENTS, herd_key, node_key, slice_key
from runink.clients.barn import BarnClient, Transaction
from runink.dag import Resources
from runink.errors import Refused
from runink.herds.record import HerdRecord
from runink.names import HerdName, NodeId, RunId, SliceId
from runink.placement.improving import release
from runink.placement.plans import Solver
from runink.placement.solver import decide
from runink.runs.records import NodeRecord, SliceRecord, SliceState
from runink.runtime.supervisor import ChildSpec, supervise
from runink.scheduling.decisions import recorded
from runink.scheduling.snapshots import Tables, policy_for, snapshot_of
from runink.scheduling.view import ClusterView
from runink.scheduling.why import replayed
from runink.testing.disk import FaultyDisk, in_loop

HERD = HerdName("default")
POLICY = policy_for(2)
SLICES = tuple(
    SliceRecord(
        SliceId(f"s{cpu_m}"),
        RunId("r1"),
        HERD,
        f"s{cpu_m}",
        SliceState.PENDING,
        Resources(cpu_m, 1 << 20),
    )
    for cpu_m in (600, 500, 400, 300, 200)
)
NODES = tuple(NodeRecord(NodeId(name), Resources(1000, 8 << 30)) for name in ("a", "b"))
TABLES = Tables(NODES, slices=SLICES, revision=5)


def test_a_scheduler_with_a_solver_places_what_greed_does_not_and_the_replay_is_the_same() -> None:
    view = ClusterView(TABLES, POLICY)
    view.look(now_ms=7, revision=5)
    plan = view.plan()
    assert len(plan.placed) == 5
    assert plan == decide(snapshot_of(TABLES, now_ms=7, policy=POLICY))
    again = replayed(TABLES, recorded(plan, now_ms=7, policy=POLICY))
    assert again.digest == again.stored == plan.digest
    assert f"OR-tools {release()}, 2 neighbourhoods of 4 nodes" in again.finish
    assert {one.moved.by for one in again.moved} == {"solver"}


def test_another_release_is_told_and_not_asked() -> None:
    plan = decide(snapshot_of(TABLES, now_ms=7, policy=POLICY))
    other = replace(POLICY, finish=replace(POLICY.finish, solver=Solver("1.0.0", 2)))
    with pytest.raises(Refused) as caught:
        replayed(TABLES, recorded(plan, now_ms=7, policy=other))
    assert caught.value.code == "solver_missing"
    assert f"by OR-tools 1.0.0, and here is {release()}" in str(caught.value)


@pytest.mark.anyio
async def test_the_scheduler_commits_what_its_solver_has_placed() -> None:
    async with supervise() as supervisor:
        disk = FaultyDisk()
        barn = await supervisor.start(
            ChildSpec("barn", lambda: Barn(lambda: disk, offload=in_loop))
        )
        client = BarnClient(barn, new_id=lambda: "t")
        transaction = Transaction().put(herd_key(HERD), HerdRecord(HERD))
        for node in NODES:
            transaction = transaction.put(node_key(node.node), node)
        for one in SLICES:
            transaction = transaction.put(slice_key(one.herd, one.run, one.slice), one)
        revision = (await client.commit(transaction)).revision
        scheduler = Scheduler(BarnClient(barn, new_id=lambda: "s"), now_ms=lambda: 7, policy=POLICY)
        await supervisor.start(ChildSpec("scheduler", lambda: scheduler))
        count = 0
        async with aclosing(client.watch(PLACEMENTS.prefix(), after_revision=revision)) as watch:
            async for watched in watch:
                count += len(watched.changes)
                if count == len(SLICES):
                    break
