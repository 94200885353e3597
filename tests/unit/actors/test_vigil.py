"""Nodes that fall silent, in virtual time: what is said of them in the Barn, and that they get nothing new."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio.testing
from agent_world import agent_world
from runink.actors.life_signs import BEAT_S
from runink.actors.vigil import NodeVigil
from runink.barn.keys import health_key, node_key
from runink.clients.barn import BarnClient, Committed, Transaction
from runink.clients.run_requests import NodeLives
from runink.dag import Resources
from runink.errors import Refused, Unavailable
from runink.machines import BACK_S, SUSPECT_S
from runink.names import NodeId
from runink.runs.health import NodeHealth
from runink.runs.records import NodeRecord, SliceRecord, SliceState
from runink.runtime.ref import LocalRef
from runink.runtime.supervisor import ChildSpec, Supervisor, supervise
from runink.testing.lives import Crash, CrashingActor, now_ms

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from controlled_world import NODE, SOON_S, Controlled, controlled, refuse_commits

pytestmark = pytest.mark.trio
OTHER = NodeId("n2")


@dataclass
class Watched:
    """A control plane, its vigil, and nodes that say that they live for as long as they are in `living`."""

    world: Controlled
    supervisor: Supervisor
    vigil: LocalRef[Any] = field(init=False)
    living: set[NodeId] = field(default_factory=set)
    back_s: float = BACK_S

    async def start(self) -> None:
        def made() -> CrashingActor:
            return CrashingActor(NodeVigil(self.barn, now_ms=now_ms, back_s=self.back_s))

        self.vigil = await self.supervisor.start(ChildSpec("vigil", made))

    @property
    def barn(self) -> BarnClient:
        return self.world.client.barn

    async def hire(self, node: NodeId, incarnation: str = "") -> None:
        await self.barn.put(
            node_key(node), NodeRecord(node, Resources(8000, 8 << 30), incarnation=incarnation)
        )
        self.living.add(node)

    async def beat(self) -> None:
        while True:
            for node in sorted(self.living):
                await self.vigil.tell(NodeLives(node, ""))
            await anyio.sleep(BEAT_S)

    async def health(self, node: NodeId = NODE) -> NodeHealth:
        found = await self.barn.get(health_key(node), NodeHealth)
        assert found is not None
        return found.value

    async def submitted(self) -> SliceRecord:
        """Submit a run of one slice, and return that a moment later."""
        request = self.world.request()
        await self.world.client.submit(request)
        await anyio.sleep(SOON_S)
        (one,) = await self.world.slices(request.run)
        return one


@asynccontextmanager
async def watched(*nodes: NodeId, back_s: float = BACK_S) -> AsyncIterator[Watched]:
    async with controlled() as world, supervise() as supervisor, anyio.create_task_group() as group:
        made = Watched(world, supervisor, back_s=back_s)
        await made.start()
        group.start_soon(made.beat)
        for node in nodes:
            await made.hire(node)
        await anyio.sleep(SOON_S)
        yield made
        group.cancel_scope.cancel()


async def test_a_silent_node_gets_nothing_new_until_it_is_heard_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with watched(NODE) as made:
        made.living.clear()
        await anyio.sleep(SUSPECT_S + BEAT_S)
        assert (await made.health()).is_suspect
        one = await made.submitted()
        assert (one.state, one.waits_for) == (SliceState.PENDING, "n1 is suspect")
        made.living.add(NODE)
        await anyio.sleep(BEAT_S + SOON_S)
        assert not (await made.health()).is_suspect
        (one,) = await made.world.slices(one.run)
        assert (one.state, one.node) == (SliceState.PLACED, NODE)


async def test_what_a_silent_node_has_stays_there(autojump_clock: trio.testing.MockClock) -> None:
    async with watched(NODE, OTHER) as made:
        one = await made.submitted()
        assert one.node is not None
        made.living.discard(one.node)
        await anyio.sleep(3 * SUSPECT_S)
        assert (await made.health(one.node)).is_suspect
        (after,) = await made.world.slices(one.run)
        assert after == one


async def test_that_nodes_live_is_written_nowhere(autojump_clock: trio.testing.MockClock) -> None:
    async with watched(NODE, OTHER) as made:
        before = (await made.barn.status()).revision
        await anyio.sleep(100 * SUSPECT_S)
        assert (await made.barn.status()).revision == before


async def test_a_vigil_that_begins_anew_trusts_none_that_was_suspect_and_suspects_none_too_early(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with watched(NODE, OTHER) as made:
        made.living.discard(NODE)
        await anyio.sleep(SUSPECT_S + BEAT_S)
        await made.vigil.tell(Crash())
        await anyio.sleep(SOON_S)
        assert (await made.health()).is_suspect
        assert (await made.submitted()).node == OTHER
        await anyio.sleep(3 * SUSPECT_S)
        assert not (await made.health(OTHER)).is_suspect


async def test_a_decision_from_before_a_node_was_suspect_places_nothing_there(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(NODE) as made:
        (scheduler,) = made.world.schedulers
        commit = scheduler._barn.commit
        tried: list[Committed] = []

        async def late(transaction: Transaction) -> Committed:
            if not tried:  # the vigil is quicker than the decision
                await made.vigil.tell(NodeLives(NODE, "", is_leaving=True))
                made.living.clear()
                await anyio.sleep(SOON_S)
            tried.append(await commit(transaction))
            return tried[-1]

        monkeypatch.setattr(scheduler._barn, "commit", late)
        one = await made.submitted()
        await anyio.sleep(SOON_S)
        assert [tried[0].succeeded, tried[0].failed] == [False, (health_key(NODE),)]
        (one,) = await made.world.slices(one.run)
        assert (one.state, one.waits_for) == (SliceState.PENDING, "n1 is suspect")


async def test_a_node_with_trouble_is_avoided_for_a_while(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with watched(NODE, OTHER) as made:
        assert (await made.submitted()).node == NODE  # the first by name among equals
        await made.world.end_placed()
        for again in range(3):
            await made.barn.delete(node_key(NODE))
            await anyio.sleep(SOON_S)
            assert (await made.health()).lost_ms
            await made.hire(NODE)
            await anyio.sleep(SOON_S)
            assert (await made.health()).failures(now_ms()) == again + 1
        one = await made.submitted()
        assert one.node == OTHER
        await made.barn.commit(Transaction().delete(node_key(OTHER)))
        await anyio.sleep(SOON_S)
        assert (await made.submitted()).node == NODE, "it is the last choice, and a choice"


async def test_a_barn_that_takes_nothing_is_told_when_it_does(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(NODE) as made:
        commit = made.barn.commit
        refused: list[float] = []

        async def full(transaction: Transaction) -> Committed:
            if len(refused) < 3:
                refused.append(anyio.current_time())
                raise Unavailable("no space left", code="disk_full")
            return await commit(transaction)

        monkeypatch.setattr(made.barn, "commit", full)
        made.living.clear()
        await anyio.sleep(2 * SUSPECT_S)
        assert len(refused) == 3
        assert (await made.health()).is_suspect


async def test_a_barn_that_takes_nothing_is_asked_no_oftener_the_longer_it_does(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(NODE, OTHER) as made:
        came_s = refuse_commits(made.barn, monkeypatch, times=1000)
        made.living.discard(NODE)
        for _ in range(50):  # each has the vigil try
            await made.vigil.tell(NodeLives(NODE, "", is_leaving=True))
        await anyio.sleep(SOON_S)
        assert len(came_s) == 50
        await anyio.sleep(10.0)
        assert 10 <= len(came_s) - 50 <= 20


async def test_an_agent_says_that_it_lives_and_that_it_leaves(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        world.incarnation = "i1"
        await world.crash()
        world.lives.clear()
        await anyio.sleep(3 * BEAT_S)
        assert world.lives[-1] == NodeLives(NodeId("local"), "i1")
        assert len(world.lives) == 3
        await world.stop()
        await anyio.sleep(SOON_S)
        assert world.lives[-1].is_leaving


async def test_launches_that_fail_for_no_fault_of_the_slice_are_told(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with agent_world(tmp_path) as world:
        world.spawner.failures += [Unavailable("no processes left", code="launch_failed")] * 2
        await world.place_gang()
        await anyio.sleep(2 * BEAT_S)
        assert world.lives[-1].unborn == 2
        world.spawner.failures += [Refused("it has no such program", code="x")] * 2
        await world.place_gang(attempt=2)
        await anyio.sleep(2 * BEAT_S)
        assert world.lives[-1].unborn == 2, "that is the pipeline's own fault"
