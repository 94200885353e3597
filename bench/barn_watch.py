"""Watches under load: one writer puts keys with one prefix for some seconds, and watchers in other processes are told of every put.

A watcher counts what it is told once and in order, and must be told everything. One is starved that waits much longer for news, at its worst, than the others do
at theirs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import anyio
from runink.clients.barn import BarnClient
from runink.config import Address
from runink.trust.connecting import read_secret

from barn_client import LOOP, connected
from barn_load import VALUE_BYTES
from barn_ours import BarnLoad

WATCHERS: Final = 1000
PROCESSES: Final = 2
CONNECTIONS: Final = 4  # of each process
PREFIX: Final = "/watched/"
KEYS: Final = 100
LAST: Final = f"{PREFIX}last"  # the writer's last put
WITHIN_S: Final = 120.0  # for the watchers to end behind the writer
VALUE: Final = b"v" * VALUE_BYTES


@dataclass(frozen=True)
class Delivered:
    """Events to all watchers together, and the longest that a watcher waited for the next: the worst of them, and the one in the middle."""

    events: int
    seconds: float
    wait_s: float
    middle_wait_s: float
    cpu_s: float

    @property
    def per_second(self) -> float:
        return self.events / self.seconds


def watched(barn: BarnLoad, *, seconds: float) -> Delivered:
    """Run the watchers, then the writer. Raises SystemExit where a watcher is not told of everything."""
    words = [sys.executable, __file__, barn.members[0], f"--secret={barn.secret}"]
    children = [
        subprocess.Popen([*words, "watch"], stdout=subprocess.PIPE) for _ in range(PROCESSES)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
    began = time.monotonic()
    writer = [*words, "write", f"--seconds={seconds}"]
    puts = int(subprocess.run(writer, stdout=subprocess.PIPE, check=True).stdout)
    told = [json.loads(child.communicate(timeout=WITHIN_S)[0]) for child in children]
    if any(one["fewest"] != puts for one in told):
        raise SystemExit(f"{puts} puts, and watchers were told {told}")
    waits = [wait for one in told for wait in one["waits"]]
    return Delivered(
        events=puts * WATCHERS,
        seconds=max(one["ended"] for one in told) - began,
        wait_s=max(waits),
        middle_wait_s=median(waits),
        cpu_s=sum(one["cpu_s"] for one in told),
    )


@dataclass
class Watchers:
    """Those of one process: how many events each was told of, and how long it waited for them at its worst."""

    counts: list[int] = field(default_factory=lambda: [0] * (WATCHERS // PROCESSES))
    waits: list[float] = field(default_factory=lambda: [0.0] * (WATCHERS // PROCESSES))

    async def watch(self, place: int, barn: BarnClient, after_revision: int) -> None:
        """Count events up to the writer's last."""
        told = 0.0
        async with aclosing(barn.watch(PREFIX, after_revision=after_revision)) as answers:
            async for answer in answers:
                for change in answer.changes:
                    assert change.revision > after_revision, "told twice, or out of order"
                    after_revision = change.revision
                before, told = told or time.monotonic(), time.monotonic()
                self.waits[place] = max(self.waits[place], told - before)
                self.counts[place] += len(answer.changes)
                if answer.changes[-1].key == LAST:
                    return


async def watch_all(member: Address, secret: bytes) -> None:
    """Run watchers and print what they were told; `ready` when all have begun."""
    watchers = Watchers()
    async with AsyncExitStack() as stack:
        barns = [
            await stack.enter_async_context(connected(member, secret)) for _ in range(CONNECTIONS)
        ]
        revision = (await barns[0].status()).revision
        waiting = (await barns[0].status()).watches + len(watchers.counts)
        async with anyio.create_task_group() as group:
            for place in range(len(watchers.counts)):
                barn = barns[place % CONNECTIONS]
                group.start_soon(watchers.watch, place, barn, revision)
            while (await barns[0].status()).watches < waiting:  # noqa: ASYNC110 - they wait in another process
                await anyio.sleep(0.05)
            print("ready", flush=True)
    told = {"fewest": min(watchers.counts), "waits": watchers.waits, "ended": time.monotonic()}
    print(json.dumps(told | {"cpu_s": time.process_time()}))


async def write(member: Address, secret: bytes, seconds: float) -> None:
    """Put one key after the other, and print how many that were."""
    puts = 1
    async with connected(member, secret) as barn:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            await barn.put(f"{PREFIX}{puts % KEYS:08}", VALUE)
            puts += 1
        await barn.put(LAST, VALUE)
    print(puts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("member")
    parser.add_argument("what", choices=["watch", "write"])
    parser.add_argument("--secret", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    at, shown = Address.parse(given.member), read_secret(given.secret)
    if given.what == "watch":
        anyio.run(watch_all, at, shown, backend_options=LOOP)
    else:
        anyio.run(write, at, shown, given.seconds, backend_options=LOOP)
