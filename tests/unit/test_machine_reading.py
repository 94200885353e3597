"""A machine is read from the kernel's files: here a folder that looks like its root, and this machine itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from runink.config import CPU_SHARES, metrics_place, offered
from runink.errors import Invalid
from runink.machine_reading import (
    count_gpus,
    read_cpu_m,
    read_machine,
    read_memory_available_bytes,
    read_memory_bytes,
    read_pressure,
    read_stalls,
)
from runink.machines import Gpu, Pressure, Reserved

CORES_M = len(os.sched_getaffinity(0)) * 1000
MEMORY = "MemTotal: 16777216 kB\nMemAvailable: 1024 kB\n"


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    return write(
        tmp_path,
        proc__meminfo=MEMORY,
        proc__self__cgroup="0::/a/b\n",
        proc__self__mountinfo="41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    )


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    return write(
        tmp_path,
        proc__meminfo=MEMORY,
        proc__self__cgroup="4:memory:/a\n1:cpu,cpuacct:/a\n0::/a\n",
        proc__self__mountinfo=(
            "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
            "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
            "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        ),
    )


def test_without_limits_it_is_the_whole_machine(v2: Path):
    write(v2, sys__fs__cgroup__a__b__memoryDOTmax="max\n", sys__fs__cgroup__a__cpuDOTmax="max 1\n")
    assert read_cpu_m(v2) == CORES_M
    assert read_memory_bytes(v2) == 16 << 30
    assert read_memory_available_bytes(v2) == 1 << 20


def test_the_smallest_limit_of_our_group_and_those_above_it_holds(v2: Path):
    write(
        v2,
        sys__fs__cgroup__a__b__memoryDOTmax=f"{2 << 30}\n",
        sys__fs__cgroup__a__memoryDOTmax=f"{1 << 30}\n",
        sys__fs__cgroup__a__b__cpuDOTmax="50000 100000\n",
        sys__fs__cgroup__a__cpuDOTmax="90000 100000\n",
    )
    assert read_cpu_m(v2) == 500
    assert read_memory_bytes(v2) == 1 << 30


def test_limits_of_v1_hold(v1: Path):
    write(
        v1,
        sys__fs__cgroup__memory__a__memoryDOTlimit_in_bytes=f"{3 << 30}\n",
        sys__fs__cgroup__memory__memoryDOTlimit_in_bytes="9223372036854771712\n",
        sys__fs__cgroup__cpu__a__cpuDOTcfs_quota_us="25000\n",
        sys__fs__cgroup__cpu__a__cpuDOTcfs_period_us="50000\n",
        sys__fs__cgroup__cpu__cpuDOTcfs_quota_us="-1\n",
    )
    assert read_cpu_m(v1) == 500
    assert read_memory_bytes(v1) == 3 << 30


def test_a_machine_that_tells_nothing_is_what_the_library_says(tmp_path: Path):
    assert read_cpu_m(tmp_path) == CORES_M
    assert read_memory_bytes(tmp_path) == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert read_pressure(tmp_path) is None
    assert not read_stalls(tmp_path)
    machine = read_machine(tmp_path, versions={}, root=tmp_path)
    assert (machine.numa_nodes, machine.gpus, machine.boot) == (1, (), "")


def test_all_of_it_is_read(v2: Path):
    write(
        v2,
        sys__devices__system__node__online="0-3\n",
        proc__sys__kernel__random__boot_id="b00t\n",
        proc__pressure__cpu="some avg10=1.50 avg60=0 avg300=0 total=2000000\n",
    )
    machine = read_machine(v2, versions={"runink": "9"}, root=v2)
    assert (machine.memory_bytes, machine.numa_nodes, machine.boot) == (16 << 30, 4, "b00t")
    assert machine.pressure == Pressure(cpu_some=1.5)
    assert read_stalls(v2)["cpu", "some"].total_s == 2.0
    assert machine.versions["runink"] == "9"
    assert machine.kernel.startswith("Linux ")
    assert 0 < machine.disk_free_bytes <= machine.disk_bytes


def card(root: Path, name: str, **files: str) -> None:
    write(root, **{f"sys__class__drm__{name}__device__{file}": one for file, one in files.items()})


def test_gpus_are_found_by_the_kernel_s_own_drivers(tmp_path: Path):
    card(tmp_path, "card0", vendor="0x1002\n", device="0x73bf\n", mem_info_vram_total="17163091968")
    card(tmp_path, "card1", vendor="0x8086\n", device="0x56a0\n")
    card(tmp_path, "card2", vendor="0x1a03\n", device="0x2000\n")  # a console of a server
    card(tmp_path, "card0-DP-1", vendor="0x1002\n")  # a connector
    machine = read_machine(tmp_path, versions={}, root=tmp_path)
    assert machine.gpus == (Gpu("AMD 0x73bf", 17163091968), Gpu("Intel 0x56a0"))


def test_nvidia_s_gpus_are_found_once_by_their_driver(tmp_path: Path):
    name = "proc__driver__nvidia__gpus__0000:01:00DOT0__information"
    write(tmp_path, **{name: "Model: \t\t NVIDIA A100-SXM4-40GB\nIRQ:   \t\t 30\n"})
    card(tmp_path, "card0", vendor="0x10de\n", device="0x20b0\n")
    assert read_machine(tmp_path, versions={}, root=tmp_path).gpus == (
        Gpu("NVIDIA A100-SXM4-40GB"),
    )


def test_nvidia_s_gpus_without_their_driver_are_found_by_the_kernel(tmp_path: Path):
    card(tmp_path, "card0", vendor="0x10de\n", device="0x20b0\n")
    assert read_machine(tmp_path, versions={}, root=tmp_path).gpus == (Gpu("NVIDIA 0x20b0"),)


def test_what_is_offered_is_less_than_what_is_there_by_what_is_reserved():
    whole = offered(Reserved(0, 0, 0))
    less = offered(Reserved(100, 1 << 20, 0))
    assert whole.cpu_m == read_cpu_m() * CPU_SHARES
    assert whole.memory_bytes == read_memory_bytes()
    assert whole.cpu_m - less.cpu_m == 100 * CPU_SHARES
    assert whole.memory_bytes - less.memory_bytes == 1 << 20


def test_half_of_a_machine_is_offered_at_least():
    most = offered(Reserved(1 << 40, 1 << 60, 0))
    assert most.cpu_m == read_cpu_m() // 2 * CPU_SHARES
    assert most.memory_bytes == read_memory_bytes() // 2


def test_metrics_are_served_at_an_address_or_a_path():
    assert str(metrics_place("[::1]:9464")) == "[::1]:9464"
    assert metrics_place("unix:/run/m.sock") == Path("/run/m.sock")
    for text in ("unix:", "9464", "localhost"):
        with pytest.raises(Invalid):
            metrics_place(text)


def test_graphics_processors_are_counted_by_their_names_or_else_by_their_device_files(
    tmp_path: Path,
):
    assert count_gpus(tmp_path) == 0
    write(tmp_path, dev__nvidia0="", dev__nvidia1="", dev__nvidiactl="", dev__null="")
    (tmp_path / "dev/nvidia-uvm").write_text("")
    assert count_gpus(tmp_path) == 2
    for at in range(3):
        write(tmp_path, **{f"proc__driver__nvidia__gpus__{at}__information": "Model: \t A100\n"})
    assert count_gpus(tmp_path) == 3
