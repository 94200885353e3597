"""Deciding and committing: slices that wait until all are placed, by the scheduler's actor through a member of the Barn, in one process.

The Barn is a group of one with its log on the disk: a transaction is answered when it is synced. All that the slices wait for is in the Barn before the scheduler
starts, and the time ends when a watch has shown the last of them as `placed`, with its placement.  Slices are of some runs, each a gang of its own or with others.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import anyio
from runink.actors.barn import Barn
from runink.actors.scheduler import Scheduler
from runink.barn.keys import PLACEMENTS, SLICES, herd_key, node_key, slice_key
from runink.clients.barn import BarnClient, Transaction
from runink.clock import now_ms
from runink.control import start
from runink.dag import Resources
from runink.herds.record import HerdRecord
from runink.names import HerdName, NodeId, RunId, SliceId
from runink.names import run_id as made_run_id
from runink.runs.records import NodeRecord, SliceRecord, SliceState
from runink.runtime.supervisor import supervise
from runink.storage.disk import RealDisk

from figures import Figure, above, main, middle

HERD: Final = HerdName("bench")
NODES_COUNT: Final = 100
NODE: Final = Resources(cpu_m=64_000, memory_bytes=256 << 30)
NODE_SLICES: Final = 500
RUN_SLICES: Final = 100
AT_ONCE: Final = 200  # slices of a transaction that fills the Barn


def slices_of(count: int, gang_size: int) -> Iterator[SliceRecord]:
    """Yield slices that wait, of runs of RUN_SLICES."""
    for number in range(count):
        run = RunId(made_run_id(now_ms=1 + number // RUN_SLICES, entropy=bytes(10)))
        gang = f"g{number % RUN_SLICES // gang_size}"
        yield SliceRecord(
            SliceId(f"s{number % RUN_SLICES}"), run, HERD, gang, SliceState.PENDING, Resources()
        )


async def fill(client: BarnClient, slices: Sequence[SliceRecord]) -> int:
    """Put nodes, herd and slices, and return the revision."""
    transaction = Transaction().put(herd_key(HERD), HerdRecord(HERD))
    for number in range(NODES_COUNT):
        node = NodeId(f"n{number:03}")
        record = NodeRecord(node, NODE, slices_max=NODE_SLICES)
        transaction = transaction.put(node_key(node), record)
    await client.commit(transaction)
    revision = 0
    for at in range(0, len(slices), AT_ONCE):
        transaction = Transaction()
        for one in slices[at : at + AT_ONCE]:
            transaction = transaction.put(slice_key(one.herd, one.run, one.slice), one)
        revision = (await client.commit(transaction)).revision
    return revision


async def all_placed(client: BarnClient, count: int, after: int) -> None:
    """Return when so many placements have been seen."""
    seen = 0
    async for watched in client.watch(PLACEMENTS.prefix(), after_revision=after):
        seen += len(watched.changes)
        if seen == count:
            return


async def seconds(folder: Path, count: int, gang_size: int) -> float:
    """Return how long it takes until so many slices are placed."""
    slices = list(slices_of(count, gang_size))
    async with supervise() as supervisor:
        barn = await start(supervisor, "barn", lambda: Barn(partial(RealDisk, folder)))
        client = BarnClient(barn)
        revision = await fill(client, slices)
        began = time.perf_counter()
        async with anyio.create_task_group() as group:
            group.start_soon(all_placed, client, count, revision)
            await start(supervisor, "scheduler", lambda: Scheduler(BarnClient(barn), now_ms=now_ms))
        took_s = time.perf_counter() - began
        listed = await client.range(SLICES.prefix(), SliceRecord)
        assert {found.value.state for found in listed.items} == {SliceState.PLACED}
    return took_s


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    figures = []
    for gang_size in (1, 5):
        taken = []
        for _ in range(arguments.turns):
            with tempfile.TemporaryDirectory(prefix="runink-bench-") as folder:
                taken.append(anyio.run(seconds, Path(folder), arguments.slices, gang_size))
        name = f"{arguments.slices} slices decided and committed, gangs of {gang_size}, a second"
        figures.append(above(name, arguments.slices / middle(taken), 1000))
    return figures


if __name__ == "__main__":
    main(measure, str(__doc__), turns=3, slices=5000)
