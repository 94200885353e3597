"""What goes wrong on a bad day, and how it is made good again: actors, members of the control plane, nodes and their ways, the disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

import anyio
import anyio.abc
from runink.barn.keys import standing_key
from runink.errors import Unavailable
from runink.names import NodeId
from runink.runs.records import NodeRecord, NodeStanding, Standing
from runink.testing.cluster import SimulatedCluster, SimulatedNode
from runink.testing.disk import SPACE_BYTES, FaultyDisk
from runink.testing.links import Way
from runink.testing.lives import now_ms
from runink.testing.members import SimulatedMember

ACTING = ("barn", "runs", "scheduler", "vigil", "keeper", "governance")
CUT = (Way.LOSES_REQUESTS, Way.LOSES_ANSWERS)
FAULTS = (
    ["crash"] * 4
    + ["member gone", "member killed", "member parted"]
    + ["spawner", "agent gone", "node parted", "node slow", "node flaps"]
    + ["cordon", "drain", "uncordon"]
    + ["disk full", "disk has room"]
)
ANEW = ["node is another"] * 2


@dataclass
class Faults:
    """Of one life of a cluster; `group` is that of its tasks. `others` are its nodes as somebody may set them up anew, where that happens."""

    random: Random
    cluster: SimulatedCluster
    disk: FaultyDisk
    group: anyio.abc.TaskGroup
    others: tuple[NodeRecord, ...] = ()
    is_calm: bool = False

    def strike(self) -> None:
        """Let something go wrong, or right again."""
        node = self.random.choice(list(self.cluster.nodes.values()))
        member = self.random.choice(list(self.cluster.members.values()))
        fault = self.random.choice([*FAULTS, *ANEW] if self.others else FAULTS)
        match fault:
            case "crash":
                self._crash(node, member)
            case "disk full":
                self.disk.space_bytes -= self.disk.free_bytes()
            case "disk has room":
                self.disk.space_bytes = SPACE_BYTES
            case "member gone" | "member killed":
                is_killed = fault == "member killed"
                self._begin(lambda: member.away(self._some_s(), is_killed=is_killed))
            case "member parted":
                self._begin(lambda: member.link.cut(self.random.choice(CUT), self._some_s()))
            case "cordon" | "drain" | "uncordon":
                self._begin(lambda: self._say(node, fault))
            case _:
                self._strike_node(fault, node)

    def _strike_node(self, fault: str, node: SimulatedNode) -> None:
        match fault:
            case "spawner":
                node.spawner.die()
            case "agent gone":
                node.away(self.random.choice([0.0, 5.0, 40.0]))
            case "node is another":
                other = next(one for one in self.others if one.node == node.name)
                record = self.random.choice([None, other])
                node.away(self.random.choice([0.0, 5.0, 40.0]), other=record)
            case "node parted":
                self._begin(lambda: node.link.cut(self.random.choice(CUT), self._some_s()))
            case "node slow":
                node.link.delay_s = self.random.choice([0.0, 0.05, 0.5, 2.0])
            case "node flaps":
                self._begin(lambda: self._flap(node))
            case _:
                raise AssertionError(fault)

    async def calm(self) -> None:
        """Make good what does not become so by itself, in less than a minute."""
        self.is_calm = True
        self.disk.space_bytes = SPACE_BYTES
        for node in self.cluster.nodes.values():
            node.link.delay_s = 0.0
            if node.is_another:
                node.away(0.0)
            await self._say(node, "uncordon")

    def _begin(self, fault: Callable[[], Awaitable[None]]) -> None:
        self.group.start_soon(fault)

    def _some_s(self) -> float:
        """Return for how long: less than what anybody notices, or more than a lease."""
        return self.random.choice([0.3, 3.0, 8.0, 27.0, 45.0])

    def _crash(self, node: SimulatedNode, member: SimulatedMember) -> None:
        address = self.random.choice([*ACTING, f"agent-{node.name}", f"office-{member.name}"])
        try:
            self.cluster.crash(address)
        except (KeyError, Unavailable):
            return  # It is full, or between two lives.

    async def _flap(self, node: SimulatedNode) -> None:
        for _ in range(3):
            await node.link.cut(self.random.choice(CUT), self.random.choice([2.0, 31.0]))
            await anyio.sleep(self.random.choice([0.5, 6.0]))

    async def _say(self, node: SimulatedNode, what: str) -> None:
        """Say of a node what people do, until it is heard or somebody says otherwise for good."""
        name = NodeId(node.name)
        with anyio.move_on_after(30.0):
            while what == "uncordon" or not self.is_calm:
                try:
                    if what == "uncordon":
                        await self.cluster.client.barn.delete(standing_key(name))
                    else:
                        standing = Standing.CORDONED if what == "cordon" else Standing.DRAINING
                        said = NodeStanding(name, standing, now_ms())
                        await self.cluster.client.barn.put(standing_key(name), said)
                except Unavailable:
                    await anyio.sleep(1.0)
                else:
                    return
