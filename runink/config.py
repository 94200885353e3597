"""What a node is told about itself: where it keeps its state, what it offers to slices, how long its slices outlive it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from runink.dag import Resources
from runink.errors import Invalid
from runink.names import NodeId

CPU_SHARES: Final = 16  # of each core: a request is a weight as long as no cgroup makes it a limit
STATE_FOLDER: Final = ".runink"
ORPHAN_S: Final = 25.0  # less than the agent's lease: who finds a slice lost may rely on its end


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of an embedded one-node cluster.

    `state` is the folder of everything that it keeps: the Barn's log, run folders, bundles, the socket.  One cluster at a time has it, which the
    Barn's lock sees to.

    `node` is the name under which the agent registers.

    `capacity` is what slices may ask for together.  Processor time is offered many times over (`CPU_SHARES` for each core): a
    gang of a hundred idle slices must fit a laptop, and the kernel shares a core more fairly than a reservation would.  Memory is the
    machine's.

    `slices_max` bounds how many slices run at once, whatever they ask for; each is a process.

    `orphan_s` is how long slices go on without their agent, seconds.  0 ends them with it: what a run started at a terminal wants.
    """

    state: Path
    node: NodeId = NodeId("local")
    capacity: Resources
    slices_max: int = 512
    orphan_s: float = ORPHAN_S

    @property
    def socket(self) -> Path:
        """Where the cluster listens, for this user only."""
        return self.state / "runi.sock"

    @property
    def barn(self) -> Path:
        return self.state / "barn"

    @property
    def spawner_log(self) -> Path:
        return self.state / f"spawner-{self.node}.log"

    def validate(self) -> None:
        """Raise Invalid for settings that cannot be meant."""
        if self.capacity.cpu_m < 1 or self.capacity.memory_bytes < 1:
            raise Invalid("a node offers some cpu and memory", code="config_invalid")
        if self.slices_max < 1 or self.orphan_s < 0:
            raise Invalid("slices_max is 1 or more, orphan_s 0 or more", code="config_invalid")


def offered() -> Resources:
    """Return what this machine offers to slices."""
    cores = len(os.sched_getaffinity(0))
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Resources(cores * CPU_SHARES * 1000, memory_bytes)
