"""What the kernel's text files say of a machine."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from runink.machines import (
    Gpu,
    Group,
    GroupMount,
    Machine,
    Pressure,
    count_of_list,
    group_folders,
    is_news,
    parse_cpu_max,
    parse_group_mounts,
    parse_groups,
    parse_meminfo,
    parse_memory_limit,
    parse_pressure,
    pressure_of,
    quota_m,
)

MACHINE = Machine(2000, 1 << 33, 100 << 30, 50 << 30, pressure=Pressure(cpu_some=20.0))


def test_memory_is_in_bytes_and_counts_are_left_out():
    text = "MemTotal:  16384 kB\nMemAvailable: 8 kB\nHugePages_Total:  3\nbroken\n"
    assert parse_meminfo(text) == {"MemTotal": 16 << 20, "MemAvailable": 8 << 10}


def test_pressure_is_read_by_who_waited():
    text = "some avg10=0.84 avg60=1.46 avg300=2.66 total=4294067246\nfull avg10=0.10 avg60=0.00 avg300=0.00 total=7\n"
    found = parse_pressure(text)
    assert (found["some"].percent, found["full"].percent) == (0.84, 0.1)
    assert found["some"].total_s == pytest.approx(4294.067246)


def test_a_kernel_without_pressure_has_none_and_one_without_full_has_no_full():
    assert pressure_of({}) is None
    some = "some avg10=5.00 avg60=1.46 avg300=2.66 total=1\n"
    assert pressure_of({"cpu": some}) == Pressure(cpu_some=5.0)


def test_groups_of_both_versions_are_told_apart():
    text = "4:memory:/a/b\n1:cpu,cpuacct:/c\n9:name=systemd:/x:y\n0::/z\n"
    assert parse_groups(text) == [
        Group(1, frozenset({"memory"}), "/a/b"),
        Group(1, frozenset({"cpu", "cpuacct"}), "/c"),
        Group(1, frozenset({"name=systemd"}), "/x:y"),
        Group(2, frozenset(), "/z"),
    ]


def test_mounts_of_cgroups_are_found_among_others():
    text = (
        "24 1 0:5 / /proc rw - proc proc rw\n"
        "32 31 0:29 / /sys/fs/cgroup/my\\040cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
        "41 31 0:38 /docker/1 /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
    )
    first, second = parse_group_mounts(text)
    assert (first.version, first.root, first.place) == (1, "/", "/sys/fs/cgroup/my cpu")
    assert first.controllers >= {"cpu", "cpuacct"}
    assert second[0] == 2
    assert second[2:] == ("/docker/1", "/sys/fs/cgroup")


@pytest.mark.parametrize(
    ("path", "root", "folders"),
    [
        ("/a/b", "/", ["/m/a/b", "/m/a", "/m"]),
        ("/", "/", ["/m"]),
        ("/docker/1/x", "/docker/1", ["/m/x", "/m"]),
        ("/docker/2", "/docker/1", ["/m"]),  # as seen in a container without a namespace
        ("/../other", "/", ["/m"]),  # as seen from inside a namespace
    ],
)
def test_a_group_is_limited_by_those_above_it(path: str, root: str, folders: list[str]):
    for version, names in ((2, frozenset[str]()), (1, frozenset({"memory"}))):
        groups = [Group(version, names, path)]
        mounts = [GroupMount(version, names, root, "/m")]
        assert list(group_folders(groups, mounts, "memory")) == [(version, one) for one in folders]


def test_the_other_controllers_of_v1_limit_nothing():
    groups = [Group(1, frozenset({"cpu"}), "/a")]
    mounts = [GroupMount(1, frozenset({"cpu"}), "/", "/m")]
    assert not list(group_folders(groups, mounts, "memory"))


def test_limits():
    assert parse_cpu_max("max 100000\n") is None
    assert parse_cpu_max("50000 100000\n") == 500
    assert parse_cpu_max("250000\n") == 2500
    assert quota_m(-1, 100_000) is None
    assert quota_m(150_000, 100_000) == 1500
    assert parse_memory_limit("max\n") is None
    assert parse_memory_limit("9223372036854771712\n") is None
    assert parse_memory_limit("1048576\n") == 1 << 20


@pytest.mark.parametrize(("text", "count"), [("0\n", 1), ("0-1\n", 2), ("0-1,4,6-7", 5)])
def test_a_kernel_list_is_counted(text: str, count: int):
    assert count_of_list(text) == count


@pytest.mark.parametrize(
    ("now", "news"),
    [
        (MACHINE, False),
        (changed(MACHINE, pressure=Pressure(cpu_some=29.0)), False),
        (changed(MACHINE, pressure=Pressure(cpu_some=30.0)), True),
        (changed(MACHINE, pressure=Pressure(cpu_some=20.0, io_full=10.0)), True),
        (changed(MACHINE, pressure=None), True),
        (changed(MACHINE, disk_free_bytes=46 << 30), False),
        (changed(MACHINE, disk_free_bytes=45 << 30), True),
        (changed(MACHINE, memory_bytes=1 << 32), True),
        (changed(MACHINE, gpus=(Gpu("x"),)), True),
    ],
)
def test_news_is_what_changed_by_enough(now: Machine, news: bool):  # noqa: FBT001 - pytest gives it by name
    assert is_news(MACHINE, now) == news
