"""A Barn of version 1, as the only member of a group: it starts on what an older Runink left, and goes on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random

import anyio
import pytest
from runink.actors.group import Group
from runink.actors.member import Member
from runink.barn.commands import Answer, Applied, Proposal, Put
from runink.storage.checking import check_directory
from runink.testing.disk import FaultyDisk, in_loop

pytestmark = pytest.mark.anyio

GOLDEN = Path(__file__).parents[2] / "golden" / "wal-v1"
KEYS = [f"/golden/{number:04}" for number in range(1, 181)]


class Silence:
    """Hears of the store and tells nobody."""

    def applied(self, proposal: Proposal, answer: Answer) -> None: ...

    def changed(self) -> None: ...

    def replaced(self) -> None: ...


def old_disk() -> FaultyDisk:
    disk = FaultyDisk()
    for path in sorted(GOLDEN.iterdir()):
        handle = disk.open(path.name, create=True)
        disk.pwrite(handle, path.read_bytes(), 0)
        disk.fdatasync(handle)
        disk.close(handle)
    disk.fsync_directory()
    return disk


async def lived(disk: FaultyDisk, *proposals: Proposal) -> list[str]:
    """Let a member start on the disk and write; return the keys that it knows in the end."""
    group = Group(random=Random(len(disk.names())).randrange)
    member = Member(group, lambda: disk, offload=in_loop, hears=Silence())
    await member.open()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(member.run)
        await member.wait_ready()
        for proposal in proposals:
            told: list[object] = []
            settled = anyio.Event()
            member.propose(proposal, partial(_settle, told, settled))
            await settled.wait()
            assert isinstance(told[0], Applied), told
        keys = [item.key for item in member.store.image().items]
        member.close()
    await member.shut()
    return keys


def _settle(told: list[object], settled: anyio.Event, outcome: object) -> None:
    told.append(outcome)
    settled.set()


async def test_a_barn_of_version_1_starts_with_all_its_keys_and_goes_on():
    disk = old_disk()
    assert await lived(disk, Proposal("new", 1, Put("/golden/new", b"value"))) == [
        *KEYS,
        "/golden/new",
    ]
    found = check_directory(disk)
    assert found.faults == []
    assert [one.version for one in found.segments] == [1, 1, 1, 1, 2]
    assert found.hard_state.term == 4
    assert await lived(disk.crash()) == [*KEYS, "/golden/new"]


async def test_a_client_of_version_1_that_repeats_itself_is_applied_once():
    disk = old_disk()
    repeated = Proposal("000000001-golden", 180, Put("/golden/0180", b"again"))
    assert await lived(disk, repeated) == KEYS
