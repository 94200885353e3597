"""The directory of a member while its disk is full, and when there is room again."""

from __future__ import annotations

import anyio
import pytest
import trio.testing
from runink.actors.kin import Kin
from runink.actors.member_disk import FULL_PAUSE_S, MemberDisk, open_directory
from runink.barn.effects import Append
from runink.barn.store import Store
from runink.raft.messages import Entry
from runink.storage.wal import SEGMENT_BYTES
from runink.testing.disk import FaultyDisk, in_loop

pytestmark = pytest.mark.trio


async def test_a_follower_tells_a_full_disk_until_its_writes_find_room_again(
    autojump_clock: trio.testing.MockClock,
):
    disk = FaultyDisk()
    found = open_directory(lambda: disk, (1, 2, 3), segment_bytes=SEGMENT_BYTES)
    member = MemberDisk(found, kin=Kin("barn", Store), offload=in_loop)
    whole = disk.space_bytes
    disk.space_bytes -= disk.free_bytes()
    append = Append(entries=(Entry(2, 2, data=bytes(300_000)),))
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: member.append(append, on_full=lambda: None))
        await anyio.sleep(FULL_PAUSE_S / 2)
        assert member.full is not None
        disk.space_bytes = whole
    assert member.full is None
    await member.shut()
