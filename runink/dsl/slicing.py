"""Which nodes share a process, and which processes start together.

    slice   nodes that are joined by links, ask for the same (resources, limits, labels, network), and of which none wants to be alone
    gang    slices that are joined by pipes

Sources, contracts and sinks ask for nothing of their own: they go with the step that reads or feeds them.  But a step that asks for no network shares no process
with a source or sink that needs one; one that says nothing of it does.  Two nodes are not brought
together where a process would then wait for itself through another one (a slice never is on both ends of a chain of pipes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
from msgspec.structs import replace as changed

from runink.checkpoints import is_checkpoint
from runink.dag import (
    MAIN,
    REJECTED,
    UNLIMITED,
    Limit,
    Limits,
    Link,
    Node,
    Resources,
    Sink,
    SliceSpec,
    Source,
    Step,
)
from runink.dsl.asks import NOTHING_ASKED, Asks
from runink.networks import Network, is_elsewhere
from runink.quantities import format_cpu, format_duration, format_memory
from runink.topology import joined
from runink.tries import Retry
from runink.wants import NOTHING_MORE, Wants


@dataclass(frozen=True, slots=True)
class Wish:
    """What a node asks of its process; nothing where it takes what there is. `retry` is no question of which process: it stays the node's.

    `asks` are about the machine; `is_placed` says that an `@affinity` is among them.
    """

    resources: Resources | None = None
    network: Network | None = None
    isolate: bool = False
    limits: Limits = UNLIMITED
    retry: Retry | None = None
    timeout: Limit | None = None
    asks: Asks = NOTHING_ASKED
    is_placed: bool = False

    def requiring(self, limits: Limits, network: Network | None, *, default: Wish) -> Wish:
        """Return the wish with what a `@requires` says of its limits. What that leaves open is as in the scenario's."""
        base = default.resources or Resources()
        cpu_m, memory_bytes, *_ = limits.amounts
        resources = Resources(cpu_m or base.cpu_m, memory_bytes or base.memory_bytes)
        whole = limits.over(default.limits)
        return replace(self, resources=resources, limits=whole, network=network)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a process must have: the wish with the scenario's defaults in it. `network` is nothing where nobody says anything of it."""

    resources: Resources
    labels: tuple[str, ...]
    network: Network | None
    limits: Limits = UNLIMITED
    wants: Wants = NOTHING_MORE

    def told(self) -> str:
        cpu_m, memory_bytes, processes, disk_bytes, io_bytes = self.limits.amounts
        cpu = format_cpu(self.resources.cpu_m) + (" at most" if cpu_m else "")
        memory = format_memory(self.resources.memory_bytes) + (" at most" if memory_bytes else "")
        more = f", processes {processes} at most" if processes else ""
        more += f", disk {format_memory(disk_bytes)} at most" if disk_bytes else ""
        more += f", io {format_memory(io_bytes)} a second at most" if io_bytes else ""
        more += f", gpu {self.wants.gpus}" if self.wants.gpus else ""
        more += f", label {', '.join(self.labels)}" if self.labels else ""
        more += f", a node that sees {', '.join(self.wants.sees)}" if self.wants.sees else ""
        more += f", apart from {', '.join(self.wants.anti)}" if self.wants.anti else ""
        more += f", spread {self.wants.spread_by}" if self.wants.domain else ""
        more += f", grace {format_duration(self.wants.grace_ms)}" if self.wants.grace_ms else ""
        more += f", network {self.network.value}" if self.network is not None else ""
        return f"cpu {cpu}, memory {memory}{more}"

    def agreed(self, other: Needs) -> Needs | None:
        """Return what both of them need, or nothing if they need different things. No network, said or not, is no difference; neither is their time, of which the least counts, nor their grace, of which the most does."""
        ours, theirs = self.limits.wall_time, other.limits.wall_time
        least = min(ours, theirs, key=lambda one: one.amount) if ours and theirs else ours or theirs
        limits = changed(self.limits, wall_time=least)
        grace_ms = max(self.wants.grace_ms, other.wants.grace_ms)
        both = replace(
            self,
            network=self.network or other.network,
            limits=limits,
            wants=changed(self.wants, grace_ms=grace_ms),
        )
        return both if self._kind() == other._kind() else None

    def _kind(self) -> tuple[object, ...]:
        """What makes it differ from others: not the lines on which it stands."""
        network = self.network or Network.NONE
        wants = changed(self.wants, grace_ms=0)
        return self.resources, self.labels, network, self.limits.amounts, wants


def needs_of(wish: Wish, default: Wish) -> Needs:
    resources = wish.resources or default.resources or Resources()
    asks = wish.asks.over(default.asks)
    limits = wish.limits.over(default.limits)
    limits = changed(limits, wall_time=wish.timeout or default.timeout)
    network = wish.network or default.network
    return Needs(resources, asks.every_label, network, limits, asks.wants)


class _Groups:
    """Nodes that will share a process: begins with each by itself and joins what may be joined."""

    def __init__(
        self,
        nodes: Sequence[Node],
        links: Sequence[Link],
        wishes: Mapping[str, Wish],
        default: Wish,
    ) -> None:
        self.home = {node.id: node.id for node in nodes}
        self.members = {node.id: [node.id] for node in nodes}
        self.alone = {node for node, wish in wishes.items() if wish.isolate}
        self.needs: dict[str, Needs | None] = {
            node.id: needs_of(wishes.get(node.id, Wish()), default)
            if isinstance(node, Step)
            else None
            for node in nodes
        }
        self._links = links
        self.is_parted = any(map(is_checkpoint, nodes))
        self.reaches = {
            node.id: (node.path,)
            for node in nodes
            if isinstance(node, Source | Sink) and is_elsewhere(node.path)
        }

    def join_all(self, nodes: Sequence[Node]) -> None:
        incoming: dict[str, list[Link]] = {}
        for link in self._links:
            incoming.setdefault(link.target, []).append(link)
        for node in nodes:
            for link in sorted(
                incoming.get(node.id, ()), key=lambda one: one.role not in {MAIN, REJECTED}
            ):
                self._maybe_join(self.home[link.source], self.home[link.target])

    def _maybe_join(self, front: str, back: str) -> None:
        if front == back or front in self.alone or back in self.alone:
            return
        ours, theirs = self.needs[front], self.needs[back]
        both = ours.agreed(theirs) if ours is not None and theirs is not None else ours or theirs
        if both is None and ours is not None:
            return
        if self._is_shut_off(front, back) or self._is_around(front, back):
            return
        for node in self.members[back]:
            self.home[node] = front
        self.members[front].extend(self.members.pop(back))
        self.needs[front] = both

    def _is_shut_off(self, front: str, back: str) -> bool:
        """Say whether one of them asks for no network and the other has nodes that need one."""
        return any(
            needs is not None and needs.network is Network.NONE and self.reached(other)
            for needs, other in ((self.needs[front], back), (self.needs[back], front))
        )

    def reached(self, home: str) -> tuple[str, ...]:
        """Return the places elsewhere that a process's nodes read and write."""
        return tuple(
            dict.fromkeys(
                place for node in self.members[home] for place in self.reaches.get(node, ())
            )
        )

    def _is_around(self, front: str, back: str) -> bool:
        """Say whether a way leads from one to the other, either way, through a third."""
        after: dict[str, set[str]] = {}
        for link in self._links:
            source, target = self.home[link.source], self.home[link.target]
            if source != target:
                after.setdefault(source, set()).add(target)
        return _leads(after, front, back) or _leads(after, back, front)


def _leads(after: Mapping[str, set[str]], start: str, goal: str) -> bool:
    waiting = [found for found in after.get(start, ()) if found != goal]
    seen = set(waiting)
    while waiting:
        for found in after.get(waiting.pop(), ()):
            if found == goal:
                return True
            if found not in seen and found != start:
                seen.add(found)
                waiting.append(found)
    return False


def sliced(
    scenario: str,
    nodes: Sequence[Node],
    links: Sequence[Link],
    *,
    wishes: Mapping[str, Wish],
    default: Wish,
) -> tuple[SliceSpec, ...]:
    """Return a scenario's slices in the order of their first nodes; every node is in one of them."""
    groups = _Groups(nodes, links, wishes, default)
    groups.join_all(nodes)
    order = {node.id: place for place, node in enumerate(nodes)}
    homes = sorted(groups.members, key=lambda home: min(order[one] for one in groups.members[home]))
    pipes = ((groups.home[link.source], groups.home[link.target]) for link in links)
    gangs = joined(homes, pipes)
    parts = {home: tuple(sorted(groups.members[home], key=order.__getitem__)) for home in homes}
    ids = {home: scenario if len(homes) == 1 else parts[home][0] for home in homes}
    is_one_gang = len(set(gangs.values())) == 1
    specs = []
    for home in homes:
        needs = groups.needs[home] or needs_of(Wish(), default)
        specs.append(
            SliceSpec(
                id=ids[home],
                scenario=scenario,
                gang=scenario if is_one_gang else ids[gangs[home]],
                nodes=parts[home],
                resources=needs.resources,
                labels=needs.labels,
                why=_why(parts[home], needs, groups, is_only=len(homes) == 1),
                network=needs.network or Network.NONE,
                reaches=groups.reached(home),
                limits=needs.limits,
                asks=needs.wants if needs.wants != NOTHING_MORE else msgspec.UNSET,
            )
        )
    return tuple(specs)


def _why(parts: tuple[str, ...], needs: Needs, groups: _Groups, *, is_only: bool) -> str:
    told = needs.told()
    if parts[0] in groups.alone:
        return f"a process of its own: isolate=true; {told}"
    if len(parts) == 1 and is_only:
        return f"one node; {told}"
    if is_only:
        return f"fused: all of the scenario shares requirements and herd; {told}"
    others = sorted(
        {
            other.told()
            for home, other in groups.needs.items()
            if other is not None and other.told() != told
        }
    )
    if others:
        apart = f", others ask for {' and '.join(others)}"
    elif groups.alone:
        apart = ", apart from what is isolated"
    elif groups.is_parted:
        apart = ", apart from what is parted by a checkpoint"
    else:
        apart = ", apart from what needs a network"
    if len(parts) == 1:
        return f"one node: it asks for {told}{apart}"
    return f"fused: its {len(parts)} nodes share requirements and herd; they ask for {told}{apart}"
