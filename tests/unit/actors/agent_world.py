"""An agent between a real Barn and a spawner without processes; the test is scheduler and run controller."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import anyio
from msgspec.structs import replace as changed
from runink.actors.agent import Agent
from runink.actors.barn import Barn
from runink.actors.group import Group
from runink.actors.launching import Workplace
from runink.actors.node_metrics import NodeMetrics
from runink.actors.registration import Look, same
from runink.barn.keys import (
    node_key,
    pipeline_key,
    placement_key,
    run_key,
    slice_key,
)
from runink.clients.barn import BarnClient, Transaction
from runink.clients.run_requests import NodeLives, SliceProgress
from runink.dag import Dag, Resources
from runink.names import BundleHash, HerdName, NodeId, RunId, SliceId
from runink.runs.records import (
    NodeRecord,
    PipelineRecord,
    Placement,
    RunRecord,
    RunState,
    SliceRecord,
    SliceState,
)
from runink.runtime.actor import Actor
from runink.runtime.ref import LocalRef
from runink.runtime.supervisor import ChildSpec, Supervisor, supervise
from runink.testing.cluster import SEGMENT_BYTES
from runink.testing.disk import FaultyDisk, in_loop
from runink.testing.links import Link
from runink.testing.lives import Crash, CrashingActor, now_ms
from runink.testing.spawner import FakeSlice, FakeSpawner

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

from run_world import staged_dag

SOON_S = 0.2  # for what needs no time to be done

HERD = HerdName("default")
NODE = NodeId("local")
RUN = RunId("0" * 26)


class Heard(Actor[SliceProgress | NodeLives]):
    """Stands for the run controller."""

    def __init__(self, told: list[SliceProgress], lives: list[NodeLives]) -> None:
        self._told = told
        self._lives = lives

    async def receive(self, message: SliceProgress | NodeLives) -> None:
        if isinstance(message, NodeLives):
            self._lives.append(message)
        else:
            self._told.append(message)


@dataclass
class BarnClock:
    """The wall clock of the Barn's member."""

    behind_ms: int = 0

    def now_ms(self) -> int:
        return now_ms() - self.behind_ms


@dataclass
class AgentWorld:
    folder: Path
    supervisor: Supervisor
    barn: BarnClient
    told: list[SliceProgress]
    runs: LocalRef[Any]
    spawners: list[FakeSpawner]
    clock: BarnClock
    link: Link
    agents: list[Agent] = field(default_factory=list)
    agent: LocalRef[Any] = field(init=False)
    metrics: NodeMetrics = field(default_factory=lambda: NodeMetrics(now_s=anyio.current_time))
    look: Look = same
    lives: list[NodeLives] = field(default_factory=list)
    incarnation: str = ""
    is_away: bool = False
    dag: Dag = field(default_factory=lambda: staged_dag("a", fan=2))
    _ids: count[int] = field(default_factory=lambda: count(1))

    @property
    def spawner(self) -> FakeSpawner:
        return self.spawners[-1]

    def new_spawner(self) -> None:
        self.spawners.append(FakeSpawner())

    async def start(self) -> None:
        self.agent = await self.supervisor.start(
            ChildSpec("agent", lambda: CrashingActor(self._made()))
        )

    async def stop(self) -> None:
        await self.supervisor.stop("agent")

    async def crash(self) -> None:
        """End the agent's life, and wait until another has begun."""
        lives = len(self.agents)
        await self.agent.tell(Crash())
        await anyio.sleep(0.2)
        assert len(self.agents) == lives + 1
        await anyio.sleep(0.2)

    def _made(self) -> Agent:
        client = BarnClient(self.link, new_id=lambda: f"agent{next(self._ids)}")
        node = NodeRecord(NODE, Resources(1000, 1 << 30), incarnation=self.incarnation)
        self.agents.append(
            Agent(
                client,
                runs=self.runs,
                spawner=self.spawner,
                node=node,
                workplace=Workplace(self.folder, is_away=self.is_away, stays=self.is_away),
                now_ms=now_ms,
                metrics=self.metrics,
                look=self.look,
                offload=in_loop,
            )
        )
        return self.agents[-1]

    # What scheduler and run controller do.

    def record(self, slice_id: str, **changes: Any) -> SliceRecord:
        record = SliceRecord(
            SliceId(slice_id), RUN, HERD, "a", SliceState.PLACED, Resources(), node=NODE
        )
        return changed(record, **changes)

    async def submit(self) -> None:
        version = self.dag.hash
        run = RunRecord(
            RUN, HERD, self.dag.pipeline, version, "P", "p.dsl", "/p", BundleHash("b"),
            RunState.RUNNING, 1, stdin="/dev/null", stdout="/dev/null",
        )  # fmt: skip
        await self.barn.put(run_key(HERD, RUN), run)
        at = pipeline_key(HERD, self.dag.pipeline, version)
        await self.barn.put(at, PipelineRecord(self.dag))

    async def place(self, *records: SliceRecord) -> None:
        transaction = Transaction()
        for one in records:
            placement = Placement(one.run, one.slice, one.herd, one.gang, one.attempt)
            transaction = transaction.put(slice_key(HERD, RUN, one.slice), one).put(
                placement_key(NODE, RUN, one.slice), placement
            )
        await self.barn.commit(transaction)

    async def place_only(self, one: SliceRecord) -> None:
        """Put a slice's placement without its record."""
        placement = Placement(one.run, one.slice, one.herd, one.gang, one.attempt)
        await self.barn.put(placement_key(NODE, RUN, one.slice), placement)

    async def place_gang(self, *, attempt: int = 1) -> None:
        await self.place(*(self.record(name, attempt=attempt) for name in ("a", "a-1")))

    async def take_back(self, *slices: str) -> None:
        transaction = Transaction()
        for name in slices:
            transaction = transaction.delete(placement_key(NODE, RUN, SliceId(name)))
        await self.barn.commit(transaction)

    async def mark(self, *records: SliceRecord) -> None:
        """Mark the placements of slices that are to give way."""
        transaction = Transaction()
        for one in records:
            placement = Placement(
                one.run, one.slice, one.herd, one.gang, one.attempt, is_leaving=True
            )
            transaction = transaction.put(placement_key(NODE, RUN, one.slice), placement)
        await self.barn.commit(transaction)

    async def put(self, record: SliceRecord) -> None:
        await self.barn.put(slice_key(HERD, RUN, record.slice), record)

    # What is to be seen.

    def slice(self, name: str, attempt: int = 1) -> FakeSlice:
        return self.spawner.slices[f"{HERD}/{RUN}/{name}/{attempt}"]

    async def seen(self, name: str) -> SliceRecord:
        found = await self.barn.get(slice_key(HERD, RUN, SliceId(name)), SliceRecord)
        assert found is not None
        return found.value

    async def versions(self, *names: str) -> list[int]:
        """Return how often each slice's record was written."""
        keys = (slice_key(HERD, RUN, SliceId(name)) for name in names)
        found = [await self.barn.get(key, SliceRecord) for key in keys]
        return [one.version for one in found if one is not None]

    async def is_placed(self, name: str) -> bool:
        return await self.barn.get(placement_key(NODE, RUN, SliceId(name)), Placement) is not None

    async def has_node(self) -> bool:
        return await self.barn.get(node_key(NODE), NodeRecord) is not None

    def is_idle(self) -> bool:
        """Say whether the agent holds nothing of what is over."""
        agent = self.agents[-1]
        return not (agent._attended or agent._launching or agent._exits or agent._records)


@asynccontextmanager
async def agent_world(folder: Path, disk: FaultyDisk | None = None) -> AsyncIterator[AgentWorld]:
    used = disk or FaultyDisk()
    clock = BarnClock()
    Workplace(folder).bundles.joinpath("b").mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        spawners: list[FakeSpawner] = []
        stack.callback(lambda: [one.die() for one in spawners])  # when nobody asks them any more
        supervisor = await stack.enter_async_context(supervise())
        barn = await supervisor.start(
            ChildSpec(
                "barn",
                lambda: Barn(
                    lambda: used,
                    offload=in_loop,
                    group=Group(
                        random=Random(0).randrange, segment_bytes=SEGMENT_BYTES, now_ms=clock.now_ms
                    ),
                ),
            )
        )
        told: list[SliceProgress] = []
        lives: list[NodeLives] = []
        runs = await supervisor.start(ChildSpec("runs", lambda: Heard(told, lives)))
        client = BarnClient(barn, new_id=lambda: "t")
        world = AgentWorld(
            folder, supervisor, client, told, runs, spawners, clock, Link(barn), lives=lives
        )
        world.new_spawner()
        await world.submit()
        await world.start()
        yield world


async def launched(world: AgentWorld) -> None:
    await world.place_gang()
    await anyio.sleep(SOON_S)
    assert len(world.spawner.living) == 2


async def write_for_ever(world: AgentWorld, value: bytes) -> None:
    """Write until the files that are there already are written to their ends."""
    for _ in range(1000):
        await world.barn.put("/x", value)
