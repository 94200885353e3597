"""What an agent asks the spawner for: a slice, and what that is shown."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from runink.sandbox.places import Held
from runink.sandbox.protocol import HERD_NETWORK, NO_NETWORK, READ_ONLY, READ_WRITE, Launch

SCRATCH_BYTES: Final = 64 << 20  # of a slice's memory file systems, where nobody says otherwise


class Bind(NamedTuple):
    """A folder or file of the machine that a slice is shown at its own path; `descriptor` (O_PATH) says which one is meant."""

    path: str
    descriptor: int
    is_writable: bool


@dataclass(frozen=True, slots=True)
class SliceWanted:
    """A slice to be started. `descriptors` become its 4, 5, ... Limits that are 0 are none.

    `binds` are what it is shown of the machine beside programs and libraries. `without` names what of the isolation may be missing.
    """

    name: str
    attempt: int
    herd: str
    job: bytes
    cwd: str
    descriptors: Sequence[int] = ()
    binds: Sequence[Bind] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    wall_time_s: float = 0.0
    cpu_m: int = 0
    memory_bytes: int = 0
    processes: int = 0
    scratch_bytes: int = SCRATCH_BYTES
    network: str = NO_NETWORK
    network_policy: str = ""
    without: Sequence[str] = ()
    cpu_weight: int = 0
    herd_cpu_m: int = 0
    herd_memory_bytes: int = 0
    io_bytes_per_s: int = 0

    def place(self) -> Hashable:
        """Return what a cell for it is closed with. Raises OSError where a bind is not open."""
        shown = []
        for path, descriptor, is_writable in self.binds:
            found = os.fstat(descriptor)
            shown.append((path, is_writable, found.st_dev, found.st_ino))
        without = tuple(self.without)
        return (self.herd, self.network, self.cwd, self.scratch_bytes, without, *shown)

    @property
    def held(self) -> Held:
        return Held(
            self.cpu_m,
            self.cpu_weight,
            self.memory_bytes,
            self.processes,
            self.io_bytes_per_s,
        )

    @property
    def of_herd(self) -> tuple[int, int, str]:
        """What the herd is held to with it: its limits, and where it has one its network's policy."""
        policy = self.network_policy if self.network == HERD_NETWORK else ""
        return self.herd_cpu_m, self.herd_memory_bytes, policy

    def message(self, place: int = 0) -> Launch:
        modes = {False: READ_ONLY, True: READ_WRITE}
        return Launch(
            slice=self.name,
            attempt=self.attempt,
            herd=self.herd,
            cwd=self.cwd,
            environment=dict(self.environment),
            wall_time_s=self.wall_time_s,
            pipes=len(self.descriptors),
            binds=[[bind.path, modes[bind.is_writable]] for bind in self.binds],
            cpu_m=self.cpu_m,
            memory_bytes=self.memory_bytes,
            processes=self.processes,
            scratch_bytes=self.scratch_bytes,
            network=self.network,
            network_policy=self.network_policy,
            without=list(self.without),
            cpu_weight=self.cpu_weight,
            herd_cpu_m=self.herd_cpu_m,
            herd_memory_bytes=self.herd_memory_bytes,
            io_bytes_per_s=self.io_bytes_per_s,
            place=place,
        )
