"""A Barn that is killed with -9 at random moments: everything that it acknowledged is there when it starts again."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from random import Random

import anyio
from runink.actors import group_commit, journal
from runink.actors.group_commit import GroupCommit, Waiting
from runink.actors.journal import Journal, open_journal
from runink.barn.commands import Applied, Proposal, Put, encode_proposal
from runink.barn.keyvalue import key_prefix
from runink.storage.disk import RealDisk

WRITERS = 8
ROUNDS = 8
SEGMENT_BYTES = 32 << 10  # many segments, so that some kills hit the making and the freeing of one


def opened(directory: str | Path) -> Journal:
    return open_journal(RealDisk(Path(directory)), segment_bytes=SEGMENT_BYTES)


async def serve(directory: str, first: int) -> None:
    """Write numbered keys for ever, and tell each on standard output once it is acknowledged."""
    journal.SNAPSHOT_ENTRIES = 400
    barn = opened(directory)
    commit = GroupCommit(barn, applied=lambda *_: None, batch_done=lambda: None)

    async def write(writer: int) -> None:
        sequence = 0
        while True:
            sequence += 1
            key = f"/{writer}/{first + sequence:09}"
            proposal = Proposal(f"{first:09}-{writer}", sequence, Put(key, b"x" * (sequence % 400)))
            settled = anyio.Event()
            outcome: list[object] = []
            settle = partial(settle_with, outcome, settled)
            commit.propose(Waiting(proposal, encode_proposal(proposal), settle))
            await settled.wait()
            assert isinstance(outcome[0], Applied), outcome
            os.write(1, f"{key} {outcome[0].revision}\n".encode())

    async with anyio.create_task_group() as group:
        group.start_soon(commit.run)
        for writer in range(WRITERS):
            group.start_soon(write, writer)


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
            assert select.select([child.stdout], [], [], 30)[0], "the child tells nothing"
            piece = os.read(child.stdout.fileno(), 1 << 16)
            assert piece, "the child ended by itself"
            told += piece
    finally:
        child.send_signal(signal.SIGKILL)
        told += child.stdout.read()
        child.stdout.close()
        child.wait(timeout=30)
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
        barn = opened(tmp_path)
        found = {item.key: item.mod_revision for item in barn.store.range(key_prefix("/")).items}
        assert {key: found.get(key) for key in acknowledged} == acknowledged
        # One write of each writer may have been under way, in every round.
        assert len(found) <= len(acknowledged) + WRITERS * (number + 1)
        assert barn.store.revision == len(found)
        snapshots = max(snapshots, barn.snapshot_index)
        barn.close()
    assert snapshots > 0
    assert group_commit.BATCH_ENTRIES_MAX > WRITERS


if __name__ == "__main__":
    anyio.run(serve, sys.argv[1], int(sys.argv[2]))
