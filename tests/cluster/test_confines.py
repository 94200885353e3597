"""The cgroups of cells: what a launch asks for stands in the kernel's files, for the slice and for its herd."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cgroup_world import MIB, a_name
from runink.sandbox.cgroup_limits import disks
from runink.sandbox.cgroups import Limits, Version, detect
from runink.sandbox.confines import PROCESSES, Base, Confine, Confines
from runink.sandbox.protocol import NO_NETWORK, Launch

PLAIN = Launch("s", 1, "herd", "/", {}, 0.0, 0, [], 0, 0, 0, MIB, NO_NETWORK, "", [])


@pytest.fixture
def confines() -> Iterator[Confines]:
    made = Confines(Base(detect(a_name()), None))
    yield made
    made.close()


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
