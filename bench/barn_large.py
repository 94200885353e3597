"""A large Barn: a million keys in one member. What it takes of memory, how long a snapshot holds up the event loop, and how long a restart takes.

The member is a process of its own that also has a clock: a task that wants to run every millisecond, and takes note of how late it is. The restart is
`runi server` on what is on disk then: a snapshot, and a log behind it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
from runink.barn.commands import Put, Txn
from runink.clients.barn import BarnClient
from runink.clients.barn_requests import Defrag
from runink.config import Address, ServerSettings
from runink.server import serving

from barn_client import LOOP
from barn_load import VALUE_BYTES, free_ports
from barn_ours import barn_members, new_secret

KEYS: Final = 1_000_000
PUTS: Final = 100  # of one transaction
WRITERS: Final = 16
BEHIND: Final = 10_000  # keys that are put anew behind the snapshot
TICK_S: Final = 0.001
VALUE: Final = b"v" * VALUE_BYTES


@dataclass(frozen=True)
class Large:
    """A Barn with KEYS keys. `snapshot_pause_ms` is the longest pause while a snapshot was written, `pause_ms` as long before it."""

    resident_bytes: int
    snapshot_s: float
    snapshot_pause_ms: float
    pause_ms: float
    restart_s: float


def large(folder: Path) -> Large:
    """Fill a Barn in the folder and measure it."""
    words = [sys.executable, __file__, str(folder)]
    filled = json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)
    began = time.monotonic()
    with barn_members(1, folder) as barn:
        restart_s = time.monotonic() - began
        resident_bytes = max(filled.pop("resident_bytes"), resident(barn.pids[0]))
    return Large(**filled, restart_s=restart_s, resident_bytes=resident_bytes)


def resident(pid: int) -> int:
    """Return the memory of a process that is resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Clock:
    """Runs every TICK_S, if it can."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def run(self) -> None:
        while True:  # ends by being cancelled
            began = time.monotonic()
            await anyio.sleep(TICK_S)
            self.longest_s = max(self.longest_s, time.monotonic() - began - TICK_S)

    def reset(self) -> float:
        """Return the longest pause since the last reset, milliseconds."""
        longest_s, self.longest_s = self.longest_s, 0.0
        return longest_s * 1e3


async def put_all(barn: BarnClient, count: int) -> None:
    starts = iter(range(0, count, PUTS))
    async with anyio.create_task_group() as group:
        for _ in range(WRITERS):
            group.start_soon(put_from, barn, starts)


async def put_from(barn: BarnClient, starts: Iterator[int]) -> None:
    for start in starts:
        puts = (Put(f"/large/{number:08}", VALUE) for number in range(start, start + PUTS))
        await barn.propose(Txn(then=tuple(puts)))


async def fill(folder: Path) -> dict[str, float]:
    """Fill the Barn, have it write a snapshot, and return what was measured."""
    settings = ServerSettings(
        state=folder / "barn1-1",
        member=1,
        addresses={1: Address("127.0.0.1", free_ports(1)[0])},
        secret=new_secret(folder),
    )
    clock = Clock()
    async with serving(settings) as served, anyio.create_task_group() as group:
        await put_all(served.barn, KEYS)
        group.start_soon(clock.run)
        await anyio.sleep(2.0)
        pause_ms = clock.reset()
        began = time.monotonic()
        await served.barn.ask(Defrag())
        snapshot_s = time.monotonic() - began
        snapshot_pause_ms = clock.reset()
        resident_bytes = resident(os.getpid())
        await put_all(served.barn, BEHIND)
        group.cancel_scope.cancel()
    return {
        "resident_bytes": resident_bytes,
        "snapshot_s": snapshot_s,
        "snapshot_pause_ms": snapshot_pause_ms,
        "pause_ms": pause_ms,
    }


if __name__ == "__main__":
    print(json.dumps(anyio.run(fill, Path(sys.argv[1]), backend_options=LOOP)))
