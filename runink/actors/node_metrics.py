"""The metrics of a worker node: its machine, its registration, its slices, and the agent's own process. They outlive the agent, which may begin anew."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from runink.actors.slice_meters import SliceMeters
from runink.machine_reading import (
    ROOT,
    read_disk_free_bytes,
    read_memory_available_bytes,
    read_stalls,
)
from runink.observe.metrics import Reading
from runink.relay.client import RelayClient
from runink.runs.records import NodeRecord

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class NodeMetrics:
    """One for a node."""

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self.slices = SliceMeters(now_s=now_s)
        self.relay: RelayClient | None = None  # counts for itself, and is asked
        self._now_s = now_s
        self._node: NodeRecord | None = None
        self._made_s = now_s()
        self._renewed_s: float | None = None
        self._heartbeats = {"renewed": 0, "missed": 0}

    def told(self, node: NodeRecord) -> None:
        """Take note of the record as it stands in the Barn now."""
        self._node = node
        self._renewed_s = self._now_s()

    def renewed(self) -> None:
        self._heartbeats["renewed"] += 1
        self._renewed_s = self._now_s()

    def missed(self) -> None:
        """Count a heartbeat that the Barn did not take."""
        self._heartbeats["missed"] += 1

    @property
    def heartbeat_age_s(self) -> float | None:
        """How long ago the node's lease was renewed; nothing while it is not registered."""
        return None if self._renewed_s is None else self._now_s() - self._renewed_s

    @property
    def parted_s(self) -> float:
        """How long the Barn was not heard of, at most since the agent's process began."""
        age_s = self.heartbeat_age_s
        return self._now_s() - self._made_s if age_s is None else age_s

    def readings(self, state: Path, *, root: Path = ROOT) -> Iterator[Reading]:
        """Yield all of it. `state` is the state folder, `root` where the kernel's files are."""
        for outcome, count in self._heartbeats.items():
            yield Reading("runink_agent_heartbeats_total", count, {"outcome": outcome})
        if (age_s := self.heartbeat_age_s) is not None:
            yield Reading("runink_agent_heartbeat_age_seconds", age_s)
        if self._node is not None:
            yield from _told(self._node)
        yield from _now(state, root)
        yield from _process(root)
        yield from self.slices.readings()


def _told(node: NodeRecord) -> Iterator[Reading]:
    yield Reading("runink_node_offered_cores", node.capacity.cpu_m / 1000)
    yield Reading("runink_node_offered_memory_bytes", node.capacity.memory_bytes)
    yield Reading("runink_node_clock_skew_seconds", node.clock_skew_ms / 1000)
    machine = node.machine
    if machine is None:
        return
    yield Reading(
        "runink_node_info",
        1,
        {
            "node": node.node,
            "kernel": machine.kernel,
            "architecture": machine.architecture,
            "python": machine.versions.get("python", ""),
            "version": machine.versions.get("runink", ""),
        },
    )
    yield Reading("runink_node_cores", machine.cpu_m / 1000)
    yield Reading("runink_node_memory_bytes", machine.memory_bytes)
    yield Reading("runink_node_disk_bytes", machine.disk_bytes)
    yield Reading("runink_node_gpus", len(machine.gpus))


def _now(state: Path, root: Path) -> Iterator[Reading]:
    yield Reading("runink_node_memory_available_bytes", read_memory_available_bytes(root))
    yield Reading("runink_node_disk_free_bytes", read_disk_free_bytes(state))
    for (resource, who), stalls in read_stalls(root).items():
        labels = {"resource": resource, "who": who}
        yield Reading("runink_node_pressure_seconds_total", stalls.total_s, labels)


def _process(root: Path) -> Iterator[Reading]:
    """Yield the figures of this process, which is the agent's; see proc(5) for the fields."""
    own = root / "proc/self"
    fields = (own / "stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
    started_s = int(fields[19]) / _TICKS
    uptime_s = float((root / "proc/uptime").read_text().split()[0])
    yield Reading("runink_agent_cpu_seconds_total", cpu_s)
    yield Reading("runink_agent_start_time_seconds", round(time.time() - uptime_s + started_s, 2))
    yield Reading("runink_agent_resident_memory_bytes", int(fields[21]) * _PAGE_BYTES)
    yield Reading("runink_agent_open_descriptors", sum(1 for _ in (own / "fd").iterdir()))
