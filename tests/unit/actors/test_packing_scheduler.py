"""The scheduler commits plans that are packed, and keeps in the decision's record how."""

from __future__ import annotations

import pytest
from controlled_world import HERD, seen
from runink.actors.barn import Barn
from runink.actors.scheduler import Scheduler
from runink.barn.keys import DECISIONS, PLACEMENTS, SLICES, herd_key, node_key, slice_key
from runink.clients.barn import BarnClient, Transaction
from runink.clock import now_ms
from runink.dag import Resources
from runink.names import NodeId, RunId, SliceId
from runink.placement.finishing import PACKED
from runink.runs.records import NodeRecord, SliceRecord, SliceState
from runink.runtime.supervisor import ChildSpec, supervise
from runink.scheduling.decisions import DecisionRecord
from runink.testing.disk import FaultyDisk, in_loop

pytestmark = pytest.mark.anyio


def waiting() -> Transaction:
    """Return what has two small slices go to n1 and a large one to n2, which has room for all."""
    found = Transaction().put(herd_key(HERD.herd), HERD)
    for name, cpu_m in (("n1", 1000), ("n2", 1100)):
        node = NodeRecord(NodeId(name), Resources(cpu_m, 8 << 30))
        found = found.put(node_key(node.node), node)
    for name, cpu_m in (("a", 300), ("b", 300), ("c", 500)):
        one = SliceRecord(
            SliceId(name),
            RunId("r"),
            HERD.herd,
            name,
            SliceState.PENDING,
            Resources(cpu_m, 1 << 20),
        )
        found = found.put(slice_key(one.herd, one.run, one.slice), one)
    return found


async def test_what_waits_goes_to_fewer_nodes_than_it_went_to_one_by_one() -> None:
    async with supervise() as supervisor:
        disk = FaultyDisk()
        barn = await supervisor.start(
            ChildSpec("barn", lambda: Barn(lambda: disk, offload=in_loop))
        )
        client = BarnClient(barn, new_id=lambda: "t")
        revision = (await client.commit(waiting())).revision
        scheduler = Scheduler(BarnClient(barn, new_id=lambda: "s"), now_ms=now_ms)
        await supervisor.start(ChildSpec("scheduler", lambda: scheduler))
        await seen(client, PLACEMENTS.prefix(), 3, revision)
        await seen(client, DECISIONS.prefix(), 1, revision)
        slices = (await client.range(SLICES.prefix(), SliceRecord)).items
        (decision,) = (await client.range(DECISIONS.prefix(), DecisionRecord)).items
        assert {found.value.node for found in slices} == {NodeId("n2")}
        assert decision.value.policy.finish == PACKED
