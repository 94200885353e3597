"""Limits of the real kernel's cgroups, whichever versions it has: written, read back, and tried with and without.

Needs root and nothing beside pytest.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator

import pytest
from cgroup_world import (
    ARRANGEMENTS,
    HERE,
    MIB,
    WAIT_S,
    Fork,
    a_base,
    are_gone_soon,
    bomb,
    cpu_s,
    forks,
    has_killed,
    hog,
    idle,
    is_empty_soon,
    is_gone,
    spin,
    v2_controllers,
    write_past_the_cache,
)
from runink.sandbox import cgroup_files as files
from runink.sandbox.cgroup_limits import disks
from runink.sandbox.cgroups import UNLIMITED, Group, Limits, Oom, Version

SPIN_S = 2.0
TRIES = 5  # of what a busy machine may keep from somebody for a while


@pytest.fixture(params=ARRANGEMENTS)
def base(request: pytest.FixtureRequest) -> Iterator[Group]:
    yield from a_base(ARRANGEMENTS[request.param])


@pytest.fixture
def fork() -> Iterator[Fork]:
    yield from forks()


def test_every_limit_that_the_kernel_has_is_found(base):
    told = base.layout.told()
    offered = {one for here in HERE if here.is_v2 for one in v2_controllers(here)}
    for limit in ("memory", "cpu", "pids"):
        in_v1 = any(limit in one.controllers for one in base.layout.hierarchies)
        assert told[limit] == ("v1" if in_v1 else "v2" if limit in offered else "none")
        assert told[limit] != "none"
    assert told["swap"] == told["memory"]
    assert told["oom"] == ("kernel" if told["memory"] == "v2" else "spawner")
    has_v2 = base.layout.unified is not None
    assert told["kill"] == ("cgroup.kill" if has_v2 else "freezer")
    assert told["join"] == ("clone" if has_v2 else "sync")


def test_limits_are_in_force_before_anybody_joins_and_can_be_changed(base):
    free = base.make_slice("free", UNLIMITED)
    assert free.in_force() == UNLIMITED
    limits = Limits(cpu_m=250, cpu_weight=200, memory_bytes=64 * MIB, pids=17)
    one = base.make_slice("one", limits)
    assert one.in_force() == limits
    changes = (
        Limits(cpu_m=1500, cpu_weight=50, memory_bytes=256 * MIB, pids=170),
        Limits(cpu_m=5, memory_bytes=32 * MIB, pids=1),
        UNLIMITED,
        limits,
    )
    for changed in changes:
        one.limit(changed)
        least = max(changed.cpu_m, 10) if changed.cpu_m else 0
        assert one.in_force() == changed._replace(cpu_m=least)
    assert free.in_force() == UNLIMITED


def test_no_swap_is_given_with_memory(base):
    one = base.make_slice("one", Limits(memory_bytes=64 * MIB))
    directory = one.layout.directory(one.layout.memory, "memory")
    if one.layout.memory is Version.V2:
        assert files.read(f"{directory}/memory.swap.max") == "0\n"
        return
    for changed in (64 * MIB, 128 * MIB, 32 * MIB):
        one.limit(Limits(memory_bytes=changed))
        assert files.number(files.read(f"{directory}/memory.memsw.limit_in_bytes")) == changed


def test_disks_are_limited_where_the_kernel_can(base):
    one = base.make_slice("one", Limits(io_bytes_per_s=5 * MIB))
    can = base.layout.io is not Version.NONE and bool(disks())
    assert one.in_force().io_bytes_per_s == (5 * MIB if can else 0)
    one.limit(UNLIMITED)
    assert one.in_force() == UNLIMITED


def test_what_goes_straight_to_a_disk_is_slowed(base, fork, tmp_path):
    device = tmp_path.stat().st_dev
    if base.layout.io is Version.NONE or f"{os.major(device)}:{os.minor(device)}" not in disks():
        return  # a file system without a disk of its own: there is nothing to slow
    free = base.make_slice("free", UNLIMITED)
    slow = base.make_slice("slow", Limits(io_bytes_per_s=4 * MIB))
    quick = (fork(write_past_the_cache(str(tmp_path), 6), joins=free).told() for _ in range(TRIES))
    assert any(took_s < 1.0 for took_s in quick)
    assert fork(write_past_the_cache(str(tmp_path), 6), joins=slow).told() > 1.2
    for one in (free, slow):
        written = one.usage().written_bytes
        assert written is not None
        assert written >= 6 * MIB


def test_memory_without_a_limit_can_be_used(base, fork):
    one = base.make_slice("one", UNLIMITED)
    child = fork(hog(128, family=3), joins=one)
    pids = child.told()
    assert child.told() == "used"
    assert not any(map(is_gone, pids))
    assert one.events().oom_kills == 0
    assert one.kill(within_s=WAIT_S)


def test_when_memory_is_at_its_end_the_whole_tree_ends(base, fork):
    one = base.make_slice("one", Limits(memory_bytes=64 * MIB))
    watch = one.watch_oom()
    assert watch is not None
    child = fork(hog(128, family=3), joins=one)
    pids = child.told()
    assert has_killed(watch)
    if one.layout.oom is Oom.SPAWNER:
        assert child.ended() == -signal.SIGKILL
        assert not any(map(is_gone, pids[1:])), "v1 ends one process, so the rest is ours to end"
        assert one.kill(within_s=WAIT_S)
    assert is_empty_soon(one)
    assert child.ended() == -signal.SIGKILL
    assert are_gone_soon(pids)
    assert child.told() is None
    assert one.events().oom_kills == watch.kills() >= 1
    usage = one.usage()
    assert usage.memory_bytes_peak is not None
    assert 60 * MIB <= usage.memory_bytes_peak <= 64 * MIB
    watch.close()


def test_the_memory_of_a_herd_caps_its_slices_and_spares_the_one_that_uses_little(base, fork):
    herd = base.make_herd("herd", Limits(memory_bytes=64 * MIB))
    greedy, modest = herd.make_slice("greedy", UNLIMITED), herd.make_slice("modest", UNLIMITED)
    watches = [greedy.watch_oom(), modest.watch_oom()]
    assert watches[0] is not None
    assert watches[1] is not None
    bystander = fork(idle, joins=modest)
    pids = [bystander.told()]
    child = fork(hog(128), joins=greedy)
    assert has_killed(watches[0])
    assert child.ended() == -signal.SIGKILL
    # The neighbour may hear of it, but it has lost nobody.
    poll = select.poll()
    poll.register(watches[1].descriptor, watches[1].mask)
    is_ready = bool(poll.poll(0))
    assert not watches[1].look(now_s=100.0, is_ready=is_ready)
    assert watches[1].due_s == (100.005 if is_ready else None)
    assert not watches[1].look(now_s=101.1, is_ready=False)
    assert watches[1].due_s is None
    assert not is_gone(pids[0])
    assert modest.events().oom_kills == 0
    assert greedy.events().oom_kills >= 1
    for watch in watches:
        watch.close()


def test_processes_without_a_limit_can_be_forked(base, fork):
    one = base.make_slice("one", UNLIMITED)
    assert fork(bomb(40), joins=one).told() == [40, ""]
    assert one.events().pids_refused == 0


def test_a_fork_bomb_is_refused_and_counted(base, fork):
    one = base.make_slice("one", Limits(pids=8))
    assert fork(bomb(40), joins=one).told() == [7, "EAGAIN"]
    assert one.events().pids_refused == 1


def test_the_processes_of_a_herd_are_limited_together(base, fork):
    herd = base.make_herd("herd", Limits(pids=8))
    one, other = herd.make_slice("one", Limits(pids=30)), herd.make_slice("other", UNLIMITED)
    fork(idle, joins=other).told()
    assert fork(bomb(40), joins=one).told() == [6, "EAGAIN"]
    # Kernels differ in whom they count it for, and tell it once.
    assert herd.events().pids_refused + one.events().pids_refused == 1


def test_cores_without_a_limit_can_be_used(base, fork):
    base.limit(Limits(cpu_weight=10_000))  # against whatever else the machine does
    shares = []
    while not shares or (shares[-1] <= 0.5 and len(shares) < TRIES):
        one = base.make_slice(f"one-{len(shares)}", Limits(cpu_weight=10_000))
        start_s, end_s = fork(spin(SPIN_S / 2), joins=one).told()
        shares.append(cpu_s(one) / (end_s - start_s))
        assert one.events().cpu_periods_throttled == 0
    assert shares[-1] > 0.5, shares


def assert_a_fifth_of_a_core(group: Group) -> None:
    """By the kernel's own count of its periods of 100 ms: the first and the last are not whole ones, and by the clock of a
    machine that is emulated on a busy host they are of any length."""
    events = group.events()
    quota_s = 0.2 * 0.1
    assert 0.9 * quota_s * events.cpu_periods_throttled <= cpu_s(group)
    assert cpu_s(group) <= 1.1 * quota_s * (events.cpu_periods + 1)


def test_a_quota_of_a_core_holds_within_a_tenth(base, fork):
    base.limit(Limits(cpu_weight=10_000))
    one = base.make_slice("one", Limits(cpu_m=200))
    fork(spin(SPIN_S), joins=one).told()
    assert_a_fifth_of_a_core(one)
    events = one.events()
    assert (
        SPIN_S * 10 * 0.7 <= events.cpu_periods_throttled <= events.cpu_periods <= SPIN_S * 10 + 3
    )
    assert events.cpu_throttled_s > SPIN_S * 0.5


def test_the_quota_of_a_herd_holds_for_the_sum_of_its_slices(base, fork):
    base.limit(Limits(cpu_weight=10_000))
    herd = base.make_herd("herd", Limits(cpu_m=200))
    slices = [herd.make_slice(name, Limits(cpu_m=500)) for name in ("one", "other")]
    spinning = [fork(spin(SPIN_S), joins=one) for one in slices]
    for child in spinning:
        child.told()
    assert_a_fifth_of_a_core(herd)
    assert sum(map(cpu_s, slices)) == pytest.approx(cpu_s(herd), abs=0.02)


def test_a_herd_may_get_less_and_more_of_the_cores_while_its_slices_run(base):
    herd = base.make_herd("herd", UNLIMITED)
    one = herd.make_slice("one", Limits(cpu_m=500))
    free = herd.make_slice("free", UNLIMITED)
    for herd_m, one_m, free_m in ((1000, 500, 1000), (300, 300, 300), (400, 400, 400), (0, 500, 0)):
        herd.limit(Limits(cpu_m=herd_m))
        assert [group.in_force().cpu_m for group in (herd, one, free)] == [herd_m, one_m, free_m]


def test_limits_that_were_refused_can_be_set_in_a_second_call(base):
    herd = base.make_herd("herd", Limits(cpu_m=1000))
    one = herd.make_slice("one", Limits(cpu_m=500))
    with pytest.raises(OSError, match=r"writing '-5'.*/herd/pids\.max"):
        herd.limit(Limits(cpu_m=300, pids=-5))
    assert herd.limits == Limits(cpu_m=1000)
    for herd_m, one_m in ((300, 300), (1000, 500)):
        herd.limit(Limits(cpu_m=herd_m, pids=9))
        assert (herd.in_force().cpu_m, one.in_force().cpu_m) == (herd_m, one_m)
    assert herd.in_force().pids == 9
