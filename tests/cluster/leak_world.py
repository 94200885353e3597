"""What is left on the machine of a spawner and of all that it has made, looked for from outside."""

from __future__ import annotations

import fcntl
import gc
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.lowlevel
from runink.sandbox import cgroup_files as files
from runink.sandbox import cgroup_tree as tree
from runink.sandbox.cgroup_claims import FOLDER
from runink.sandbox.cgroup_layout import base_of, located
from runink.sandbox.starting import SpawnerPlace
from sandbox_world import WAIT_S, World, children_of, descriptors_of

NS_GET_PARENT = 0xB702
HERE = located(files.read("/proc/self/mountinfo"), files.read("/proc/self/cgroup"))
HAS_GROUPS = any(os.access(one.directory, os.W_OK) for one in HERE)  # else cells have no cgroups
KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


def base_name(place: SpawnerPlace) -> str:
    return f"runink-{zlib.crc32(str(place.socket.absolute()).encode()):08x}"


def bases(place: SpawnerPlace) -> list[str]:
    """Return where the cgroups of a spawner are that we have started."""
    return [base_of(one, base_name(place)).directory for one in HERE]


def groups_of(place: SpawnerPlace) -> list[str]:
    """Return its cgroups that there are, beside what stays so that cores can be limited quickly."""
    found = [one for base in bases(place) if files.exists(base) for one in tree.below(base)]
    return sorted(one for one in found if not one.endswith("/runink.probe"))


def cells_of(place: SpawnerPlace) -> list[str]:
    """Return the cgroups of its cells that there are: the kernel may hold one for some ms after its last process."""
    return [one for one in groups_of(place) if "/h-" in one.rpartition("/")[0]]


def claim_of(place: SpawnerPlace) -> Path:
    return Path(FOLDER, base_name(place))


def is_claimed(place: SpawnerPlace) -> bool:
    """Say whether a spawner claims its cgroups, which only root's do."""
    return os.path.exists(claim_of(place))  # noqa: PTH110 - in root's folder, which may be closed to us


def namespace_of(pid: int | str, kind: str = "pid") -> int:
    return Path(f"/proc/{pid}/ns/{kind}").stat().st_ino


def living_in(namespace: int) -> list[int]:
    """Return the processes in this pid namespace and in those beneath it, zombies too."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            # What is closed to us is somebody else's, or the first of what we take for the machine.
            with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                found += [int(entry.name)] if namespace in _lineage(int(entry.name)) else []
    return found


def _lineage(pid: int) -> Iterator[int]:
    descriptor = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        while True:
            yield os.fstat(descriptor).st_ino
            try:
                above = fcntl.ioctl(descriptor, NS_GET_PARENT)
            except PermissionError:  # it would be above the one that we live in
                return
            os.close(descriptor)
            descriptor = above
    finally:
        os.close(descriptor)


def namespaces_of(pids: list[int]) -> set[tuple[str, int]]:
    """Return all namespaces that some of these processes live in."""
    found = set()
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # it has ended
            found |= {(kind, namespace_of(pid, kind)) for kind in KINDS}
    return found


async def quiet(world: World, place: SpawnerPlace, *, processes: int) -> None:
    """Wait until of all cells of a spawner nothing is left, and it has so many processes with its own."""
    namespace = namespace_of(world.spawner.pid)
    with anyio.fail_after(WAIT_S):
        while cells_of(place) or len(living_in(namespace)) != processes:
            for listed in await world.spawner.list():
                listed.close()


async def told_of_ends(world: World) -> None:
    """Wait until a spawner without slices has been told of every end that was seen here, and has done what it does then."""
    with anyio.fail_after(WAIT_S):
        is_told = False
        while not is_told:
            is_told = not handles_of(world.spawner.pid)
            await world.spawner.list()


def handles_of(pid: int) -> int:
    """Return how many handles of processes a process holds: a spawner those of its cells' first processes, an agent those of slices, of cells that it was offered, and of its spawner."""
    found = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += "pidfd" in str(path.readlink())
        except FileNotFoundError:  # it is about to be closed, or this listing's own
            found += pid != os.getpid()
    return found


def ours() -> dict[str, list[object]]:
    """Return what this process has: descriptors and children. What an earlier test has left to nobody goes first, and not in the middle of this one."""
    gc.collect()
    return {
        "descriptors": list(descriptors_of(os.getpid())),
        "children": list(children_of(os.getpid())),
    }


async def ours_again(before: dict[str, list[object]]) -> None:
    """Wait until this process has what it had: the loop closes a link's descriptor some turns after the link is gone."""
    with anyio.move_on_after(WAIT_S):
        while ours() != before:
            await anyio.lowlevel.checkpoint()
    found = ours()
    for what, had in before.items():
        assert found[what] == had, what


def mounts_at(place: SpawnerPlace, pid: int | str = "self") -> list[str]:
    """Return where something is mounted beside a spawner's socket, as this process sees it."""
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in lines]
    return [point for point in points if point.startswith(f"{place.socket.parent}/")]


def lying_at(place: SpawnerPlace) -> list[str]:
    """Return the files beside the spawner's socket."""
    return sorted(path.name for path in place.socket.parent.iterdir())


def assert_all_cleared(place: SpawnerPlace) -> None:
    """Look whether a spawner that has ended in order has left its log and nothing else."""
    left = groups_of(place)
    assert left == [], left
    assert not is_claimed(place)
    assert lying_at(place) == ["log"]
    assert mounts_at(place) == []
