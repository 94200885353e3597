"""What a group has used and what its limits have done: which file says it, in which version.

    what                          v2                                   v1
    oom_kills                     memory.events oom_kill               memory.oom_control oom_kill; v1 counts in the slice, not in its herd
    pids_refused                  pids.events max                      pids.events max
    cpu_periods, _throttled       cpu.stat nr_periods, nr_throttled    the same
    cpu_throttled_s               cpu.stat throttled_usec              cpu.stat throttled_time, in nanoseconds
    cpu_user_s, cpu_system_s      cpu.stat user_usec, system_usec      cpuacct.usage in nanoseconds, parted as usage_user and usage_sys
    memory_bytes                  memory.current                       memory.usage_in_bytes
    memory_bytes_peak             memory.peak, from Linux 5.19 on      memory.max_usage_in_bytes
    read_bytes, written_bytes     io.stat rbytes, wbytes               blkio.throttle.io_service_bytes_recursive

The time of the cores is counted in every v2 group, with or without the controller, so a hybrid takes it from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from runink.sandbox import cgroup_files as files
from runink.sandbox.cgroup_layout import Layout
from runink.sandbox.cgroup_limits import Version

Read = Callable[[str], str]  # of a file by its path; raises OSError

V1_MEMORY: Final = ("memory.usage_in_bytes", "memory.max_usage_in_bytes")


class Events(NamedTuple):
    """What limits have done to a group since it was made.

    A process that the herd's limit has refused counts in v1, and in v2 before Linux 6.11, for the slice that wanted it; after that for the herd.
    """

    oom_kills: int = 0
    pids_refused: int = 0
    cpu_periods: int = 0
    cpu_periods_throttled: int = 0
    cpu_throttled_s: float = 0.0


class Usage(NamedTuple):
    """What a group and all below it have used since it was made; nothing where the kernel does not count it."""

    cpu_user_s: float | None = None
    cpu_system_s: float | None = None
    memory_bytes: int | None = None
    memory_bytes_peak: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None


def events_of(
    layout: Layout, *, oom_kills: int | None = None, read: Read = files.read_at_once
) -> Events:
    """Return what has happened; of who is told the `oom_kills` their file is not read. Raises OSError."""
    pids, cpu = {}, {}
    if oom_kills is None and layout.memory is not Version.NONE:
        name = "memory.events" if layout.memory is Version.V2 else "memory.oom_control"
        text = read(f"{layout.directory(layout.memory, 'memory')}/{name}")
        oom_kills = files.numbers(text).get("oom_kill")
    if layout.pids is not Version.NONE:
        directory = layout.directory(layout.pids, "pids")
        pids = files.numbers(_if_any(read, f"{directory}/pids.events"))
    if layout.cpu is not Version.NONE:
        cpu = files.numbers(read(f"{layout.directory(layout.cpu, 'cpu')}/cpu.stat"))
    return Events(
        oom_kills=oom_kills or 0,
        pids_refused=pids.get("max", 0),
        cpu_periods=cpu.get("nr_periods", 0),
        cpu_periods_throttled=cpu.get("nr_throttled", 0),
        cpu_throttled_s=cpu.get("throttled_usec", 0) / 1e6 + cpu.get("throttled_time", 0) / 1e9,
    )


def usage_of(layout: Layout, *, is_over: bool = False, read: Read = files.read_at_once) -> Usage:
    """Return what was used; what memory is in use is not looked at where all `is_over`. Raises OSError."""
    user_s, system_s = _cpu_s(layout, read)
    current = peak = None
    if layout.memory is not Version.NONE:
        directory = layout.directory(layout.memory, "memory")
        is_v2 = layout.memory is Version.V2
        names = ("memory.current", "memory.peak") if is_v2 else V1_MEMORY
        current = None if is_over else _number(read, f"{directory}/{names[0]}")
        peak = _number(read, f"{directory}/{names[1]}")
    read_bytes, written_bytes = _io_bytes(layout, read)
    return Usage(user_s, system_s, current, peak, read_bytes, written_bytes)


def _cpu_s(layout: Layout, read: Read) -> tuple[float | None, float | None]:
    if layout.unified:
        found = files.numbers(read(f"{layout.unified.directory}/cpu.stat"))
        return found["user_usec"] / 1e6, found["system_usec"] / 1e6
    accounting = layout.with_controller("cpuacct")
    if accounting is None:
        return None, None
    texts = [
        read(f"{accounting.directory}/cpuacct.usage{which}") for which in ("", "_user", "_sys")
    ]
    return _parted(*map(int, texts))


def _parted(total_ns: int, user_ticks_ns: int, system_ticks_ns: int) -> tuple[float, float]:
    """Part what was measured as the ticks of the clock were; they alone are wrong by a tenth where a quota stops and starts the group."""
    ticks_ns = user_ticks_ns + system_ticks_ns
    user_s = total_ns / 1e9 * (user_ticks_ns / ticks_ns if ticks_ns else 1.0)
    return user_s, total_ns / 1e9 - user_s


def _io_bytes(layout: Layout, read: Read) -> tuple[int | None, int | None]:
    if layout.io is Version.NONE:
        return None, None
    name = "io.stat" if layout.io is Version.V2 else "blkio.throttle.io_service_bytes_recursive"
    return files.device_bytes(_if_any(read, f"{layout.directory(layout.io, 'blkio')}/{name}"))


def _number(read: Read, path: str) -> int | None:
    text = _if_any(read, path)
    return int(text) if text else None


def _if_any(read: Read, path: str) -> str:
    try:
        return read(path)
    except FileNotFoundError:
        return ""
