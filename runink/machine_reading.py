"""Reads what a machine is (`machines.py`) from its kernel: small text files, no library, nothing that needs a privilege.

A file that is not there, or that this kernel does not let us read, limits nothing and tells nothing.  `root` is `/`, or a folder with a copy of what
matters.
"""

from __future__ import annotations

import os
import pwd
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runink.machines import (
    RESOURCES,
    Gpu,
    Machine,
    Pressure,
    Stalls,
    count_of_list,
    group_folders,
    parse_cpu_max,
    parse_group_mounts,
    parse_groups,
    parse_meminfo,
    parse_memory_limit,
    parse_pressure,
    pressure_of,
    quota_m,
)

ROOT: Final = Path("/")
_CARD: Final = re.compile(r"card[0-9]+")
_NVIDIA: Final = re.compile(r"nvidia[0-9]+")
_MAKERS: Final = {
    "0x1002": "AMD",
    "0x10de": "NVIDIA",
    "0x8086": "Intel",
}  # others only show a console
GPUS_MAX: Final = 64


def user_name(uid: int) -> str:
    """Return a user's name; the number of one without an entry, as in some containers."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def user_text(uid: int) -> str:
    """Return a user's name with its number, for people; the number alone where nobody has it."""
    name = user_name(uid)
    return name if name == str(uid) else f"{name} ({uid})"


def read_machine(state: Path, *, versions: dict[str, str], root: Path = ROOT) -> Machine:
    """Return what this machine is, and the disk of the state folder, which must be there."""
    disk = os.statvfs(state)
    name = os.uname()
    python = ".".join(map(str, sys.version_info[:3]))
    return Machine(
        cpu_m=read_cpu_m(root),
        memory_bytes=read_memory_bytes(root),
        disk_bytes=disk.f_blocks * disk.f_frsize,
        disk_free_bytes=disk.f_bavail * disk.f_frsize,
        gpus=tuple(_gpus(root))[:GPUS_MAX],
        numa_nodes=count_of_list(_read(root / "sys/devices/system/node/online") or "0"),
        host=name.nodename,
        kernel=f"{name.sysname} {name.release}",
        architecture=name.machine,
        boot=_read(root / "proc/sys/kernel/random/boot_id").strip(),
        versions={**versions, "python": python},
        pressure=read_pressure(root),
    )


def read_disk_free_bytes(state: Path) -> int:
    """Return what is free on the disk of a folder, for who is not root."""
    disk = os.statvfs(state)
    return disk.f_bavail * disk.f_frsize


def read_cpu_m(root: Path = ROOT) -> int:
    """Return the processor time that this process may use: its cores, less what the quotas of its cgroups leave of them."""
    limits = [
        parse_cpu_max(text) if version == 2 else _v1_quota_m(folder, text)
        for version, folder in _folders(root, "cpu")
        if (text := _read(folder / ("cpu.max" if version == 2 else "cpu.cfs_quota_us")))
    ]
    cores_m = len(os.sched_getaffinity(0)) * 1000
    return min([cores_m, *(limit for limit in limits if limit is not None)])


def _v1_quota_m(folder: Path, quota: str) -> int | None:
    return quota_m(int(quota), int(_read(folder / "cpu.cfs_period_us") or 100_000))


def read_memory_bytes(root: Path = ROOT) -> int:
    """Return the memory that this process may use: the machine's, or the smallest limit of its cgroups."""
    limits = [
        parse_memory_limit(text)
        for version, folder in _folders(root, "memory")
        if (text := _read(folder / ("memory.max" if version == 2 else "memory.limit_in_bytes")))
    ]
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    total = parse_meminfo(_read(root / "proc/meminfo")).get("MemTotal", machine)
    return min([total, *(limit for limit in limits if limit is not None)])


def read_memory_available_bytes(root: Path = ROOT) -> int:
    """Return how much memory is to be had without swapping, as the kernel estimates it."""
    return parse_meminfo(_read(root / "proc/meminfo")).get("MemAvailable", 0)


def read_pressure(root: Path = ROOT) -> Pressure | None:
    """Return the pressure of now, nothing where the kernel does not tell it."""
    return pressure_of(_pressure_texts(root))


def read_stalls(root: Path = ROOT) -> dict[tuple[str, str], Stalls]:
    """Return the PSI figures by resource and who waited, nothing where the kernel does not tell them."""
    return {
        (resource, who): stalls
        for resource, text in _pressure_texts(root).items()
        for who, stalls in parse_pressure(text).items()
    }


def _pressure_texts(root: Path) -> dict[str, str]:
    found = {resource: _read(root / "proc/pressure" / resource) for resource in RESOURCES}
    return {resource: text for resource, text in found.items() if text}


def _folders(root: Path, controller: str) -> Iterator[tuple[int, Path]]:
    groups = parse_groups(_read(root / "proc/self/cgroup"))
    mounts = parse_group_mounts(_read(root / "proc/self/mountinfo"))
    for version, folder in group_folders(groups, mounts, controller):
        yield version, root / folder.lstrip("/")


def count_gpus(root: Path = ROOT) -> int:
    """Return how many graphics processors the machine has: those that are told by name, or, in a container that is shown no more, NVIDIA's device files."""
    named = sum(1 for _ in _gpus(root))
    files = sum(1 for one in (root / "dev").glob("nvidia*") if _NVIDIA.fullmatch(one.name))
    return min(max(named, files), GPUS_MAX)


def _gpus(root: Path) -> Iterator[Gpu]:
    """Yield the graphics processors: NVIDIA's by their driver, others by the kernel's own drivers."""
    nvidia = sorted((root / "proc/driver/nvidia/gpus").glob("*/information"))
    for file in nvidia:
        fields = dict(line.partition(":")[::2] for line in _read(file).splitlines())
        yield Gpu(fields.get("Model", "").strip() or "NVIDIA")
    for card in sorted((root / "sys/class/drm").glob("card*")):
        device = card / "device"
        maker = _MAKERS.get(_read(device / "vendor").strip())
        if not _CARD.fullmatch(card.name) or maker is None or (maker == "NVIDIA" and nvidia):
            continue
        memory = _read(device / "mem_info_vram_total").strip()
        name = f"{maker} {_read(device / 'device').strip()}".strip()
        yield Gpu(name, int(memory) if memory.isdigit() else 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
