"""Which limits are in force on this machine, for this user: found by doing, not by the kernel's version.

    1  our base is made in each hierarchy where that is possible; v2 gives it the controllers that it can give
    2  beneath it a group for the probe is made, and each limit is written and read back
    3  a process is born into it in v2, or moved, and moved in every v1 hierarchy; /proc/PID/cgroup says whether it is there
    4  the ways to end a group are tried on it, the best first

What fails at any of these is `none` in the layout, and the hierarchy is left alone if it takes no processes.

The probe's group stays, empty, where it limits the cores: with the first quota and after the last the kernel rewrites its own code, which takes longer than all the
rest of a launch's writing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import struct
from typing import Final, NoReturn

from runink.sandbox import cgroup_files as files
from runink.sandbox import cgroup_tree as tree
from runink.sandbox.cgroup_group import Group, kill_by
from runink.sandbox.cgroup_layout import (
    V1_CONTROLLERS,
    V2_CONTROLLERS,
    Hierarchy,
    Join,
    Kill,
    Layout,
    Oom,
    given,
    located,
    make_base,
)
from runink.sandbox.cgroup_limits import Limits, Version, disks, swap_in_force
from runink.sandbox.cgroup_oom import OomWatch
from runink.sandbox.syscalls import (
    CLONE_INTO_CGROUP,
    PR_SET_PDEATHSIG,
    call_locked,
    prctl,
)

PROBE: Final = "runink.probe"  # no group of ours may have a dot in its name
MEMORY_BYTES: Final = (
    64 << 20
)  # the probe's process is a copy of ours and uses next to nothing of its own
PROBED: Final = {
    "memory": Limits(memory_bytes=MEMORY_BYTES),
    "cpu": Limits(cpu_m=500, cpu_weight=50),
    "pids": Limits(pids=64),
    "io": Limits(io_bytes_per_s=1 << 30),
}
IN_V1: Final = {"memory": "memory", "cpu": "cpu", "pids": "pids", "io": "blkio"}
DEATH_MS: Final = 1000  # a process that SIGKILL has not ended by then was not reached by it
CLONE_ARGS: Final = struct.Struct("11Q")


def detect(name: str) -> Layout:
    """Make our base beneath the group that this process is in, and return what is in force there. No refusal of the kernel is an error.

    In v2 this may move every process of our group to one beside the base; those outside of our pid namespace cannot be moved, so who makes
    a namespace calls this before as well.
    """
    return detect_in(
        located(files.read("/proc/self/mountinfo"), files.read("/proc/self/cgroup")), name
    )


def detect_in(here: list[Hierarchy], name: str) -> Layout:
    """Do so in these hierarchies, of which v2 is the first."""
    layout = Layout(tuple(_probe_groups(_bases(here, name))))
    if not layout.hierarchies:
        return layout
    try:
        layout = _with_limits(layout)
        layout = _with_processes(layout)
    finally:
        _clear(layout)
    return layout


def _bases(here: list[Hierarchy], name: str) -> list[Hierarchy]:
    in_v1 = {controller for one in here for controller in one.controllers}
    wanted_v2 = tuple(one for one in V2_CONTROLLERS if IN_V1[one] not in in_v1)
    wanted_v1 = set(V1_CONTROLLERS)
    bases = []
    for one in here:  # v2 is first
        if not one.is_v2 and not wanted_v1 & set(one.controllers):
            continue
        with contextlib.suppress(OSError):
            bases.append(make_base(one, name, wanted=wanted_v2))
            if one.is_v2:
                wanted_v1 -= _served(bases[0].directory)
    return bases


def _served(directory: str) -> set[str]:
    """Return those v1 controllers that a v2 hierarchy makes unnecessary without having controllers."""
    served = {"cpuacct"} if files.exists(f"{directory}/cpu.stat") else set()
    return served | ({"freezer"} if files.exists(f"{directory}/cgroup.kill") else set())


def _probe_groups(bases: list[Hierarchy]) -> list[Hierarchy]:
    """Make the probe's groups, and return the bases in which that was possible."""
    found = []
    for base in bases:
        with contextlib.suppress(OSError):
            files.make(base.down(PROBE).directory, may_exist=True)
            found.append(base)
    return found


def _with_limits(layout: Layout) -> Layout:
    for limit, limits in PROBED.items():
        version = _offered(layout, limit)
        if version is Version.NONE:
            continue
        candidate = layout.with_limit(limit, version)
        if _is_in_force(candidate, limit, limits):
            layout = candidate
    if layout.memory is Version.NONE:
        return layout
    directory = layout.down(PROBE).directory(layout.memory, "memory")
    if _forbids_swap(layout, directory):
        layout = layout._replace(swap=layout.memory)
    return layout._replace(oom=_oom(layout.memory, directory))


def _offered(layout: Layout, limit: str) -> Version:
    if layout.with_controller(IN_V1[limit]):
        return Version.V1
    unified = layout.down(PROBE).unified
    is_given = unified is not None and given(unified.directory, (limit,))
    return Version.V2 if is_given else Version.NONE


def _is_in_force(layout: Layout, limit: str, limits: Limits) -> bool:
    group = Group(layout.down(PROBE))
    try:
        group.limit(limits)
        return (limit == "io" and not disks()) or _said(group, limit) == _meant(limits, limit)
    except OSError:
        return False


def _said(group: Group, limit: str) -> tuple[int, ...]:
    return _meant(group.in_force(), limit)


def _meant(limits: Limits, limit: str) -> tuple[int, ...]:
    match limit:
        case "cpu":
            return limits.cpu_m, limits.cpu_weight
        case "memory":
            return (limits.memory_bytes,)
        case "pids":
            return (limits.pids,)
        case _:
            return (limits.io_bytes_per_s,)


def _forbids_swap(layout: Layout, directory: str) -> bool:
    try:
        if layout.memory is Version.V2:
            files.write(f"{directory}/memory.swap.max", "0")
            return files.read(f"{directory}/memory.swap.max").strip() == "0"
        files.write(f"{directory}/memory.memsw.limit_in_bytes", str(MEMORY_BYTES))
        return swap_in_force(Version.V1, directory) == MEMORY_BYTES
    except OSError:
        return False


def _oom(memory: Version, directory: str) -> Oom:
    """Return who has to end a tree. None if it cannot even be heard of."""
    if memory is Version.V2:
        with contextlib.suppress(OSError):
            files.write(f"{directory}/memory.oom.group", "1")
            return Oom.KERNEL
    try:
        OomWatch(memory, directory).close()
    except OSError:
        return Oom.NONE
    return Oom.SPAWNER


def _with_processes(layout: Layout) -> Layout:
    unified = layout.down(PROBE).unified
    pid, join = _born(unified.directory if unified else "")
    try:
        joined = [one for one in layout.hierarchies if _joins(one.down(PROBE), pid)]
        layout = _without(layout, joined)
        is_v2 = layout.unified is not None
        return layout._replace(kill=_kill(layout, pid), join=join if is_v2 else _sync(joined))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _sync(joined: list[Hierarchy]) -> Join:
    return Join.SYNC if joined else Join.NONE


def _born(directory: str) -> tuple[int, Join]:
    """Make a process that waits for its end, in the v2 group if that is possible."""
    pid, join = -1, Join.SYNC
    if directory:
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            words = CLONE_ARGS.pack(
                CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, descriptor
            )
            buffer = ctypes.create_string_buffer(words, len(words))
            pid, join = call_locked("clone3", buffer, len(words)), Join.CLONE
        except OSError:
            pid = -1
        finally:
            if pid:
                os.close(descriptor)
    if pid < 0:
        pid = os.fork()
    if pid == 0:
        _wait_for_the_end()
    return pid, join


def _wait_for_the_end() -> NoReturn:
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        while True:
            signal.pause()
    finally:
        os._exit(1)


def _joins(group: Hierarchy, pid: int) -> bool:
    try:
        Group(Layout((group,))).join(pid)
    except OSError:
        return False
    return True


def _without(layout: Layout, joined: list[Hierarchy]) -> Layout:
    """Take away what is limited in hierarchies that take no processes."""
    for limit, controller in IN_V1.items():
        version: Version = getattr(layout, limit)
        if version is Version.NONE:
            continue
        is_there = any(
            one.is_v2 if version is Version.V2 else controller in one.controllers for one in joined
        )
        if not is_there:
            layout = layout.with_limit(limit, Version.NONE)
    if layout.memory is Version.NONE:
        layout = layout._replace(swap=Version.NONE, oom=Oom.NONE)
    return layout._replace(hierarchies=tuple(joined))


def _kill(layout: Layout, pid: int) -> Kill:
    """Return the best way that ends the process."""
    pidfd = os.pidfd_open(pid)
    try:
        end = select.poll()
        end.register(pidfd, select.POLLIN)
        for way in _ways(layout):
            with contextlib.suppress(OSError):
                kill_by(way, layout.down(PROBE))
                if end.poll(DEATH_MS):
                    return way
        return Kill.NONE
    finally:
        os.close(pidfd)


def _ways(layout: Layout) -> list[Kill]:
    """Return the ways that there are the files for, the best first."""
    unified = layout.down(PROBE).unified
    ways = []
    if unified and files.exists(f"{unified.directory}/cgroup.kill"):
        ways.append(Kill.KERNEL)
    if layout.with_controller("freezer") or (
        unified and files.exists(f"{unified.directory}/cgroup.freeze")
    ):
        ways.append(Kill.FREEZER)
    if layout.hierarchies:
        ways.append(Kill.SIGNALS)
    return ways


def _clear(layout: Layout) -> None:
    """Leave of the probe only what limits the cores."""
    kept = layout.directory(layout.cpu, "cpu") if layout.cpu is not Version.NONE else ""
    tree.remove([one.down(PROBE).directory for one in layout.hierarchies if one.directory != kept])
