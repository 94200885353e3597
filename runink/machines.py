"""What a machine is, as its kernel's text files say it: values, and pure parsers of `/proc`, `/sys` and cgroup files.

    /proc/meminfo               memory
    /proc/self/cgroup           the groups that a process is in; /proc/self/mountinfo says where they are mounted
    cpu.max, memory.max         limits of a group (v2); cpu.cfs_quota_us, cpu.cfs_period_us, memory.limit_in_bytes (v1)
    /proc/pressure/RESOURCE     PSI: for how much of the time something (some) or everything (full) waited
    /sys/.../node/online        NUMA nodes, as `0-1,4`

Who reads the files is `machine_reading.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final, NamedTuple

import msgspec

SUSPECT_S: Final = 5.0  # without a word of a node: it gets no new work
BACK_S: Final = 600.0  # after it is lost: a machine that is started anew is back by then, with its firmware's checks and all
LOST_S: Final = 30.0  # without a renewal of its lease: what it runs begins anew elsewhere
RESOURCES: Final = ("cpu", "memory", "io")
PRESSURE_STEP: Final = 10.0  # percentage points; less is the machine's breathing
DISK_STEP: Final = 20  # a change of free disk by one part in so many
_UNLIMITED_BYTES: Final = 1 << 60  # v1 says "no limit" with a number near 2**63


class Gpu(msgspec.Struct, frozen=True, omit_defaults=True):
    """A graphics processor: its maker's or driver's name for it, and its memory where the kernel tells it."""

    name: str
    memory_bytes: int = 0


class Pressure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of the last ten seconds, the percentage in which something (some) or everything (full) waited for a resource."""

    cpu_some: float = 0.0
    cpu_full: float = 0.0
    memory_some: float = 0.0
    memory_full: float = 0.0
    io_some: float = 0.0
    io_full: float = 0.0


class Reserved(msgspec.Struct, frozen=True):
    """What a machine keeps for its system, and does not offer to slices."""

    cpu_m: int = 100
    memory_bytes: int = 256 << 20
    disk_bytes: int = 1 << 30


class Machine(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a node's agent and slices have together.

    `cpu_m` is bounded by the process's affinity and by the quotas of its cgroups, `memory_bytes` by their limits.  `disk_bytes` are of the disk that the
    state folder is on. `pressure` is nothing where the kernel does not tell it.
    """

    cpu_m: int
    memory_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    gpus: tuple[Gpu, ...] = ()
    numa_nodes: int = 1
    host: str = ""
    kernel: str = ""
    architecture: str = ""
    boot: str = ""
    versions: dict[str, str] = {}
    pressure: Pressure | None = None


def is_news(before: Machine, now: Machine) -> bool:
    """Say whether a machine has changed by enough to tell everybody: a record that is written reaches all who watch nodes."""
    still = {"disk_free_bytes": 0, "pressure": None}
    if msgspec.structs.replace(before, **still) != msgspec.structs.replace(now, **still):
        return True
    if abs(now.disk_free_bytes - before.disk_free_bytes) * DISK_STEP >= max(now.disk_bytes, 1):
        return True
    pressures = (msgspec.structs.astuple(one.pressure or Pressure()) for one in (before, now))
    return any(abs(b - a) >= PRESSURE_STEP for a, b in zip(*pressures, strict=True))


class Group(NamedTuple):
    """A cgroup of this process: its version (1, 2), the controllers that v1 mounts together, and its path."""

    version: int
    controllers: frozenset[str]
    path: str


class GroupMount(NamedTuple):
    """Where a hierarchy of cgroups is mounted, and which of its groups is the mount's root."""

    version: int
    controllers: frozenset[str]
    root: str
    place: str


class Stalls(NamedTuple):
    """A line of a PSI file: the percentage of the last ten seconds, and the time that was waited since the machine began."""

    percent: float
    total_s: float


def parse_meminfo(text: str) -> dict[str, int]:
    """Return the fields of /proc/meminfo that are sizes, in bytes."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[0].isdigit() and words[1] == "kB":
            found[name] = int(words[0]) << 10
    return found


def parse_pressure(text: str) -> dict[str, Stalls]:
    """Return the lines of a PSI file by their first word: some, full."""
    found = {}
    for line in text.splitlines():
        who, *pairs = line.split()
        fields = dict(pair.partition("=")[::2] for pair in pairs)
        found[who] = Stalls(float(fields["avg10"]), int(fields["total"]) / 1e6)
    return found


def pressure_of(texts: dict[str, str]) -> Pressure | None:
    """Return the pressure, from PSI files by their resource; nothing where there are none."""
    if not texts:
        return None
    found = {
        f"{resource}_{who}": stalls.percent
        for resource, text in texts.items()
        for who, stalls in parse_pressure(text).items()
    }
    return msgspec.convert(found, Pressure)


def parse_groups(text: str) -> list[Group]:
    """Return the groups that /proc/self/cgroup names."""
    found = []
    for line in text.splitlines():
        number, names, path = line.split(":", 2)
        version = 2 if number == "0" and not names else 1
        found.append(Group(version, _words(names), path))
    return found


def parse_group_mounts(text: str) -> list[GroupMount]:
    """Return the hierarchies of cgroups that /proc/self/mountinfo names."""
    found = []
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            root, place = (_unquoted(field) for field in fields.split()[3:5])
            found.append(GroupMount(2 if kind == "cgroup2" else 1, _words(options), root, place))
    return found


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in text.split(",") if word)


def _unquoted(field: str) -> str:
    """Undo the escapes of mountinfo."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field


def group_folders(
    groups: list[Group], mounts: list[GroupMount], controller: str
) -> Iterator[tuple[int, str]]:
    """Yield version and folder of each group that may limit a controller: our own, and those above it that are mounted."""
    for group in groups:
        if group.version == 1 and controller not in group.controllers:
            continue
        for mount in mounts:
            if mount.version != group.version:
                continue
            if mount.version == 1 and controller not in mount.controllers:
                continue
            inside = _inside(group.path, mount.root)
            for path in (inside, *inside.parents):
                yield mount.version, str(PurePosixPath(mount.place) / path)
            break


def _inside(path: str, root: str) -> PurePosixPath:
    """Return a group's path below the mount; the mount's own root for a group that is not below it, as in a container."""
    try:
        found = PurePosixPath(path).relative_to(root)
    except ValueError:
        return PurePosixPath()
    return PurePosixPath() if ".." in found.parts else found


def parse_cpu_max(text: str) -> int | None:
    """Return the milli-cores of a v2 `cpu.max`, nothing for no limit."""
    quota, _, period = text.strip().partition(" ")
    return None if quota == "max" else quota_m(int(quota), int(period or 100_000))


def quota_m(quota_us: int, period_us: int) -> int | None:
    """Return the milli-cores of a quota; nothing where it is -1, which is no limit."""
    return None if quota_us < 0 else quota_us * 1000 // period_us


def parse_memory_limit(text: str) -> int | None:
    """Return a memory limit of either version in bytes, nothing for none."""
    word = text.strip()
    return None if word == "max" or int(word) >= _UNLIMITED_BYTES else int(word)


def count_of_list(text: str) -> int:
    """Return how many numbers a kernel list such as `0-1,4` names."""
    count = 0
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        count += int(last or first) - int(first) + 1
    return count
