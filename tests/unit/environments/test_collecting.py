"""What is collected: what nobody used for long, but for what is used or kept, and what died in the middle."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from runink.environments.collecting import Policy, collect, keys_of
from runink.environments.holding import new_lease, try_lock
from runink.environments.lock import NAME, parsed_lock
from runink.environments.store import Places

NOW_S = 1_000_000.0
OLD, YOUNG = "a" * 64, "b" * 64
HASH = f"--hash=sha256:{'0' * 64}"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path / "environments")
    places.make_all()
    made(places, OLD, used_s=NOW_S - 1000)
    made(places, YOUNG, used_s=NOW_S - 10)
    return places


def made(places: Places, key: str, *, used_s: float) -> None:
    """Make an environment of 1,000 bytes, read-only as they are."""
    folder = places.environment(key)
    (folder / "lib").mkdir(parents=True)
    (folder / "lib/module.py").write_bytes(b"x" * 1000)
    (folder / "lib").chmod(0o555)
    os.utime(folder, (used_s, used_s))
    folder.chmod(0o555)


def keys(places: Places) -> set[str]:
    return {path.name for path in places.root.iterdir() if len(path.name) == 64}


def collected(places: Places, policy: Policy) -> list[str]:
    return collect(places.root, policy, now_s=NOW_S)


def test_what_was_not_used_for_long_goes(places: Places):
    assert collected(places, Policy(unused_s=500)) == [OLD]
    assert keys(places) == {YOUNG}
    assert list(places.gone.iterdir()) == []


def test_what_is_used_stays_and_goes_once_it_is_not(places: Places):
    lease = new_lease(places.leases, OLD)
    assert collected(places, Policy(unused_s=500)) == []
    os.close(lease)
    assert collected(places, Policy(unused_s=500)) == [OLD]
    assert list(places.leases.iterdir()) == []


def test_what_is_being_made_or_taken_into_use_stays(places: Places):
    lock = try_lock(places.lock(OLD))
    assert lock is not None
    assert collected(places, Policy(unused_s=500)) == []
    os.close(lock)
    assert collected(places, Policy(unused_s=500)) == [OLD]


def test_the_ones_used_longest_ago_go_until_the_rest_has_room(places: Places):
    assert collected(places, Policy(unused_s=1e9, bytes_max=2000)) == []
    assert collected(places, Policy(unused_s=1e9, bytes_max=1999)) == [OLD]
    assert collected(places, Policy(unused_s=1e9, bytes_max=0)) == [YOUNG]


def test_what_runs_need_is_kept_whatever_its_age(places: Places):
    assert collected(places, Policy(unused_s=0, kept={OLD})) == [YOUNG]


def test_what_dead_makers_left_goes_and_what_one_is_at_stays(places: Places):
    for key in (OLD, "c" * 64):
        aside = places.making / f"{key}.0"
        (aside / "environment/lib").mkdir(parents=True)
        (aside / "environment/lib").chmod(0o555)
    lock = try_lock(places.lock("c" * 64))
    assert lock is not None
    collected(places, Policy())
    assert [path.name for path in places.making.iterdir()] == [f"{'c' * 64}.0"]
    os.close(lock)
    collected(places, Policy())
    assert list(places.making.iterdir()) == []


def test_dead_leases_and_locks_of_nothing_go(places: Places):
    os.close(new_lease(places.leases, OLD))
    os.close(new_lease(places.leases, "c" * 64))
    for key in (OLD, "c" * 64):
        descriptor = try_lock(places.lock(key))
        assert descriptor is not None
        os.close(descriptor)
    collected(places, Policy())
    assert list(places.leases.iterdir()) == []
    assert [path.name for path in places.lock("").iterdir()] == [OLD]


def test_what_was_half_removed_is_removed_later(places: Places):
    left = places.gone / "left"
    left.mkdir()
    os.utime(left, (NOW_S - 7200, NOW_S - 7200))
    fresh = places.gone / "fresh"
    fresh.mkdir()
    os.utime(fresh, (NOW_S, NOW_S))
    collected(places, Policy())
    assert list(places.gone.iterdir()) == [fresh]


def test_a_cache_that_has_grown_goes_but_for_what_environments_share(places: Places):
    places.cache.mkdir()
    os.link(places.environment(OLD) / "lib/module.py", places.cache / "shared.py")
    (places.cache / "alone.py").write_bytes(b"x" * 500)
    collected(places, Policy(unused_s=1e9, cache_bytes_max=500))
    assert places.cache.exists()
    collected(places, Policy(unused_s=1e9, cache_bytes_max=499))
    assert not places.cache.exists()
    assert (places.environment(OLD) / "lib/module.py").stat().st_size == 1000


def test_a_cache_that_somebody_makes_from_stays(places: Places):
    places.cache.mkdir()
    (places.cache / "alone.py").write_bytes(b"x" * 500)
    maker = try_lock(places.lock("cache"), shared=True)
    assert maker is not None
    collected(places, Policy(unused_s=1e9, cache_bytes_max=0))
    assert places.cache.exists()
    os.close(maker)


def test_where_no_environment_was_ever_made_nothing_is_done(tmp_path: Path):
    assert collect(tmp_path / "none", Policy()) == []
    assert list(tmp_path.iterdir()) == []


def test_bundles_name_the_environments_that_they_need(tmp_path: Path):
    text = f"six==1 {HASH}\n"
    for name, content in (("one", text), ("two", "six>=1\n"), ("three", None)):
        (tmp_path / name).mkdir()
        if content is not None:
            (tmp_path / name / NAME).write_text(content)
    found = keys_of(tmp_path, ["one", "two", "three", "gone"])
    assert found == {parsed_lock(text).key}
