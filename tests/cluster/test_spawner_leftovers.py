"""What spawners leave that were killed, or whose machine went down, and who clears it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from leak_world import (
    HAS_GROUPS,
    assert_all_cleared,
    base_name,
    bases,
    cells_of,
    claim_of,
    groups_of,
    is_claimed,
    lying_at,
    ours,
)
from ordinary_user import ordinary_user
from runink.errors import LinkLost
from runink.sandbox import cgroup_files as files
from runink.sandbox.cgroup_claims import claimed, clear_unclaimed
from runink.sandbox.starting import running_spawner
from sandbox_world import HAS_RANGES, WAIT_S, World, gone, is_alive, line_of, place_in, world_in

pytestmark = pytest.mark.anyio
TURNS = 40


async def killed_at(folder, **changes):
    """Have a spawner with a slice and one that waits, kill it, and return its place."""
    place = place_in(folder, **changes)
    async with running_spawner(place, agent="test") as spawner:
        (await World(spawner).launch("wait")).close()
        os.kill(spawner.pid, signal.SIGKILL)
        await gone(spawner.pidfd)
        with pytest.raises(LinkLost):
            await spawner.list()
    return place


async def test_another_spawner_clears_what_a_killed_one_has_left(tmp_path):
    async with world_in(tmp_path / "live") as live:
        kept = await live.launch("wait")
        assert await line_of(kept.stdout) == "waiting"
        before = groups_of(place_in(tmp_path / "live"))
        dead = await killed_at(tmp_path / "dead", warm=1)
        async with world_in(tmp_path / "next") as world:
            assert (await world.ran("exit 5"))[0].code == 5
            assert groups_of(dead) == []
            assert not any(map(files.exists, bases(dead)))
            assert not is_claimed(dead)
            # Of who lives nothing was touched.
            assert groups_of(place_in(tmp_path / "live")) == before
            assert is_claimed(place_in(tmp_path / "live")) == HAS_RANGES
            assert is_alive(kept.pid)
        kept.close()


def test_where_processes_are_left_nobody_ends_them_for_being_unclaimed(tmp_path):
    dead = place_in(tmp_path)
    groups = [Path(base, "left") for base in bases(dead) if "/cpuset/" not in base]
    for group in groups:
        group.mkdir(parents=True)
    claim = claimed(base_name(dead))
    claim.write(bases(dead))
    claim.close()
    with subprocess.Popen(["sleep", "1000"]) as child:
        try:
            for group in groups:
                (group / "cgroup.procs").write_text(str(child.pid))
            assert base_name(dead) not in clear_unclaimed()
            assert child.poll() is None
        finally:
            child.kill()
    # The kernel may take a moment to let go of it.
    until_s = time.monotonic() + WAIT_S
    while claim_of(dead).exists():
        assert time.monotonic() < until_s
        clear_unclaimed()
    assert not any(map(files.exists, bases(dead)))


async def test_a_spawner_whose_socket_was_taken_away_keeps_its_cgroups_beside_its_successor(
    tmp_path,
):
    place = place_in(tmp_path)
    async with running_spawner(place, agent="older") as older:
        launched = await World(older).launch("wait")
        assert await line_of(launched.stdout) == "waiting"
        mine = cells_of(place)
        assert bool(mine) == HAS_GROUPS
        place.socket.unlink()
        async with world_in(tmp_path) as newer:
            assert newer.spawner.pid != older.pid
            assert (await newer.ran("exit 5"))[0].code == 5
            assert cells_of(place) == mine
            assert is_alive(launched.pid)
        assert is_alive(launched.pid)
        launched.close()
    assert_all_cleared(place)
    assert not [one for base in bases(place) for one in (f"{base}-2",) if files.exists(one)]


async def test_what_a_machine_had_when_it_went_down_is_cleared_at_the_next_start(tmp_path):
    place = place_in(tmp_path)
    place.socket.parent.mkdir(mode=0o700)
    place.socket.with_name("socket.root").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
        stale.bind(str(place.socket))
    other = place_in(tmp_path / "other")
    for one in (place, other) if HAS_RANGES else ():
        claim = claimed(base_name(one))
        claim.write(bases(one))  # the cgroups themselves went with the kernel
        claim.close()
    before = ours()
    async with world_in(tmp_path) as world:
        assert (await world.ran("exit 5"))[0].code == 5
        assert not is_claimed(other)
    assert_all_cleared(place)
    assert ours() == before


async def test_an_orderly_end_leaves_the_log_alone(tmp_path):
    place = place_in(tmp_path, warm=2)
    before = ours()
    async with world_in(tmp_path, warm=2) as world:
        for number in range(3):
            assert (await world.ran("nothing", str(number)))[0].code == 0
        assert lying_at(place) == ["log", "socket", "socket.root"]
    assert_all_cleared(place)
    assert ours() == before


def test_without_root_nothing_is_claimed(tmp_path):
    place = place_in(tmp_path)
    program = f"from runink.sandbox.confines import detected; print(detected({str(place.socket)!r}).claim)"
    words = [sys.executable, "-c", program]
    assert "Claim object" in subprocess.check_output(words, text=True)
    assert claim_of(place).exists()
    clear_unclaimed()
    assert not claim_of(place).exists()
    with ordinary_user() as user:
        assert user.run(words).stdout == "None\n"
    assert not claim_of(place).exists()


def test_claims_hold_whoever_comes_and_goes_at_once(tmp_path):
    words = [sys.executable, __file__, str(tmp_path)]
    group = [subprocess.Popen([*words, role]) for role in ("hold", "hold", "hold", "clear")]
    ends = [child.wait(timeout=2 * WAIT_S) for child in group[:-1]]
    group[-1].terminate()
    assert group[-1].wait(timeout=60) == -signal.SIGTERM, "it was at it to the end"
    assert ends == [0, 0, 0]
    assert list((tmp_path / "claims").iterdir()) == []


def hold(folder: Path) -> None:
    """Make and remove a base again and again, as one of many who want the same name."""
    for _ in range(TURNS):
        claim = claimed("base", folder=str(folder / "claims"), within_s=WAIT_S)
        assert claim.name == "base"
        base = folder / "base"
        claim.write([str(base)])
        base.mkdir()  # who else held it would have made it
        for _ in range(10):
            os.sched_yield()
            assert base.exists()
        base.rmdir()
        claim.remove()


def clear(folder: Path) -> None:
    """Remove what nobody claims, until the end."""
    (folder / "claims").mkdir(exist_ok=True)
    while True:
        clear_unclaimed(folder=str(folder / "claims"))


if __name__ == "__main__":
    {"hold": hold, "clear": clear}[sys.argv[2]](Path(sys.argv[1]))
