"""The cgroups of cells: what a launch asks for stands in the kernel's files, for the slice and for its herd."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cgroup_world import (
    MIB,
    Fork,
    Tell,
    a_name,
    bomb,
    descriptors,
    forks,
    has_killed,
    hog,
    idle,
)
from runink.sandbox import cgroup_files as files
from runink.sandbox.cgroup_limits import disks
from runink.sandbox.cgroup_spares import KEPT_MAX, KEPT_S, OPEN_MAX, RESIDUE_BYTES, serving_max
from runink.sandbox.cgroups import Events, Join, Limits, Version, detect
from runink.sandbox.confines import PROCESSES, Base, Confine, Confines
from runink.sandbox.protocol import NO_NETWORK, Launch

MANY = 1 << 20  # descriptors
TRIES = 30
PLAIN = Launch("s", 1, "herd", "/", {}, 0.0, 0, [], 0, 0, 0, MIB, NO_NETWORK, "", [])


@pytest.fixture
def confines() -> Iterator[Confines]:
    made = Confines(Base(detect(a_name()), None), descriptors_max=MANY)
    yield made
    made.close()


@pytest.fixture
def fork() -> Iterator[Fork]:
    yield from forks()


def are_kept(confine: Confine) -> bool:
    """Say whether a cgroup that was left can be as good as new here."""
    layout = confine.group.layout
    return layout.join is Join.CLONE and layout.memory is not Version.V2


def herd_of(confine: Confine) -> Limits:
    assert confine.group._above is not None
    return confine.group._above.in_force()


def test_what_a_launch_asks_for_is_in_force(confines: Confines):
    launch = PLAIN._replace(
        cpu_m=200, cpu_weight=20, memory_bytes=64 * MIB, processes=50, io_bytes_per_s=5 * MIB
    )
    found = confines.make(1, launch).group.in_force()
    assert (found.cpu_m, found.memory_bytes, found.pids) == (200, 64 * MIB, 50)
    assert found.cpu_weight == 20
    can = confines.told["cgroup.io"] != Version.NONE and bool(disks())
    assert found.io_bytes_per_s == (5 * MIB if can else 0)


def test_who_asks_for_nothing_has_a_weight_and_a_count_of_processes(confines: Confines):
    found = confines.make(1, PLAIN).group.in_force()
    assert found == Limits(pids=PROCESSES)
    assert herd_of(confines.make(2, PLAIN)) == Limits()


def test_a_herds_limits_come_with_each_launch_and_hold_for_the_quota_of_its_slices(
    confines: Confines,
):
    launch = PLAIN._replace(cpu_m=500, herd_cpu_m=1000, herd_memory_bytes=256 * MIB)
    first = confines.make(1, launch)
    assert herd_of(first)[:3] == (1000, 100, 256 * MIB)
    less = launch._replace(slice="t", herd_cpu_m=300, herd_memory_bytes=128 * MIB)
    second = confines.make(2, less)
    assert herd_of(first)[:3] == (300, 100, 128 * MIB)
    # No quota may be above the herd's; the kernel would refuse the herd's otherwise.
    assert (first.group.cap_m, second.group.cap_m) == (300, 300)
    confines.make(3, launch._replace(slice="u", herd_cpu_m=0, herd_memory_bytes=0))
    assert herd_of(first) == Limits()
    assert first.group.in_force().cpu_m == 500


def test_a_cell_that_is_made_in_advance_leaves_the_herds_limits_alone(confines: Confines):
    old = PLAIN._replace(herd_cpu_m=1000)
    confines.make(1, old)
    cell = confines.make(2, PLAIN._replace(slice="t", herd_cpu_m=2000))
    waiting = confines.make(3, old._replace(slice=""))
    assert herd_of(cell).cpu_m == 2000
    launch = PLAIN._replace(slice="u", cpu_m=100, herd_cpu_m=3000)
    confines.limit(waiting, launch)
    assert (herd_of(cell).cpu_m, waiting.group.in_force().cpu_m) == (3000, 100)


def test_herds_are_limited_apart(confines: Confines):
    small = confines.make(1, PLAIN._replace(herd="small", herd_cpu_m=1000))
    assert herd_of(confines.make(2, PLAIN._replace(herd="large"))) == Limits()
    assert herd_of(small).cpu_m == 1000


def test_a_cgroup_that_is_left_is_the_next_cells_with_the_limits_of_that(confines: Confines):
    first = confines.make(1, PLAIN._replace(cpu_m=200, memory_bytes=64 * MIB, processes=9))
    confines.finish(first)
    second = confines.make(2, PLAIN._replace(slice="t", cpu_m=300))
    assert (second.group is first.group) is are_kept(first)
    assert second.group.in_force() == Limits(300, pids=PROCESSES)
    third = confines.make(3, PLAIN._replace(slice="u"))
    assert third.group is not second.group, "somebody has it"


def test_a_cgroup_that_is_left_is_no_other_herds(confines: Confines):
    first = confines.make(1, PLAIN)
    confines.finish(first)
    assert confines.make(2, PLAIN._replace(herd="other")).group is not first.group


def works(seconds: float) -> Callable[[Tell], None]:
    """Use a core for so long, however long that takes."""

    def body(_: Tell) -> None:
        until_s = time.thread_time() + seconds
        while time.thread_time() < until_s:
            sum(range(1000))

    return body


def served_twice(confines: Confines, fork: Fork) -> tuple[Confine, Confine]:
    """Return what was told of a cell that has used a core for a while, and of one that had its cgroup after it where any is kept, and did nothing.

    The kernel lets go of a process's last pages in its own time: a cgroup to which they are charged is not kept, and another one is tried.
    """
    for number in range(TRIES):
        first = confines.make(2 * number + 1, PLAIN)
        child = fork(works(0.05), joins=first.group)
        child.ended()
        confines.finish(first)
        second = confines.make(2 * number + 2, PLAIN._replace(slice="t"))
        confines.finish(second)
        if second.group is first.group or not are_kept(first):
            return first, second
    raise AssertionError("the kernel has let go of the pages of none of these processes")


def test_what_the_first_cell_has_used_is_not_told_of_the_second(confines: Confines, fork: Fork):
    first, second = served_twice(confines, fork)
    if first.usage.cpu_user_s is not None:
        assert _cpu_s(first) > 0.04
        # The last of a process's time may be counted when it has been reaped.
        assert _cpu_s(second) < 0.02
    if first.usage.memory_bytes_peak is not None:
        assert second.usage.memory_bytes_peak is not None
        assert second.usage.memory_bytes_peak <= min(first.usage.memory_bytes_peak, RESIDUE_BYTES)
    assert second.events == Events()


def test_a_cgroup_to_which_memory_is_charged_goes_with_its_cell(
    confines: Confines, fork: Fork, tmp_path: Path
):
    first = confines.make(1, PLAIN)
    child = fork(lambda _: (tmp_path / "read").write_bytes(bytes(4 * MIB)), joins=first.group)
    assert child.ended() == 0
    confines.finish(first)
    second = confines.make(2, PLAIN._replace(slice="t"))
    # Where memory is not counted nothing can be charged.
    is_counted = first.group.layout.memory is not Version.NONE
    assert (second.group is first.group) is (are_kept(first) and not is_counted)


def test_a_cgroup_that_somebody_is_in_is_nobody_elses(confines: Confines, fork: Fork):
    first = confines.make(1, PLAIN)
    child = fork(idle, joins=first.group)
    child.told()
    confines.finish(first)
    assert confines.make(2, PLAIN._replace(slice="t")).group is not first.group
    child.end()


def test_a_cgroup_with_a_zombie_is_nobody_elses(confines: Confines, fork: Fork):
    first = confines.make(1, PLAIN)
    child = fork(lambda _: None, joins=first.group)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    confines.finish(first)
    is_kept = are_kept(first) and first.group.layout.pids is Version.NONE
    assert (confines.make(2, PLAIN._replace(slice="t")).group is first.group) is is_kept
    child.end()


@pytest.mark.parametrize(
    ("controller", "limit", "body"),
    [
        ("memory", {"memory_bytes": 32 * MIB}, hog(64)),
        ("pids", {"processes": 8}, bomb(40)),
        ("cpu", {"cpu_m": 10}, works(0.01)),
        ("io", {"io_bytes_per_s": MIB}, works(0)),
    ],
)
def test_a_cgroup_whose_limits_were_met_goes_with_its_cell(
    confines: Confines,
    fork: Fork,
    controller: str,
    limit: dict[str, int],
    body: Callable[[Tell], None],
):
    is_met = confines.told[f"cgroup.{controller}"] != Version.NONE
    first = confines.make(1, PLAIN._replace(**limit))
    if is_met:
        fork(body, joins=first.group).ended()
    confines.finish(first)
    second = confines.make(2, PLAIN._replace(slice="t"))
    assert not (is_met and second.group is first.group)
    confines.finish(second)
    assert second.events == Events()


def test_a_cgroup_that_serves_again_tells_whose_memory_was_at_its_end(
    confines: Confines, fork: Fork
):
    first = confines.make(1, PLAIN)
    confines.finish(first)
    second = confines.make(2, PLAIN._replace(slice="t", memory_bytes=32 * MIB))
    assert (second.group is first.group) is are_kept(first)
    if second.watch is None:
        return
    assert not second.watch.look(now_s=0.0, is_ready=False)
    child = fork(hog(64), joins=second.group)
    assert has_killed(second.watch)
    assert child.ended() == -signal.SIGKILL
    confines.finish(second)
    assert first.events.oom_kills == 0 < second.events.oom_kills
    third = confines.make(3, PLAIN._replace(slice="u"))
    confines.finish(third)
    assert third.events.oom_kills == 0


def test_cgroups_hold_few_descriptors_and_none_when_all_are_gone(confines: Confines):
    before = descriptors()
    made = [confines.make(number, PLAIN) for number in range(1, 4)]
    for confine in made:
        confine.doors()
        confine.close_doors()
        confines.finish(confine)
    again = confines.make(4, PLAIN)
    again.doors()
    again.close_doors()
    confines.finish(again)
    assert descriptors() - before <= 3 * OPEN_MAX
    confines.advance(now_s=time.monotonic() + KEPT_S)
    assert descriptors() == before


def test_where_descriptors_are_few_fewer_cgroups_serve_again():
    assert [serving_max(limit) for limit in (256, 1024, 1 << 14)] == [2, 8, KEPT_MAX]
    # A part of all descriptors, whatever their number.
    assert all(serving_max(limit) * OPEN_MAX <= limit / 8 for limit in range(1, 1 << 14, 99))


def test_cgroups_that_nobody_wants_again_go(confines: Confines):
    left = [confines.make(number, PLAIN) for number in range(1, KEPT_MAX + 3)]
    for confine in left:
        confines.finish(confine)
    kept = [confine for confine in left if _exists(confine)]
    assert len(kept) == (KEPT_MAX if are_kept(left[0]) else 0)
    confines.advance(now_s=time.monotonic() + KEPT_S)
    assert not any(map(_exists, left))
    assert confines.next_due_s(now_s=0.0) is None


def _cpu_s(confine: Confine) -> float:
    usage = confine.usage
    assert usage.cpu_user_s is not None
    assert usage.cpu_system_s is not None
    return usage.cpu_user_s + usage.cpu_system_s


def _exists(confine: Confine) -> bool:
    return any(files.exists(one.directory) for one in confine.group.layout.hierarchies)
