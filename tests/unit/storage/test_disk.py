"""The real disk does what the protocol promises, and one process has it at a time."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from runink.errors import Unavailable
from runink.storage.disk import RealDisk
from runink.storage.wal import open_log


def test_bytes_are_written_where_they_are_told_and_read_again(tmp_path: Path):
    disk = RealDisk(tmp_path)
    handle = disk.open("a", create=True)
    disk.pwrite(handle, b"world", 6)
    disk.pwrite(handle, b"hello ", 0)
    disk.fdatasync(handle)
    disk.close(handle)
    disk.rename("a", "b")
    disk.fsync_directory()
    assert disk.names() == ["b"]
    assert (disk.read("b"), disk.size("b")) == (b"hello world", 11)
    handle = disk.open("b")
    assert (disk.pread(handle, 5, 6), disk.pread(handle, 99, 6)) == (b"world", b"world")
    disk.close(handle)
    disk.remove("b")
    assert disk.names() == []
    assert disk.free_bytes() > 0
    disk.shut()


def test_a_missing_file_is_not_made_by_opening_it(tmp_path: Path):
    disk = RealDisk(tmp_path)
    with pytest.raises(FileNotFoundError):
        disk.open("a")
    disk.shut()


def test_the_directory_is_made_for_its_owner_only(tmp_path: Path):
    disk = RealDisk(tmp_path / "deep" / "barn")
    assert stat.S_IMODE((tmp_path / "deep" / "barn").stat().st_mode) == 0o700
    disk.shut()


def test_a_directory_in_use_is_refused_and_free_again_afterwards(tmp_path: Path):
    disk = RealDisk(tmp_path)
    with pytest.raises(Unavailable, match="another process") as caught:
        RealDisk(tmp_path)
    assert caught.value.code == "storage_locked"
    disk.shut()
    RealDisk(tmp_path).shut()


def test_a_log_on_a_real_disk_is_there_again(tmp_path: Path):
    disk = RealDisk(tmp_path)
    log = open_log(disk).log
    assert log.statistics().segments == 0
    log.append([], hard_state=log.hard_state)
    log.close()
    assert open_log(disk).log.statistics().segments == 1
    disk.shut()
