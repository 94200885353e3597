"""A group: one name in all hierarchies, with its limits, its processes and what they have used.

    base        detect() made it; no processes, no limits
      herd      no processes; its limits hold for the sum of its slices
        slice   a leaf: processes, limits of its own; when its memory is at an end all of it dies

Limits are written before anybody joins.  In v1 a slice's quota of the cores may not be above its herd's, so it is written as the lesser of the two, and written
anew when the herd's changes.  A group remembers what it has written and writes only what is different: that makes a change of three limits three writes.
"""

from __future__ import annotations

import errno
import os
import time
from typing import Final

from runink.sandbox import cgroup_files as files
from runink.sandbox import cgroup_tree as tree
from runink.sandbox.cgroup_layout import V2_CONTROLLERS, Kill, Layout, Oom, give_controllers, given
from runink.sandbox.cgroup_limits import (
    UNLIMITED,
    WEIGHT,
    Limits,
    Setting,
    Version,
    cpu_in_force,
    cpu_settings,
    disks,
    io_in_force,
    io_settings,
    memory_in_force,
    memory_settings,
)
from runink.sandbox.cgroup_oom import OomWatch
from runink.sandbox.cgroup_records import Events, Usage, events_of, usage_of

NAME_MAX: Final = 200  # characters; the kernel takes 255
NAME_MARKS: Final = frozenset("-_")  # no dot: names of the kernel's own files have one
DEFAULTS: Final = {  # what a new group has, so that it need not be written
    "cpu.max": "max 100000",
    "cpu.weight": "100",
    "cpu.cfs_quota_us": "-1",
    "cpu.shares": "1024",
    "memory.max": "max",
    "memory.limit_in_bytes": "-1",
    "memory.memsw.limit_in_bytes": "-1",
    "pids.max": "max",
}


class Group:
    """A group that exists. Everything raises OSError with the file's name when the kernel refuses."""

    def __init__(self, layout: Layout, *, above: Group | None = None) -> None:
        self.layout = layout
        self.limits = UNLIMITED
        self.cap_m = 0  # the least quota of cores from here up, 0 for none
        self.descriptor = -1  # of a slice's directory in v2, for CLONE_INTO_CGROUP
        self._above = above
        self.groups: dict[str, Group] = {}
        self._written: dict[str, str] = {}
        self._memory_bytes = 0
        self._has_io = False
        self._are_put = False  # whether the limits stand in the kernel's files, all of them

    def make_herd(self, name: str, limits: Limits) -> Group:
        """Make a group that holds groups. FileExistsError if there is one, left over or not."""
        _check_name(name)
        return self._made(name, limits, is_leaf=False)

    def make_slice(self, name: str, limits: Limits) -> Group:
        """Make a group that holds processes. FileExistsError if there is one, left over or not."""
        _check_name(name)
        return self._made(name, limits, is_leaf=True)

    def _made(self, name: str, limits: Limits, *, is_leaf: bool) -> Group:
        group = Group(self.layout.down(name), above=self)
        made: list[str] = []
        try:
            for one in group.layout.hierarchies:
                files.make(one.directory, may_exist=False)
                made.append(one.directory)
            group._begin(limits, is_leaf=is_leaf)
        except BaseException:
            tree.remove(made)
            group.close()
            raise
        self.groups[name] = group
        return group

    def _begin(self, limits: Limits, *, is_leaf: bool) -> None:
        """Set what stays as it is, and then the limits."""
        unified = self.layout.unified
        if self.layout.swap is Version.V2 and unified:
            files.write(f"{unified.directory}/memory.swap.max", "0")
        if is_leaf and unified:
            if self.layout.oom is Oom.KERNEL:
                files.write(f"{unified.directory}/memory.oom.group", "1")
            self.descriptor = os.open(unified.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        elif unified:
            give_controllers(unified, given(unified.directory, V2_CONTROLLERS), leaf="")
        self.limit(limits)

    def limit(self, limits: Limits) -> None:
        """Put these limits in the place of those before.

        Less memory than is used: v1 refuses with EBUSY what it cannot take back, v2 ends the group.  After an error, a second call writes what
        was not written.
        """
        before = self.limits, self.cap_m
        above_m = self._above.cap_m if self._above else 0
        cap_m = min((one for one in (limits.cpu_m, above_m) if one), default=0)
        if self._are_put and (limits, cap_m) == before:
            return
        is_less = bool(cap_m) and not 0 < self.cap_m <= cap_m
        self.limits, self.cap_m = limits, cap_m
        self._are_put = False
        try:
            # No group may have a quota above the one that it is in, not even for a moment.
            if is_less:
                self._limit_groups()
            self._put_cpu()
            self._put_memory()
            self._put_pids_and_io()
            if not is_less and cap_m != before[1]:
                self._limit_groups()
            self._are_put = True
        except OSError:
            self.limits, self.cap_m = before
            raise

    def _limit_groups(self) -> None:
        for group in self.groups.values():
            group.limit(group.limits)

    def _put_cpu(self) -> None:
        version = self.layout.cpu
        if version is not Version.NONE:
            settings = cpu_settings(version, self.cap_m, self.limits.cpu_weight)
            self._put(self.layout.directory(version, "cpu"), settings)

    def _put_memory(self) -> None:
        version, bytes_max = self.layout.memory, self.limits.memory_bytes
        if version is not Version.NONE:
            settings = memory_settings(version, self.layout.swap, bytes_max, self._memory_bytes)
            self._put(self.layout.directory(version, "memory"), settings)
            self._memory_bytes = bytes_max

    def _put_pids_and_io(self) -> None:
        if self.layout.pids is not Version.NONE:
            text = str(self.limits.pids or "max")
            self._put(self.layout.directory(self.layout.pids, "pids"), [("pids.max", text)])
        bytes_per_s = self.limits.io_bytes_per_s
        if self.layout.io is not Version.NONE and (bytes_per_s or self._has_io):
            settings = io_settings(self.layout.io, bytes_per_s, disks())
            directory = self.layout.directory(self.layout.io, "blkio")
            for name, text in settings:
                files.write(f"{directory}/{name}", text)
            self._has_io = bool(bytes_per_s)

    def _put(self, directory: str, settings: list[Setting]) -> None:
        for name, text in settings:
            path = f"{directory}/{name}"
            if self._written.get(path, DEFAULTS.get(name)) != text:
                files.write(path, text)
                self._written[path] = text

    def in_force(self) -> Limits:
        """Return the limits as the kernel tells them; it rounds memory down to whole pages."""
        layout = self.layout
        cpu_m, weight, memory_bytes, pids, io = 0, WEIGHT, 0, 0, 0
        if layout.cpu is not Version.NONE:
            cpu_m, weight = cpu_in_force(layout.cpu, layout.directory(layout.cpu, "cpu"))
        if layout.memory is not Version.NONE:
            directory = layout.directory(layout.memory, "memory")
            memory_bytes = memory_in_force(layout.memory, directory)
        if layout.pids is not Version.NONE:
            directory = layout.directory(layout.pids, "pids")
            pids = files.number(files.read(f"{directory}/pids.max"))
        if layout.io is not Version.NONE:
            io = io_in_force(layout.io, layout.directory(layout.io, "blkio"))
        return Limits(cpu_m, weight, memory_bytes, pids, io)

    def join(self, pid: int, *, is_cloned: bool = False) -> None:
        """Bring the process in, and look whether it is; `is_cloned` says that it was born into the v2 group."""
        for one in self.layout.hierarchies:
            if not (one.is_v2 and is_cloned):
                files.write(f"{one.directory}/cgroup.procs", str(pid))
        self.check(pid)

    def doors(self, opened: files.Opened) -> list[int]:
        """Return descriptors, those of the `opened`, of the files by which a process with one thread joins the v1 groups: it writes `0` to each.

        Nothing has to stand still for a thread that moves itself. A process that is moved by another waits for all that fork or end: milliseconds on a busy machine.
        """
        v1 = (one.directory for one in self.layout.hierarchies if not one.is_v2)
        return [opened.descriptor(f"{directory}/tasks", os.O_WRONLY) for directory in v1]

    def let_in(self, user: int) -> None:
        """Let this user bring processes into the v2 group, and through it into those below: what a clone with CLONE_INTO_CGROUP asks for. Raises OSError.

        An id that our user namespace does not have is that of no process which could ask.
        """
        unified = self.layout.unified
        if unified is None:
            return
        try:
            os.chown(f"{unified.directory}/cgroup.procs", user, -1)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise

    def check(self, pid: int) -> None:
        """Look whether the process is in the group, in every hierarchy. Raises OSError if it is not."""
        lines = files.read_at_once(f"/proc/{pid}/cgroup").splitlines()
        found = {line.partition(":")[2] for line in lines}
        for one in self.layout.hierarchies:
            if f"{','.join(one.controllers)}:{one.path}" not in found:
                raise OSError(errno.EXDEV, "the process is in another group", one.directory)

    @property
    def is_populated(self) -> bool:
        """Whether any process is in it or below, in any hierarchy. Zombies do not count."""
        return any(tree.is_populated(one.directory) for one in self.layout.hierarchies)

    def kill(self, *, within_s: float) -> bool:
        """End every process in it and below, and say whether none is left. Waits for that so long at most; 0 does not wait."""
        until_s = time.monotonic() + within_s
        kill_by(self.layout.kill, self.layout)
        while self.is_populated:
            if time.monotonic() >= until_s:
                return False
            time.sleep(tree.LOOK_S)
            kill_by(self.layout.kill, self.layout)
            self._kill_without_forks()
        return True

    def _kill_without_forks(self) -> None:
        """End what came into one hierarchy only, when its joining was interrupted, and what forks faster than it can be ended."""
        layout = self.layout
        if layout.pids is Version.NONE:
            kill_by(Kill.SIGNALS, layout)
            return
        limit = f"{layout.directory(layout.pids, 'pids')}/pids.max"
        files.write(limit, "0")
        try:
            kill_by(Kill.SIGNALS, layout)
        finally:
            files.write(limit, str(self.limits.pids or "max"))

    def watch_oom(self) -> OomWatch | None:
        """Return what hears of memory at its end, to be closed by the caller; nothing if memory has no limit here."""
        version = self.layout.memory
        if version is Version.NONE:
            return None
        return OomWatch(version, self.layout.directory(version, "memory"))

    def events(self, *, oom_kills: int | None = None) -> Events:
        """Return what its limits have done; `oom_kills` is for who knows them from its watch."""
        return events_of(self.layout, oom_kills=oom_kills)

    def usage(self) -> Usage:
        """Return what was used."""
        return usage_of(self.layout)

    def is_below(self, other: Group) -> bool:
        """Say whether it was made in that group."""
        return self._above is other

    def remove(self) -> bool:
        """Remove the group, and say whether it is gone; not while processes or groups are in it: try again later. Takes some ms at most."""
        if not tree.remove([one.directory for one in self.layout.hierarchies]):
            return False
        if self._above:
            self._above.groups.pop(self.name, None)
        self.close()
        return True

    @property
    def name(self) -> str:
        """The last part of its path, for the base the spawner's."""
        return self.layout.hierarchies[0].path.rpartition("/")[2] if self.layout.hierarchies else ""

    def close(self) -> None:
        """Give up the descriptor. The group stays."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def kill_by(way: Kill, layout: Layout) -> None:
    """Send SIGKILL to every process of a group and below, once."""
    unified, freezer = layout.unified, layout.with_controller("freezer")
    if way is Kill.KERNEL and unified:
        tree.kill_by_kernel(unified.directory)
    elif way is Kill.FREEZER:
        for one in filter(None, (freezer, unified)):
            tree.kill_frozen(one.directory)
    elif way is Kill.SIGNALS:
        for one in layout.hierarchies:
            tree.kill_each(one.directory)


def _check_name(name: str) -> None:
    """Raise OSError for what cannot be the name of a group of ours."""
    is_plain = all(mark.isascii() and (mark.isalnum() or mark in NAME_MARKS) for mark in name)
    if not (is_plain and 0 < len(name) <= NAME_MAX):
        raise OSError(errno.EINVAL, "not a name for a cgroup", name)
