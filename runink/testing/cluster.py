"""A whole cluster in one process and in virtual time: real actors, a disk in memory, spawners without processes.

    async with simulated_cluster(disk, folder, nodes=(a, b), launched=begin) as cluster:
        run = await cluster.client.submit(...)
        cluster.crash("scheduler")            # a life ends with an error, the supervisor begins another
        cluster.nodes["a"].spawner.die()      # with all its slices; spawner and agent begin anew
        cluster.nodes["a"].away(40.0)         # the agent is gone for so long; its slices go on
        cluster.nodes["a"].link.cut(...)      # it is there and does not reach the Barn
        cluster.members["m1"].link.cut(...)   # so is a member of the control plane (`testing/members.py`)

Run it under trio with a MockClock that jumps: nothing in it waits for anything real.  A power cut is the end of the block and another
cluster on `disk.crash()`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

import anyio
from msgspec.structs import replace as changed

from runink.actors.agent import Agent
from runink.actors.barn import Barn
from runink.actors.governance import Governance
from runink.actors.group import Group
from runink.actors.launching import Workplace
from runink.actors.node_metrics import NodeMetrics
from runink.barn.store import Store
from runink.clients.barn import BarnClient
from runink.clients.cluster import BARN, GOVERNANCE, Cluster
from runink.dag import Resources
from runink.errors import Broken, Unavailable
from runink.names import BundleHash, NodeId
from runink.runs.records import NodeRecord
from runink.runtime.ref import LocalRef
from runink.runtime.supervisor import Supervisor, supervise
from runink.testing.disk import FaultyDisk, in_loop
from runink.testing.links import Link
from runink.testing.lives import Crash, CrashWanted, Lives, now_ms
from runink.testing.members import ControlPlane, SimulatedMember
from runink.testing.relays import FakeRelay
from runink.testing.spawner import FakeSlice, FakeSpawner

BUNDLE: Final = BundleHash("b")
NODE: Final = NodeRecord(NodeId("a"), Resources(8000, 8 << 30))
SEGMENT_BYTES: Final = 64 << 10  # of the log: a full disk is felt after some records


class SimulatedNode:
    """A worker node: its spawner, and an agent that comes and goes."""

    def __init__(self, name: str, cluster: SimulatedCluster, record: NodeRecord) -> None:
        self.name = name
        self.spawner = FakeSpawner(cluster.launched)
        self.link = Link(cluster.refs[BARN])
        self._cluster = cluster
        self._record = self._own = record
        self._relay = FakeRelay(lambda: cluster.refuses_stream()) if record.streams else None  # noqa: PLW0108 - it is set when the node is there
        self._leave = anyio.CancelScope()
        self._away_s = 0.0

    async def run(self, started: anyio.Event) -> None:
        """Do as `node.worker_node`: an agent as long as its spawner lives, then both anew."""
        while True:  # ends with the cluster
            with anyio.CancelScope() as self._leave:
                # What is unavailable is the spawner that has ended, or the Barn while the agent stopped.
                with suppress(Unavailable):
                    async with _unless_wanted():
                        await self._work(started)
            await anyio.sleep(self._away_s)
            self._away_s = 0.0
            if self.spawner.has_ended:
                self.spawner = FakeSpawner(self._cluster.launched)
            else:
                self.spawner.attach()

    async def _work(self, started: anyio.Event) -> None:
        """Have an agent until the spawner ends, also if none can start meanwhile."""
        async with supervise() as supervisor, anyio.create_task_group() as group:
            group.start_soon(self._start_agent, supervisor, started)
            await self.spawner.wait_ended()
            group.cancel_scope.cancel()

    async def _start_agent(self, supervisor: Supervisor, started: anyio.Event) -> None:
        await Lives(supervisor, self._cluster.refs).start(f"agent-{self.name}", self._agent)
        started.set()

    def away(self, seconds: float, *, other: NodeRecord | None = None) -> None:
        """Have the agent be killed, and another come after so long; the spawner keeps its slices meanwhile. It comes as the `other` record says, or as it was in the beginning."""
        self._record = other or self._own
        self._away_s = seconds
        self._leave.cancel()

    @property
    def is_another(self) -> bool:
        """Say whether it is not as it was in the beginning."""
        return self._record is not self._own

    def _agent(self) -> Agent:
        return Agent(
            BarnClient(self.link, new_id=self._cluster.new_id),
            runs=Link(next(iter(self._cluster.members.values())).desk, beside=self.link),
            spawner=self.spawner,  # type: ignore[arg-type] # it does what the real one does
            node=changed(self._record, incarnation=self._cluster.new_id()),
            workplace=Workplace(self._cluster.folder, relay=self._relay),  # type: ignore[arg-type] # as the spawner
            now_ms=now_ms,
            metrics=NodeMetrics(now_s=anyio.current_time),
            offload=in_loop,
        )


class SimulatedCluster:
    """Made by `simulated_cluster`. `refs` are its actors by address, `client` is what people have, `sync_s` says how long the disk takes each time, `refuses_stream` whether a relay takes none."""

    def __init__(
        self, disk: FaultyDisk, folder: Path, launched: Callable[[FakeSlice], object], session: str
    ) -> None:
        self.disk = disk
        self.folder = folder
        self.launched = launched
        self.sync_s: Callable[[], float] = lambda: 0.0
        self.refuses_stream: Callable[[], bool] = lambda: False
        self._session = session
        self._random = Random(session).randrange  # noqa: S311 - the same session, the same numbers
        self.refs: dict[str, LocalRef[Any]] = {}
        self.nodes: dict[str, SimulatedNode] = {}
        self.plane: ControlPlane
        self.client: Cluster  # at the first member
        self._barn: Barn | None = None
        self._clients = count(1)

    def new_client(self) -> BarnClient:
        return BarnClient(self.refs[BARN], new_id=self.new_id)

    @property
    def store(self) -> Store | None:
        """The Barn's state, to look at; nothing while the Barn is between two lives."""
        return self._barn.store if self._barn is not None else None

    def _new_barn(self) -> Barn:
        group = Group(random=self._random, segment_bytes=SEGMENT_BYTES, now_ms=now_ms)
        self._barn = Barn(lambda: self.disk, offload=self._offload, group=group)
        return self._barn

    def crash(self, address: str) -> None:
        """End a life of an actor with an error."""
        self.refs[address].tell_nowait(Crash())

    async def _offload(self, function: Callable[..., Any], *arguments: Any) -> Any:
        await anyio.sleep(self.sync_s())
        return await in_loop(function, *arguments)

    def end_slices(self) -> None:
        """Leave nothing open."""
        for node in self.nodes.values():
            node.spawner.die()

    def new_id(self) -> str:
        return f"{self._session}-{now_ms()}-{next(self._clients)}"

    async def start(self, lives: Lives, members: tuple[str, ...]) -> None:
        barn = await lives.start(BARN, self._new_barn)
        await lives.start(GOVERNANCE, lambda: Governance(self.new_client()))
        self.plane = ControlPlane(
            members, barn=barn, refs=self.refs, session=self._session, new_id=self.new_id
        )
        for member in self.members.values():
            await member.start(lives)
        self.client = self.client_at(members[0])

    @property
    def members(self) -> dict[str, SimulatedMember]:
        return self.plane.members

    def client_at(self, member: str) -> Cluster:
        """Return what people have who ask this member."""
        desk = self.members[member].desk
        return Cluster(self.new_client(), self.refs[GOVERNANCE], desk, self._session)


@asynccontextmanager
async def _unless_wanted() -> AsyncIterator[None]:
    """Take a crash that was wanted and came while the actor stopped for what it is."""
    try:
        yield
    except Broken as crashed:
        if not isinstance(crashed.__cause__, CrashWanted):
            raise


@asynccontextmanager
async def simulated_cluster(
    disk: FaultyDisk,
    folder: Path,
    *,
    nodes: tuple[NodeRecord, ...] = (NODE,),
    members: tuple[str, ...] = ("m1",),
    session: str = "",
    launched: Callable[[FakeSlice], object] = lambda _: None,
) -> AsyncIterator[SimulatedCluster]:
    """Run a cluster for as long as the block. `launched` is called with every slice that begins; `folder` is where logs and scratch go, and the runs' BUNDLE is. Nodes that have `streams` have a relay.

    `session` must be another for every cluster on one disk: clients are named by it.
    """
    cluster = SimulatedCluster(disk, folder, launched, session)
    Workplace(folder).bundles.joinpath(BUNDLE).mkdir(parents=True, exist_ok=True)
    async with _unless_wanted(), AsyncExitStack() as stack:
        supervisor = await stack.enter_async_context(supervise())
        await cluster.start(Lives(supervisor, cluster.refs), members)
        group = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(group.cancel_scope.cancel)
        for record in nodes:
            node = SimulatedNode(record.node, cluster, record)
            cluster.nodes[record.node] = node
            started = anyio.Event()
            group.start_soon(node.run, started)
            await started.wait()
        stack.callback(cluster.end_slices)
        yield cluster
