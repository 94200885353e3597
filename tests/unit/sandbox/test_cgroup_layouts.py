"""Where a machine's hierarchies are, from what /proc says on machines of several kinds."""

from __future__ import annotations

import pytest
from runink.sandbox.cgroup_layout import count_below, located
from runink.sandbox.cgroups import Group, Hierarchy, Join, Kill, Layout, Limits, Oom, Version

PURE = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
HYBRID_GROUPS = """\
9:name=systemd:/
4:memory:/service/a:b
2:cpu,cpuacct:/
0::/user.slice
"""


def places(mountinfo: str, memberships: str) -> dict[str, tuple[str, str]]:
    found = located(mountinfo, memberships)
    return {",".join(one.controllers): (one.path, one.directory) for one in found}


def test_a_machine_with_v2_alone():
    assert places(PURE, "0::/a/b\n") == {"": ("/a/b", "/sys/fs/cgroup/a/b")}
    assert places(PURE, "0::/\n") == {"": ("/", "/sys/fs/cgroup")}


def test_a_machine_with_both():
    assert places(HYBRID, HYBRID_GROUPS) == {
        "": ("/user.slice", "/sys/fs/cgroup/unified/user.slice"),
        "cpu,cpuacct": ("/", "/sys/fs/cgroup/cpu,cpuacct"),
        "memory": ("/service/a:b", "/sys/fs/cgroup/memory/service/a:b"),
        "name=systemd": ("/", "/sys/fs/cgroup/systemd"),
    }
    assert located(HYBRID, HYBRID_GROUPS)[0].is_v2, "v2 is the first"


def test_a_part_of_a_hierarchy_that_is_mounted():
    """A container that has no namespace of its own sees its group under the hierarchy's whole path."""
    mounted = "35 31 0:32 /docker/c1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    assert places(mounted, "4:memory:/docker/c1\n") == {
        "memory": ("/docker/c1", "/sys/fs/cgroup/memory")
    }
    assert places(mounted, "4:memory:/docker/c1/in/side\n") == {
        "memory": ("/docker/c1/in/side", "/sys/fs/cgroup/memory/in/side")
    }


@pytest.mark.parametrize("path", ["/docker/c2", "/docker/c11", "/", "/.."])
def test_a_group_that_is_out_of_reach_is_left_out(path):
    mounted = "35 31 0:32 /docker/c1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    assert places(mounted, f"4:memory:{path}\n") == {}


def test_of_two_mounts_the_one_that_shows_the_group_is_taken():
    mounted = (
        "34 31 0:32 /elsewhere /mnt rw - cgroup cgroup rw,memory\n"
        "35 31 0:32 / /my\\040groups rw - cgroup cgroup rw,memory\n"
        "36 31 0:32 / /third rw - cgroup cgroup rw,memory\n"
    )
    assert places(mounted, "4:memory:/a\n") == {"memory": ("/a", "/my groups/a")}


def test_a_machine_without_any():
    assert located("", "") == []
    assert located("31 23 0:28 / / rw - ext4 /dev/vda rw\n", "0::/\n") == []


def test_up_and_down_are_opposite():
    for path in ("/", "/a/b"):
        here = Hierarchy((), path, "/sys/fs/cgroup" + path.rstrip("/"))
        assert here.down("x").up() == here
    assert Hierarchy((), "/", "/g").down("x") == Hierarchy((), "/x", "/g/x")


def test_below_a_limit_everything_is_counted(tmp_path):
    """Before Linux 5.11 a limit of v1 held for its own group alone, unless it was told to hold for all below."""
    told = tmp_path / "memory.use_hierarchy"
    count_below(str(tmp_path))
    assert not told.exists()
    told.write_text("0\n")
    count_below(str(tmp_path))
    assert told.read_text()[0] == "1"


def test_what_is_in_force_can_be_told_in_words():
    layout = Layout((), Version.V1, Version.NONE, Version.V2, kill=Kill.KERNEL, oom=Oom.SPAWNER)
    assert layout.told() == {
        "memory": "v1",
        "swap": "none",
        "cpu": "v2",
        "pids": "none",
        "io": "none",
        "kill": "cgroup.kill",
        "oom": "spawner",
        "join": "none",
    }
    assert layout.with_limit("cpu", Version.NONE).told()["cpu"] == "none"
    assert layout.down("a").told() == layout.told()


def test_without_cgroups_a_group_does_nothing_and_says_so():
    base = Group(Layout())
    one = base.make_herd("herd", Limits(memory_bytes=1)).make_slice("one", Limits(pids=1))
    assert one.layout.join is Join.NONE
    one.join(1)  # nobody is moved
    one.limit(Limits(cpu_m=5))
    assert one.in_force() == Limits()
    assert one.descriptor == -1
    assert one.watch_oom() is None
    assert not one.is_populated
    assert one.kill(within_s=0)
    assert one.remove()
