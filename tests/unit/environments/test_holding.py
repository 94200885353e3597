"""Locks and leases: who has one, and that a crash leaves none behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runink.environments.holding import drop_lock, is_used, new_lease, try_lock

KEY = "k" * 64


def held(descriptor: int | None) -> int:
    assert descriptor is not None
    return descriptor


def test_a_lock_has_one_holder(tmp_path: Path):
    first = held(try_lock(tmp_path / "lock"))
    assert try_lock(tmp_path / "lock") is None
    os.close(first)
    os.close(held(try_lock(tmp_path / "lock")))


def test_those_who_share_a_lock_keep_out_who_wants_it_alone(tmp_path: Path):
    first = held(try_lock(tmp_path / "lock", shared=True))
    second = held(try_lock(tmp_path / "lock", shared=True))
    assert try_lock(tmp_path / "lock") is None
    os.close(first)
    os.close(second)
    alone = held(try_lock(tmp_path / "lock"))
    assert try_lock(tmp_path / "lock", shared=True) is None
    os.close(alone)


def test_a_lock_whose_file_was_removed_is_another_lock(tmp_path: Path):
    first = held(try_lock(tmp_path / "lock"))
    drop_lock(tmp_path / "lock", first)
    second = held(try_lock(tmp_path / "lock"))
    assert try_lock(tmp_path / "lock") is None
    os.close(second)


def test_who_waited_for_a_lock_that_is_removed_meanwhile_gets_the_one_with_the_name(
    tmp_path: Path, monkeypatch
):
    path = tmp_path / "lock"
    opened = []
    real = os.open

    def open_and_lose(*words: object, **named: object) -> int:
        descriptor = real(*words, **named)
        if not opened:
            path.unlink()  # its holder takes it away between our opening and our locking
        opened.append(descriptor)
        return descriptor

    monkeypatch.setattr(os, "open", open_and_lose)
    descriptor = held(try_lock(path))
    monkeypatch.undo()
    assert len(opened) == 2
    assert os.path.samestat(os.fstat(descriptor), path.stat())
    os.close(descriptor)


def test_an_environment_is_used_until_the_last_lease_is_given_up(tmp_path: Path):
    first, second = new_lease(tmp_path, KEY), new_lease(tmp_path, KEY)
    assert is_used(tmp_path, KEY)
    os.close(first)
    assert is_used(tmp_path, KEY)
    os.close(second)
    assert not is_used(tmp_path, KEY)
    assert list(tmp_path.iterdir()) == []


def test_a_use_that_was_handed_on_outlives_who_began_it(tmp_path: Path):
    lease = new_lease(tmp_path, KEY)
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        pass_fds=[lease],
    )
    os.close(lease)
    assert is_used(tmp_path, KEY)
    child.kill()
    child.communicate()
    assert not is_used(tmp_path, KEY)


def test_one_keys_leases_are_not_anothers(tmp_path: Path):
    lease = new_lease(tmp_path, KEY)
    assert not is_used(tmp_path, "o" * 64)
    os.close(lease)
