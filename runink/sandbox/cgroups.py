"""Control groups: what a herd and a slice may use, who is in them, how all of it is ended and what it has used.  v2, v1, or both at once.

    layout = detect("runink-node-1")            what is in force here, found by doing
    base = Group(layout)
    leftovers(base, within_s=1.0)               what a spawner that was killed has left
    herd = base.make_herd("tenant", Limits(memory_bytes=4 << 30))
    one = herd.make_slice("s-17", Limits(cpu_m=200, memory_bytes=512 << 20, pids=64))
    one.join(pid, is_cloned=True)               born with CLONE_INTO_CGROUP at one.descriptor; else without is_cloned
    one.kill(within_s=0.02); one.events(); one.usage(); one.remove(); one.close()

    what is done                    v2                                        v1, in each hierarchy
    limits                          see cgroup_limits.py
    part controllers, once          cgroup.subtree_control of base and herd   (all hold everywhere)
    join                            CLONE_INTO_CGROUP, or cgroup.procs        cgroup.procs, while the process waits
    is anybody there                cgroup.events populated                   cgroup.procs of it and all below
    end all                         cgroup.kill, or cgroup.freeze             freezer.state FROZEN, SIGKILL, THAWED
    memory at its end               memory.oom.group: the kernel ends all     one process is ended; cgroup.event_control tells, the spawner ends all
    hear of that                    POLLPRI of memory.events                  POLLIN of an eventfd (cgroup_oom.py)
    events and usage                see cgroup_records.py

The hybrid has limits in v1 and everything else in v2.  One layer is in one file: cgroup_files.py reads and writes, cgroup_limits.py knows limits, cgroup_tree.py the
ends of processes, cgroup_layout.py the hierarchies, cgroup_probe.py tries, cgroup_group.py is the group.  Nothing here keeps a descriptor for a limit open: a write by
path takes 3 to 4 microseconds.

We touch only groups beneath our base, and, where v2 wants it, move the processes of our own group beside it.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from runink.sandbox import cgroup_files as files
from runink.sandbox import cgroup_tree as tree
from runink.sandbox.cgroup_group import Group
from runink.sandbox.cgroup_layout import Hierarchy, Join, Kill, Layout, Oom
from runink.sandbox.cgroup_limits import UNLIMITED, Limits, Version
from runink.sandbox.cgroup_oom import OomWatch
from runink.sandbox.cgroup_probe import PROBE, detect
from runink.sandbox.cgroup_records import Events, Usage

__all__ = [
    "UNLIMITED",
    "Events",
    "Group",
    "Hierarchy",
    "Join",
    "Kill",
    "Layout",
    "Leftovers",
    "Limits",
    "Oom",
    "OomWatch",
    "Usage",
    "Version",
    "detect",
    "leave",
    "leftovers",
]


class Leftovers(NamedTuple):
    """The groups beneath a base that nobody answers for, by name: gone now, and still there with processes that SIGKILL has not ended yet."""

    removed: tuple[str, ...]
    staying: tuple[str, ...]


def leftovers(base: Group, *, within_s: float) -> Leftovers:
    """End and remove every group beneath the base that this process has not made itself. Raises OSError."""
    names = sorted(
        {
            name
            for one in base.layout.hierarchies
            for name in files.children(one.directory)
            if name != PROBE and name not in base.groups
        }
    )
    until_s = time.monotonic() + within_s
    staying = []
    for name in names:
        group = Group(base.layout.down(name))
        is_ended = group.kill(within_s=max(0.0, until_s - time.monotonic()))
        if not (is_ended and tree.remove(_all_of(group))):
            staying.append(name)
    return Leftovers(tuple(name for name in names if name not in staying), tuple(staying))


def _all_of(group: Group) -> list[str]:
    return [one for root in group.layout.hierarchies for one in tree.below(root.directory)]


def leave(base: Group) -> bool:
    """Remove the base, when nothing is in it any more, and say whether it is gone."""
    tree.remove([one.down(PROBE).directory for one in base.layout.hierarchies])
    return base.remove()
