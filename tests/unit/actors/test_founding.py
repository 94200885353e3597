"""A new group's directory: whatever cuts its founding off, the next start founds it, and nothing that was acknowledged is taken for that."""

from __future__ import annotations

from random import Random

import pytest
from runink.actors.member_disk import Found, open_directory
from runink.errors import Unavailable
from runink.raft.messages import ConfState, Entry, HardState
from runink.storage.disk import Disk
from runink.storage.wal import SEGMENT_BYTES_MIN
from runink.testing.disk import FaultyDisk

VOTERS = (1, 2, 3)


def opened(disk: Disk, voters: tuple[int, ...] = VOTERS) -> Found:
    return open_directory(lambda: disk, voters, segment_bytes=SEGMENT_BYTES_MIN)


def is_founded(found: Found) -> bool:
    _, members = found.storage.initial_state()
    return members == ConfState(voters=VOTERS) and found.store.applied_index == 1


class Cut(Exception):
    pass


@pytest.mark.parametrize("seed", range(5))
def test_a_founding_that_was_cut_off_anywhere_is_done_again(seed: int):
    random = Random(seed)
    operations = 0

    def count(_: str) -> None:
        nonlocal operations
        operations += 1

    whole = FaultyDisk()
    whole.before = count
    assert is_founded(opened(whole))
    for last in range(operations):
        disk = FaultyDisk()
        left = last

        def cut(_: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Cut

        disk.before = cut
        with pytest.raises(Cut):
            opened(disk)
        assert is_founded(opened(disk.crash_at_random(random)))


def test_a_founding_without_room_leaves_nothing_that_looks_like_a_member():
    disk = FaultyDisk(space_bytes=1024)
    for _ in range(3):
        with pytest.raises(Unavailable):
            opened(disk)
    disk.space_bytes = 1 << 20
    assert is_founded(opened(disk))


def test_what_was_acknowledged_is_never_founded_anew():
    disk = FaultyDisk()
    found = opened(disk)
    found.storage.save([Entry(2, 2, data=b"kept")], HardState(2, 1, 1))
    again = opened(disk.crash())
    assert [entry.data for entry in again.storage.entries(2, 3, 1 << 20)] == [b"kept"]


def test_a_member_that_joined_is_not_founded_when_it_is_started_as_a_founder():
    disk = FaultyDisk()
    found = opened(disk, ())
    found.storage.save([], HardState(5, 2, 0))
    again = opened(disk.crash(), VOTERS)
    assert again.storage.initial_state()[1] == ConfState()
    assert again.storage.hard_state.term == 5
