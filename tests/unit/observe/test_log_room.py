"""Whether the disk has room for logs beyond what a node keeps free."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from runink.observe.log_room import LOOK_S, Room

MIB = 1 << 20
WHOLE_MIB = 100_000


def disk(free_mib: int, whole_mib: int = WHOLE_MIB) -> os.statvfs_result:
    return os.statvfs_result((MIB, MIB, whole_mib, free_mib, free_mib, 0, 0, 0, 0, 255))


@pytest.mark.parametrize(
    ("free_mib", "whole_mib", "kept_mib", "is_left"),
    [
        (1024, WHOLE_MIB, 1024, True),
        (1023, WHOLE_MIB, 1024, False),
        (0, WHOLE_MIB, 0, True),
        (50, 1000, 1024, True),
        (49, 1000, 1024, False),
    ],
)
def test_what_is_kept_stays_free_and_on_a_small_disk_a_twentieth(
    free_mib: int,
    whole_mib: int,
    kept_mib: int,
    is_left: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    room = Room(Path("/"), kept_mib * MIB, look=lambda _: disk(free_mib, whole_mib))
    assert room.is_left() is is_left


def test_the_disk_is_looked_at_once_in_a_while() -> None:
    looks: list[Path] = []
    free, now = [10_000], [0.0]

    def look(folder: Path) -> os.statvfs_result:
        looks.append(folder)
        return disk(free[0])

    room = Room(Path("/x"), 1024 * MIB, now_s=lambda: now[0], look=look)
    assert room.is_left()
    free[0] = 0
    assert room.is_left()
    now[0] += LOOK_S
    assert not room.is_left()
    free[0] = 10_000
    now[0] += LOOK_S
    assert room.is_left()
    assert looks == [Path("/x")] * 3


def test_a_disk_that_cannot_be_looked_at_is_written_to(tmp_path: Path) -> None:
    assert Room(tmp_path / "gone", 1024 * MIB).is_left()
