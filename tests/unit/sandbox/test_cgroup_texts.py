"""What the kernel writes into a cgroup's files, and what we write: texts of kernels with v2, v1 and both."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path

import pytest
from runink.sandbox import cgroup_files as files
from runink.sandbox import cgroup_tree as tree
from runink.sandbox.cgroup_limits import (
    DEVICES_MAX,
    Limits,
    Version,
    cpu_in_force,
    cpu_settings,
    disks,
    io_in_force,
    io_settings,
    memory_in_force,
    memory_settings,
)
from runink.sandbox.cgroup_records import Events, Usage, events_of, usage_of
from runink.sandbox.cgroups import Hierarchy, Layout

V1, V2, NONE = Version.V1, Version.V2, Version.NONE


def folder(place: Path, texts: dict[str, str]) -> str:
    place.mkdir()
    for name, text in texts.items():
        (place / name).write_text(text)
    return str(place)


@pytest.mark.parametrize(
    ("text", "value"),
    [("max\n", 0), ("-1\n", 0), ("9223372036854771712\n", 0), ("67108864\n", 67108864)],
)
def test_no_limit_has_three_spellings(text, value):
    assert files.number(text) == value


def test_a_process_without_a_number_for_us_is_nobody():
    """A signal to 0 would reach our own process group."""
    assert files.pids("0\n17\n0\n18\n") == [17, 18]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", (0, 0)),
        (
            "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n8:0 rbytes=1 wbytes=2\n",
            (4097, 8194),
        ),
        ("254:0 \n8:0 rbytes=5 wbytes=0 rios=1\n", (5, 0)),
        (
            "254:0 Read 4096\n254:0 Write 12\n254:0 Sync 12\n254:0 Total 4108\n8:0 Read 4\nTotal 4112\n",
            (4100, 12),
        ),
        ("Total 0\n", (0, 0)),
    ],
)
def test_bytes_are_summed_over_devices(text, value):
    assert files.device_bytes(text) == value


def test_an_error_names_the_file_and_what_was_written(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path}/memory.max")):
        files.read(f"{tmp_path}/memory.max")
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path}/memory.max")):
        files.write(f"{tmp_path}/memory.max", "1")
    with pytest.raises(OSError, match=r"No space left on device, writing '17': '/dev/full'"):
        files.write("/dev/full", "17")
    with pytest.raises(IsADirectoryError, match=re.escape(str(tmp_path))):
        files.read(str(tmp_path))
    assert files.read_if_any(f"{tmp_path}/memory.peak") == ""


def test_nothing_stays_open_after_an_error():
    gc.collect()  # what earlier tests have dropped in circles closes its own now, and not between two counts
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(OSError, match="/dev/full"):
            files.write("/dev/full", "17")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_cores_are_written_as_each_version_wants():
    assert cpu_settings(V2, 250, 200) == [("cpu.max", "25000 100000"), ("cpu.weight", "200")]
    assert cpu_settings(V2, 0, 100) == [("cpu.max", "max 100000"), ("cpu.weight", "100")]
    assert cpu_settings(V1, 250, 200) == [("cpu.cfs_quota_us", "25000"), ("cpu.shares", "2048")]
    assert cpu_settings(V1, 0, 1) == [("cpu.cfs_quota_us", "-1"), ("cpu.shares", "10")]
    assert cpu_settings(V1, 3, 100)[0] == ("cpu.cfs_quota_us", "1000")


def test_every_weight_comes_back_from_shares(tmp_path):
    for weight in (1, 2, 3, 50, 99, 100, 101, 9_999, 10_000):
        texts = dict(cpu_settings(V1, 1500, weight)) | {"cpu.cfs_period_us": "100000\n"}
        place = folder(tmp_path / str(weight), texts)
        assert cpu_in_force(V1, place) == (1500, weight)


def test_memory_and_swap_move_in_the_order_that_the_kernel_takes():
    names = {"memory.limit_in_bytes": "memory", "memory.memsw.limit_in_bytes": "both"}

    def order(bytes_max: int, before: int) -> list[str]:
        return [names[name] for name, _ in memory_settings(V1, V1, bytes_max, before)]

    assert order(64, 0) == ["memory", "both"]
    assert order(32, 64) == ["memory", "both"]
    assert order(128, 64) == ["both", "memory"]
    assert order(0, 64) == ["both", "memory"]
    assert memory_settings(V1, NONE, 64, 0) == [("memory.limit_in_bytes", "64")]
    assert memory_settings(V1, NONE, 0, 64) == [("memory.limit_in_bytes", "-1")]
    assert memory_settings(V2, V2, 64, 0) == [("memory.max", "64")]
    assert memory_settings(V2, V2, 0, 64) == [("memory.max", "max")]


def test_disks_are_limited_in_both_directions():
    assert io_settings(V2, 5, ["8:0", "254:0"]) == [
        ("io.max", "8:0 rbps=5 wbps=5"),
        ("io.max", "254:0 rbps=5 wbps=5"),
    ]
    assert io_settings(V2, 0, ["8:0"]) == [("io.max", "8:0 rbps=max wbps=max")]
    assert io_settings(V1, 5, ["8:0"]) == [
        ("blkio.throttle.read_bps_device", "8:0 5"),
        ("blkio.throttle.write_bps_device", "8:0 5"),
    ]


def test_only_whole_disks_with_a_size_are_limited():
    found = disks()
    assert len(found) <= DEVICES_MAX
    for device in found:
        place = Path("/sys/dev/block") / device
        assert int((place / "size").read_text()) > 0
        assert not (place / "partition").exists()


@pytest.mark.parametrize(
    ("version", "name", "text", "value"),
    [
        (V2, "io.max", "", 0),
        (V2, "io.max", "8:0 rbps=max wbps=5 riops=max wiops=max\n", 0),
        (V2, "io.max", "8:0 rbps=9 wbps=9\n254:0 rbps=5 wbps=5\n", 5),
        (V1, "blkio.throttle.read_bps_device", "", 0),
        (V1, "blkio.throttle.read_bps_device", "8:0 9\n254:0 5\n", 5),
    ],
)
def test_the_least_of_all_disks_is_in_force(tmp_path, version, name, text, value):
    assert io_in_force(version, folder(tmp_path / "group", {name: text})) == value


def test_limits_in_force_are_read_in_both_versions(tmp_path):
    v2 = {"cpu.max": "25000 100000\n", "cpu.weight": "200\n", "memory.max": "max\n"}
    place = folder(tmp_path / "v2", v2)
    assert cpu_in_force(V2, place) == (250, 200)
    assert memory_in_force(V2, place) == 0
    assert memory_in_force(V1, folder(tmp_path / "v1", {"memory.limit_in_bytes": "4096\n"})) == 4096


def test_v2_tells_what_was_used_and_what_happened(tmp_path):
    texts = {
        "cpu.stat": "usage_usec 3500000\nuser_usec 2500000\nsystem_usec 1000000\nnr_periods 31\nnr_throttled 30\nthrottled_usec 2400000\n",
        "memory.current": "4096\n",
        "memory.peak": "67108864\n",
        "memory.events": "low 0\nhigh 0\nmax 12\noom 1\noom_kill 4\noom_group_kill 1\n",
        "pids.events": "max 3\n",
        "io.stat": "254:0 rbytes=1 wbytes=2\n",
    }
    place = Hierarchy((), "/a", folder(tmp_path / "a", texts))
    layout = Layout((place,), memory=V2, cpu=V2, pids=V2, io=V2)
    assert usage_of(layout) == Usage(2.5, 1.0, 4096, 67108864, 1, 2)
    assert events_of(layout) == Events(4, 3, 31, 30, 2.4)
    (tmp_path / "a" / "memory.peak").unlink()
    assert usage_of(layout).memory_bytes_peak is None


def test_v1_tells_it_too_and_parts_the_time_as_the_ticks_were(tmp_path):
    texts = {
        "cpu.stat": "nr_periods 31\nnr_throttled 30\nthrottled_time 2400000000\n",
        "cpuacct.usage": "4000000000\n",
        "cpuacct.usage_user": "3300000000\n",
        "cpuacct.usage_sys": "1100000000\n",
        "memory.usage_in_bytes": "4096\n",
        "memory.max_usage_in_bytes": "67108864\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
        "pids.events": "max 3\n",
        "blkio.throttle.io_service_bytes_recursive": "254:0 Read 1\n254:0 Write 2\nTotal 3\n",
    }
    place = folder(tmp_path / "a", texts)
    each = (("cpu", "cpuacct"), ("memory",), ("pids",), ("blkio",))
    layout = Layout(tuple(Hierarchy(keys, "/a", place) for keys in each), V1, V1, V1, V1, V1)
    assert usage_of(layout) == Usage(3.0, 1.0, 4096, 67108864, 1, 2)
    assert events_of(layout) == Events(1, 3, 31, 30, 2.4)
    (tmp_path / "a" / "cpuacct.usage_user").write_text("0\n")
    (tmp_path / "a" / "cpuacct.usage_sys").write_text("0\n")
    assert usage_of(layout)[:2] == (4.0, 0.0)


def test_a_hybrid_takes_the_time_of_the_cores_from_v2(tmp_path):
    v2 = folder(tmp_path / "v2", {"cpu.stat": "user_usec 2000000\nsystem_usec 500000\n"})
    v1 = folder(tmp_path / "v1", {"cpu.stat": "nr_periods 1\nnr_throttled 0\nthrottled_time 0\n"})
    layout = Layout((Hierarchy((), "/", v2), Hierarchy(("cpu",), "/", v1)), cpu=V1)
    assert usage_of(layout) == Usage(2.0, 0.5)
    assert events_of(layout) == Events(cpu_periods=1)


def test_what_somebody_has_heard_already_and_what_is_over_is_not_read(tmp_path):
    texts = {"memory.max_usage_in_bytes": "67108864\n"}
    place = folder(tmp_path / "a", texts)
    layout = Layout((Hierarchy(("memory",), "/a", place),), memory=V1)
    assert usage_of(layout, is_over=True).memory_bytes_peak == 67108864
    assert usage_of(layout, is_over=True).memory_bytes is None
    assert events_of(layout, oom_kills=2).oom_kills == 2
    assert events_of(layout, oom_kills=0).oom_kills == 0
    with pytest.raises(FileNotFoundError):
        events_of(layout)


def test_without_cgroups_nothing_is_known():
    assert usage_of(Layout()) == Usage()
    assert events_of(Layout()) == Events()
    assert Limits() == Limits(0, 100, 0, 0, 0)


def test_groups_are_removed_from_below(tmp_path):
    for name in ("a/b/c", "a/d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a" / "cgroup.procs").touch()
    order = [os.path.relpath(place, tmp_path) for place in tree.below(str(tmp_path / "a"))]
    assert order[-1] == "a"
    assert order.index("a/b/c") < order.index("a/b")
    assert sorted(order) == ["a", "a/b", "a/b/c", "a/d"]
    assert list(tree.below(f"{tmp_path}/gone")) == [f"{tmp_path}/gone"]
    assert not tree.is_populated(f"{tmp_path}/gone")
    (tmp_path / "a" / "b" / "cgroup.procs").write_text("17\n")
    assert tree.pids(f"{tmp_path}/a") == [17]
    assert tree.is_populated(f"{tmp_path}/a")


@pytest.mark.parametrize(
    ("text", "value"), [("populated 1\nfrozen 0\n", True), ("populated 0\n", False)]
)
def test_v2_says_itself_whether_anybody_is_there(tmp_path, text, value):
    assert tree.is_populated(folder(tmp_path / "a", {"cgroup.events": text})) is value
