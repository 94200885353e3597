"""The cgroups of cells: made with all limits before anybody is in them, watched, read when the last process is gone, and removed.

    base / herd / cell        beneath the cgroup that the spawner was started in, so what that is held to holds for all of it

What the machine does not have is left out and said in `told`; nothing here fails for want of a controller.
"""

from __future__ import annotations

import math
import os
import string
import time
import zlib
from typing import Final, NamedTuple

from runink.sandbox.cgroup_claims import Claim, claimed, clear_unclaimed
from runink.sandbox.cgroup_files import Opened, read
from runink.sandbox.cgroup_layout import base_of, located
from runink.sandbox.cgroup_limits import WEIGHT
from runink.sandbox.cgroup_spares import (
    UNUSED,
    Spare,
    Spares,
    counted,
    is_as_new,
    serving_max,
)
from runink.sandbox.cgroups import (
    UNLIMITED,
    Events,
    Group,
    Join,
    Layout,
    Limits,
    Oom,
    OomWatch,
    Usage,
    detect,
    leave,
    leftovers,
)
from runink.sandbox.due import soonest
from runink.sandbox.ids import ZYGOTE
from runink.sandbox.log import describe, log
from runink.sandbox.protocol import COUNTED_BEFORE, Launch

PROCESSES: Final = 4096  # of a slice that asks for no limit: a fork bomb ends there
LEFTOVERS_S: Final = 2.0  # for what a killed spawner has left
CLOSE_S: Final = 1.0  # the kernel holds a group for some ms after its last process
LOOK_S: Final = 0.002
SAFE_NAME: Final = frozenset(string.ascii_letters + string.digits + "-_")
REMOVED_LATER_S: Final = 0.1  # between two tries to remove what the kernel still holds


class Base(NamedTuple):
    """Where the cgroups of a spawner are, and its claim on that place; nothing but root's is claimed."""

    layout: Layout
    claim: Claim | None


def detected(socket_path: str) -> Base:
    """Find what cgroups can do here, with a base of this spawner's own. Before it leaves the namespaces of those who share its cgroup."""
    name = f"runink-{zlib.crc32(socket_path.encode()):08x}"
    claim = None
    if not os.geteuid():
        try:
            claim = _claimed(name)
        except OSError as error:
            log("cgroups are not claimed", problem=describe(error))
    layout = detect(name if claim is None else claim.name)
    return Base(layout, claim)


def _claimed(name: str) -> Claim:
    """Claim a base, and clear those that nobody claims any more. Raises OSError."""
    claim = claimed(name)
    here = located(read("/proc/self/mountinfo"), read("/proc/self/cgroup"))
    claim.write([base_of(one, claim.name).directory for one in here])
    removed = clear_unclaimed()
    if removed:
        log("cgroups of spawners that are gone removed", names=" ".join(removed))
    return claim


class Confine:
    """A cell's cgroup, from before its birth to its removal. `watch` hears of memory at its end, where nobody else then ends all of it."""

    __slots__ = ("before", "events", "group", "is_born_in", "opened", "usage", "watch")

    def __init__(self, group: Group, watch: OomWatch | None, *, is_born_in: bool) -> None:
        self.group = group
        self.watch = watch
        self.is_born_in = is_born_in  # its first process is cloned into the v2 group
        self.opened = Opened()
        self.before = UNUSED  # what the group had counted when it became this cell's
        self.events = Events()
        self.usage = Usage()

    @classmethod
    def again(cls, spare: Spare) -> Confine:
        """Return that of a cell whose cgroup has served before."""
        if spare.watch is not None:
            spare.watch.begin_again()
        confine = cls(spare.group, spare.watch, is_born_in=True)
        confine.opened, confine.before = spare.opened, spare.counted
        return confine

    def doors(self) -> list[int]:
        """Return what `Group.doors` does. Raises OSError."""
        return self.group.doors(self.opened)

    def close_doors(self) -> None:
        """Close the doors of a cgroup that does not serve again yet: thousands may be there at once."""
        if self.before is UNUSED:
            self.opened.close()


class Confines:
    """One for a spawner. `descriptors_max` is how many files this process may have open."""

    def __init__(self, base: Base, *, descriptors_max: int) -> None:
        self._layout, self._claim = base
        self._base = Group(self._layout)
        self._herds: dict[str, Group] = {}
        # What limits are in force by, for the report of a cell.
        self.told = {f"cgroup.{name}": value for name, value in self._layout.told().items()}
        self._leaving: list[Group] = []
        self._spares = Spares(serving_max(descriptors_max))
        self._zygotes: Group | None = None
        found = leftovers(self._base, within_s=LEFTOVERS_S)
        if found.removed or found.staying:
            log("cgroups left over", removed=len(found.removed), staying=len(found.staying))

    def make(self, number: int, launch: Launch) -> Confine:
        """Make the cgroup of a cell with its limits, or take one that is spare. Raises OSError."""
        herd = self._herd(launch)
        spare = self._spares.take(herd)
        if spare is not None:
            try:
                spare.group.limit(_limits(launch))
                return Confine.again(spare)
            except OSError as error:
                log("cgroup not used again", problem=describe(error))
                self._let_go(spare)
        group = herd.make_slice(f"c{number}", _limits(launch))
        is_born_in = self._layout.join is Join.CLONE
        if is_born_in:
            group.let_in(ZYGOTE)
        # Also without limits of its own: the herd's may come later.
        watch = group.watch_oom() if self._layout.oom is Oom.SPAWNER else None
        return Confine(group, watch, is_born_in=is_born_in)

    def report(self, confine: Confine | None) -> dict[str, str]:
        """Return what limits are in force by, and what a cell's cgroup had counted for others before it."""
        if confine is None or confine.before is UNUSED:
            return self.told
        return self.told | {COUNTED_BEFORE: confine.before.told()}

    def take_in_zygote(self, pid: int) -> None:
        """Bring a fork server beneath our base: only from there may it clone into groups of ours. Raises OSError."""
        if self._zygotes is None:
            self._zygotes = self._base.make_slice("zygotes", UNLIMITED)
            self._base.let_in(ZYGOTE)
        self._zygotes.join(pid)

    def limit(self, confine: Confine, launch: Launch) -> None:
        """Put a slice's limits in the place of those that its cell was made with. Raises OSError."""
        self._herd(launch)
        confine.group.limit(_limits(launch))

    def finish(self, confine: Confine, *, may_serve: bool = True) -> None:
        """Read what was used, when no process is left, and keep the cgroup for another cell if it `may_serve` one, or remove it."""
        group, opened = confine.group, confine.opened
        watch, confine.watch = confine.watch, None
        is_spare, total = False, UNUSED
        try:
            kills = watch.kills() if watch is not None else None
            total = counted(group.layout, opened, oom_kills=kills)
            confine.events, confine.usage = total.since(confine.before)
            may_serve = may_serve and self._spares.has_room(group)
            is_spare = may_serve and is_as_new(group, opened, confine.events)
        except OSError as error:
            log("cgroup not read", problem=describe(error))
        spare = Spare(group, watch, opened, total, time.monotonic())
        if is_spare:
            self._spares.keep(spare)
        else:
            self._let_go(spare)
            self._remove_leaving()

    def _let_go(self, spare: Spare) -> None:
        if spare.watch is not None:
            spare.watch.close()
        spare.opened.close()
        self._spares.give_up(spare.group)
        self._leaving.append(spare.group)

    def advance(self, *, now_s: float) -> None:
        """Remove what nobody wants again, and try again what the kernel still held."""
        for spare in self._spares.outdated(now_s=now_s):
            self._let_go(spare)
        if self._leaving:
            self._remove_leaving()

    def next_due_s(self, *, now_s: float) -> float | None:
        """Return when `advance` has something to do next."""
        later_s = now_s + REMOVED_LATER_S if self._leaving else None
        return soonest(later_s, self._spares.next_due_s())

    def _remove_leaving(self) -> None:
        self._leaving = [group for group in self._leaving if not _is_gone(group)]

    def close(self) -> None:
        """Remove all that is ours, also cells that nobody has told the end of; what has processes yet stays for the next spawner to clear."""
        self.advance(now_s=math.inf)
        until_s = time.monotonic() + CLOSE_S
        while not self._is_empty() and time.monotonic() < until_s:
            time.sleep(LOOK_S)
        try:
            if leave(self._base) and self._claim is not None:
                self._claim.give_up()
        except OSError as error:
            log("cgroups stay", problem=describe(error))

    def _is_empty(self) -> bool:
        """Remove every group beneath the base, and say whether none is left."""
        self._remove_leaving()
        herds = list(self._herds.values())
        cells = [cell for herd in herds for cell in herd.groups.values()]
        zygotes = [self._zygotes] if self._zygotes is not None else []
        staying = [one for one in (*cells, *herds, *zygotes) if not _is_gone(one)]
        return not staying

    def _herd(self, launch: Launch) -> Group:
        """Return the herd's cgroup, with the limits that a launch brings; a cell that is made in advance brings none that are new."""
        name, limits = launch.herd, Limits(launch.herd_cpu_m, memory_bytes=launch.herd_memory_bytes)
        if name not in self._herds:
            safe = "".join(mark if mark in SAFE_NAME else "_" for mark in name)
            unique = f"h-{zlib.crc32(name.encode()):08x}-{safe}"
            self._herds[name] = self._base.make_herd(unique, limits)
        group = self._herds[name]
        if launch.slice and group.limits != limits:
            try:
                group.limit(limits)
            except OSError as error:
                # v1: it uses more than it may from now on, and nothing can be taken back.
                log("herd keeps its limits for now", herd=name, problem=describe(error))
        return group


def _limits(launch: Launch) -> Limits:
    return Limits(
        cpu_m=launch.cpu_m,
        cpu_weight=launch.cpu_weight or WEIGHT,
        memory_bytes=launch.memory_bytes,
        pids=launch.processes or PROCESSES,
        io_bytes_per_s=launch.io_bytes_per_s,
    )


def _is_gone(group: Group) -> bool:
    try:
        return group.remove()
    except OSError as error:
        log("cgroup not removed", problem=describe(error))
        return True
