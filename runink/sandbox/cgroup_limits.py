"""What a group may use, and how that is written in each version.

    limit               v2                                        v1
    cpu_m               cpu.max "QUOTA 100000"                    cpu.cfs_quota_us
    cpu_weight          cpu.weight                                cpu.shares, 1024 for a weight of 100
    memory_bytes        memory.max                                memory.limit_in_bytes
    swap: none          memory.swap.max 0                         memory.memsw.limit_in_bytes, the same as the memory's
    pids                pids.max                                  pids.max
    io_bytes_per_s      io.max "DEVICE rbps=N wbps=N"             blkio.throttle.{read,write}_bps_device "DEVICE N"

The kernel keeps memory + swap (v1) at or above memory at all times, so of the two that which moves away from the other goes first.
Input and output are limited on each disk, in both directions; v1 sees only reads and direct writes, not what goes by way of the page cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from runink.sandbox import cgroup_files as files

PERIOD_US: Final = 100_000  # the kernel's own
CPU_M_MIN: Final = 10  # a quota of 1 ms in each period: the kernel takes no less
WEIGHT: Final = 100
SHARES: Final = 1024
DEVICES_MAX: Final = 64  # on a machine with more disks, limits would cost more than they are worth
DEVICES: Final = "/sys/block"

Setting = tuple[str, str]  # the file's name, and what is written to it


class Version(StrEnum):
    """By what a limit is in force."""

    V1 = "v1"
    V2 = "v2"
    NONE = "none"


class Limits(NamedTuple):
    """What a group and all groups in it may use together.

    `cpu_m` is thousandths of a core, as a quota: 0 is no limit, and less than 10 counts as 10.  `cpu_weight` (1 to 10000) is its part of the
    cores when others want them too.  `memory_bytes` holds for memory, page cache and tmpfs together, without any swap.  `pids` counts threads as
    well.  `io_bytes_per_s` holds for each disk and each direction.  0 is no limit.
    """

    cpu_m: int = 0
    cpu_weight: int = WEIGHT
    memory_bytes: int = 0
    pids: int = 0
    io_bytes_per_s: int = 0


UNLIMITED: Final = Limits()


def cpu_settings(version: Version, cpu_m: int, weight: int) -> list[Setting]:
    quota = max(cpu_m, CPU_M_MIN) * PERIOD_US // 1000
    if version is Version.V2:
        quota_text = f"{quota} {PERIOD_US}" if cpu_m else f"max {PERIOD_US}"
        return [("cpu.max", quota_text), ("cpu.weight", str(weight))]
    shares = max(2, weight * SHARES // WEIGHT)
    return [("cpu.cfs_quota_us", str(quota) if cpu_m else "-1"), ("cpu.shares", str(shares))]


def memory_settings(version: Version, swap: Version, bytes_max: int, before: int) -> list[Setting]:
    """Return the settings in the order in which they can be made, coming from a limit of `before`."""
    if version is Version.V2:
        return [("memory.max", str(bytes_max or "max"))]
    text = str(bytes_max or "-1")
    settings = [("memory.limit_in_bytes", text)]
    if swap is Version.V1:
        settings.append(("memory.memsw.limit_in_bytes", text))
    is_more = before and (not bytes_max or bytes_max > before)
    return settings[::-1] if is_more else settings


def io_settings(version: Version, bytes_per_s: int, devices: list[str]) -> list[Setting]:
    settings = []
    for device in devices:
        if version is Version.V2:
            text = str(bytes_per_s or "max")
            settings.append(("io.max", f"{device} rbps={text} wbps={text}"))
        else:
            settings += [
                (f"blkio.throttle.{way}_bps_device", f"{device} {bytes_per_s}")
                for way in ("read", "write")
            ]
    return settings


def disks() -> list[str]:
    """Return the machine's disks as "major:minor"; a limit is set on a whole disk, not on a partition."""
    return list(_disks())[:DEVICES_MAX]


def _disks() -> Iterator[str]:
    for name in sorted(files.links(DEVICES)):
        size = files.read_if_any(f"{DEVICES}/{name}/size")
        if size and files.number(size):  # a loop device without a file has none
            yield files.read(f"{DEVICES}/{name}/dev").strip()


def cpu_in_force(version: Version, directory: str) -> tuple[int, int]:
    """Return thousandths of a core and weight, as the kernel tells them."""
    if version is Version.V2:
        quota, period = files.read(f"{directory}/cpu.max").split()
        weight = files.number(files.read(f"{directory}/cpu.weight"))
        return files.number(quota) * 1000 // int(period), weight
    quota_us = files.number(files.read(f"{directory}/cpu.cfs_quota_us"))
    period_us = files.number(files.read(f"{directory}/cpu.cfs_period_us"))
    shares = files.number(files.read(f"{directory}/cpu.shares"))
    return quota_us * 1000 // period_us, round(shares * WEIGHT / SHARES)


def memory_in_force(version: Version, directory: str) -> int:
    name = "memory.max" if version is Version.V2 else "memory.limit_in_bytes"
    return files.number(files.read(f"{directory}/{name}"))


def swap_in_force(version: Version, directory: str) -> int:
    """Return how much memory and swap may be used together (v1), how much swap (v2)."""
    name = "memory.swap.max" if version is Version.V2 else "memory.memsw.limit_in_bytes"
    return files.number(files.read(f"{directory}/{name}"))


def io_in_force(version: Version, directory: str) -> int:
    """Return the least that any disk may be read by; 0 if none is limited."""
    name = "io.max" if version is Version.V2 else "blkio.throttle.read_bps_device"
    found = [_reading(line) for line in files.read(f"{directory}/{name}").splitlines()]
    return min((bytes_per_s for bytes_per_s in found if bytes_per_s), default=0)


def _reading(line: str) -> int:
    words = line.split()[1:]
    if words and "=" not in words[0]:
        return files.number(words[0])
    named = dict(word.split("=") for word in words)
    return files.number(named.get("rbps", "max"))
