"""A Barn that is killed with -9 at random moments: everything that it acknowledged is there when it starts again."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from random import Random, SystemRandom

import anyio
from runink.actors.group import Group
from runink.actors.member import Member
from runink.actors.member_disk import open_directory
from runink.barn.commands import Answer, Applied, Proposal, Put
from runink.barn.keyvalue import key_prefix
from runink.barn.pending import proposal_of
from runink.barn.store import Store
from runink.storage import log_storage
from runink.storage.disk import RealDisk

WRITERS = 8
ROUNDS = 8
WAIT_S = 60  # what takes longer hangs
SEGMENT_BYTES = 32 << 10  # many segments, so that some kills hit the making and the freeing of one


class Silence:
    """Hears of the store and tells nobody."""

    def applied(self, proposal: Proposal, answer: Answer) -> None: ...

    def changed(self) -> None: ...

    def replaced(self) -> None: ...


async def serve(directory: str, first: int) -> None:
    """Write numbered keys for ever, and tell each on standard output once it is acknowledged."""
    log_storage.SNAPSHOT_ENTRIES = 400
    group = Group(random=SystemRandom().randrange, segment_bytes=SEGMENT_BYTES)
    member = Member(group, lambda: RealDisk(Path(directory)), hears=Silence())
    await member.open()

    async def write(writer: int) -> None:
        sequence = 0
        while True:
            sequence += 1
            key = f"/{writer}/{first + sequence:09}"
            proposal = Proposal(f"{first:09}-{writer}", sequence, Put(key, b"x" * (sequence % 400)))
            settled = anyio.Event()
            outcome: list[object] = []
            member.propose(proposal, partial(settle_with, outcome, settled))
            await settled.wait()
            assert isinstance(outcome[0], Applied), outcome
            os.write(1, f"{key} {outcome[0].revision}\n".encode())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(member.run)
        await member.wait_ready()
        for writer in range(WRITERS):
            tasks.start_soon(write, writer)


def settle_with(outcome: list[object], settled: anyio.Event, answer: object) -> None:
    outcome.append(answer)
    settled.set()


def acknowledged_until_killed(directory: Path, *, first: int, lines_min: int) -> list[str]:
    """Start a Barn, kill it when it has acknowledged so many writes, and return the whole lines that it told."""
    child = subprocess.Popen(
        [sys.executable, __file__, str(directory), str(first)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    told = b""
    try:
        while told.count(b"\n") < lines_min:
            assert select.select([child.stdout], [], [], WAIT_S)[0], "the child tells nothing"
            piece = os.read(child.stdout.fileno(), 1 << 16)
            assert piece, "the child ended by itself"
            told += piece
    finally:
        child.send_signal(signal.SIGKILL)
        told += child.stdout.read()
        child.stdout.close()
        child.wait(timeout=WAIT_S)
    return told.decode().split("\n")[:-1]


def test_everything_acknowledged_is_there_after_kill_9_at_random_moments(tmp_path: Path):
    random = Random(20)
    acknowledged: dict[str, int] = {}
    snapshots = 0
    for number in range(ROUNDS):
        lines = acknowledged_until_killed(
            tmp_path, first=number * 1_000_000, lines_min=random.randrange(1, 1500)
        )
        for line in lines:
            key, revision = line.split()
            acknowledged[key] = int(revision)
        store, snapshot_index = found_in(tmp_path)
        found = {item.key: item.mod_revision for item in store.range(key_prefix("/")).items}
        assert {key: found.get(key) for key in acknowledged} == acknowledged
        # One write of each writer may have been under way, in every round.
        assert len(found) <= len(acknowledged) + WRITERS * (number + 1)
        assert store.revision == len(found)
        snapshots = max(snapshots, snapshot_index)
    assert snapshots > 0


def found_in(directory: Path) -> tuple[Store, int]:
    """Return the state that the directory leads to, and where its snapshot ends: what the log of the only member holds is committed."""
    found = open_directory(lambda: RealDisk(directory), (1,), segment_bytes=SEGMENT_BYTES)
    storage, store = found.storage, found.store
    index = store.applied_index
    for entry in storage.entries(index + 1, storage.last_index() + 1, 1 << 40):
        if entry.data:
            store.apply(proposal_of(entry), term=entry.term, index=entry.index)
        else:
            store.skip(term=entry.term, index=entry.index)
    storage.close()
    found.disk.shut()
    return store, index


if __name__ == "__main__":
    anyio.run(serve, sys.argv[1], int(sys.argv[2]))
