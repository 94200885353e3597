"""Where the hierarchies of cgroups are, and what of them is in force.

    /proc/self/cgroup      "4:memory:/service/a"     the process's group, as a path from the root of the hierarchy
    /proc/self/mountinfo   "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
                           "... 0:32 /service /sys/fs/cgroup/memory ..." where only a part of the hierarchy is mounted

Our base is made beneath the group in which the process is, in each hierarchy, so what accounts for it and limits it goes on to do so.

In v2 a group that gives controllers to those below has no processes itself (but for the root of all).  So where controllers must be given first, all
processes of our group move to one beside the base, NAME.leaf; who is started there again takes the group above for its own.
"""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import Final, NamedTuple

from runink.sandbox import cgroup_files as files
from runink.sandbox.cgroup_limits import Version

LEAF: Final = ".leaf"
MOVES_MAX: Final = (
    10  # rounds; a process that forks while it is moved has its child left behind once
)
V2_CONTROLLERS: Final = ("memory", "cpu", "pids", "io")
V1_CONTROLLERS: Final = ("memory", "cpu", "pids", "blkio", "cpuacct", "freezer")


class Kill(StrEnum):
    """How all processes of a group are ended: see `cgroup_tree.py`. With `none` the group does not know them."""

    KERNEL = "cgroup.kill"
    FREEZER = "freezer"
    SIGNALS = "signals"
    NONE = "none"


class Oom(StrEnum):
    """Who ends the whole tree when its memory is at an end: v1's kernel ends one process of it only."""

    KERNEL = "kernel"
    SPAWNER = "spawner"
    NONE = "none"


class Join(StrEnum):
    """How a process comes into its group in v2: born there, or moved while it waits, as v1 always does."""

    CLONE = "clone"
    SYNC = "sync"
    NONE = "none"


class Hierarchy(NamedTuple):
    """A tree of cgroups. `controllers` are empty for v2; `path` is the same place as /proc/PID/cgroup tells it."""

    controllers: tuple[str, ...]
    path: str
    directory: str

    @property
    def is_v2(self) -> bool:
        return not self.controllers

    def down(self, name: str) -> Hierarchy:
        return self._replace(
            path=f"{self.path.rstrip('/')}/{name}", directory=f"{self.directory}/{name}"
        )

    def up(self) -> Hierarchy:
        path, directory = self.path.rpartition("/")[0], self.directory.rpartition("/")[0]
        return self._replace(path=path or "/", directory=directory)


class Layout(NamedTuple):
    """The hierarchies with our base in each, and by what each limit is in force."""

    hierarchies: tuple[Hierarchy, ...] = ()
    memory: Version = Version.NONE
    swap: Version = Version.NONE
    cpu: Version = Version.NONE
    pids: Version = Version.NONE
    io: Version = Version.NONE
    kill: Kill = Kill.NONE
    oom: Oom = Oom.NONE
    join: Join = Join.NONE

    def told(self) -> dict[str, str]:
        """Return what is in force, by name: for logs, and for what a node says of itself."""
        return {name: str(value) for name, value in self._asdict().items() if name != "hierarchies"}

    def down(self, name: str) -> Layout:
        """Return the layout of a group below this one."""
        return self._replace(hierarchies=tuple(one.down(name) for one in self.hierarchies))

    def with_limit(self, limit: str, version: Version) -> Layout:
        """Return the layout in which this limit, by its field's name, is in force by that version."""
        return Layout(**(self._asdict() | {limit: version}))

    def directory(self, version: Version, controller: str) -> str:
        """Return where the controller's files are; `controller` is its name in v1."""
        found = self.unified if version is Version.V2 else self.with_controller(controller)
        assert found is not None  # a version is said only of a hierarchy that we have
        return found.directory

    def with_controller(self, controller: str) -> Hierarchy | None:
        """Return the v1 hierarchy that has this controller."""
        for one in self.hierarchies:  # no generator: it is asked ten times for each cell
            if controller in one.controllers:
                return one
        return None

    @property
    def unified(self) -> Hierarchy | None:
        """The v2 hierarchy."""
        for one in self.hierarchies:
            if not one.controllers:
                return one
        return None


def located(mountinfo: str, memberships: str) -> list[Hierarchy]:
    """Return the hierarchies that are mounted where we reach our own group, at that group. v2 is first."""
    groups = dict(_groups(memberships))
    found: dict[tuple[str, ...], Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind not in {"cgroup", "cgroup2"}:
            continue
        words = set(options.split(","))
        key = next((key for key in groups if _is_mount_of(key, kind, words)), None)
        if key is None or key in found:
            continue
        root, place = before.split()[3:5]
        inside = _inside(groups[key], root)
        if inside is not None:
            found[key] = Hierarchy(key, groups[key], _plain(place) + inside)
    return sorted(found.values(), key=lambda one: (not one.is_v2, one.controllers))


def _groups(memberships: str) -> list[tuple[tuple[str, ...], str]]:
    lines = [line.split(":", 2) for line in memberships.splitlines()]
    return [(tuple(keys.split(",")) if keys else (), path) for _, keys, path in lines]


def _is_mount_of(key: tuple[str, ...], kind: str, options: set[str]) -> bool:
    return kind == "cgroup2" if not key else kind == "cgroup" and set(key) <= options


def _inside(path: str, root: str) -> str | None:
    """Return the path from the mount's root on, "" for the root itself; nothing if it lies elsewhere."""
    if root == "/":
        return "" if path == "/" else path
    if path == root or path.startswith(f"{root}/"):
        return path[len(root) :]
    return None


def _plain(place: str) -> str:
    """Undo how mountinfo writes blanks and the like."""
    return place.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def base_of(here: Hierarchy, name: str) -> Hierarchy:
    """Return where the base of this name is for a process of this group."""
    return (here.up() if here.path.endswith(f"/{name}{LEAF}") else here).down(name)


def make_base(here: Hierarchy, name: str, *, wanted: tuple[str, ...] = ()) -> Hierarchy:
    """Make our base beneath this group, with the wanted controllers as far as v2 can give them. Raises OSError."""
    base = base_of(here, name)
    here = base.up()
    files.make(base.directory, may_exist=True)
    if here.is_v2:
        offered = files.read(f"{here.directory}/cgroup.controllers").split()
        give_controllers(here, [one for one in wanted if one in offered], leaf=f"{name}{LEAF}")
        give_controllers(base, given(base.directory, wanted), leaf="")
    elif "memory" in here.controllers:
        count_below(base.directory)
    return base


def given(directory: str, wanted: tuple[str, ...]) -> list[str]:
    """Return those of the wanted controllers that this group has from the one above."""
    offered = files.read(f"{directory}/cgroup.controllers").split()
    return [one for one in wanted if one in offered]


def give_controllers(group: Hierarchy, controllers: list[str], *, leaf: str) -> None:
    """Give controllers to the groups below. What the kernel refuses is left out; processes move to the `leaf`, if it is named, before."""
    control = f"{group.directory}/cgroup.subtree_control"
    present = files.read(control).split()
    missing = [f"+{one}" for one in controllers if one not in present]
    if not missing:
        return
    is_root_of_all = not files.exists(f"{group.directory}/cgroup.type")
    if leaf and not is_root_of_all:
        with contextlib.suppress(OSError):
            move_all(group.directory, f"{group.directory}/{leaf}")
    try:
        files.write(
            control, " ".join(missing)
        )  # at once: the kernel waits for every core each time
    except OSError:
        for one in missing:
            with contextlib.suppress(OSError):
                files.write(control, one)


def move_all(source: str, target: str) -> None:
    """Move every process of a v2 group to another. Raises OSError."""
    files.make(target, may_exist=True)
    for _ in range(MOVES_MAX):
        staying = files.pids(files.read(f"{source}/cgroup.procs"))
        if not staying:
            return
        for pid in staying:
            with contextlib.suppress(ProcessLookupError):
                files.write(f"{target}/cgroup.procs", str(pid))


def count_below(directory: str) -> None:
    """Have a v1 memory limit count what is used below; before Linux 5.11 that had to be asked for."""
    if files.read_if_any(f"{directory}/memory.use_hierarchy").strip() == "0":
        files.write(f"{directory}/memory.use_hierarchy", "1")
