"""Cgroups that nobody is in any more, for the next cells of their herds: to make one in each hierarchy and to remove it again takes the kernel a tenth of a launch.

Rules
- One is kept only if it is as good as new (`is_as_new`): none of its limits was met, no process is in it, not even a zombie, next to no memory is charged to it, and its peak of memory
  could be put back.  The times and bytes that the kernel counts on are told as what came since.
- It is its herd's, and has the limits of its next cell before that is born.
- Its files stay open as long as it serves, so no more than KEPT_MAX serve at once, and fewer where descriptors are few.
- It goes when nobody has wanted it for KEPT_S, and at once when no slice is under way: of who runs nothing, nothing stays.
- v2 keeps a peak for each reader of its file, and puts it back for none before Linux 6.12: where memory is limited by v2 none is kept.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeVar

from runink.sandbox.cgroup_files import Opened, number, numbers
from runink.sandbox.cgroup_group import Group
from runink.sandbox.cgroup_layout import Join, Layout
from runink.sandbox.cgroup_limits import Version
from runink.sandbox.cgroup_oom import OomWatch
from runink.sandbox.cgroup_records import Events, Usage, events_of, usage_of

KEPT_S: Final = 1.0  # longer than it takes from a cell's end to the next one of a large run
KEPT_MAX: Final = 64  # those of the cells that run, wait and are made at once on a small machine
OPEN_MAX: Final = 16  # files of one that serves, on a machine with all of v1 beside v2
OPEN_PART: Final = 8  # of all descriptors that there may be, one in so many is for these files
RESIDUE_BYTES: Final = (
    256 << 10
)  # the kernel charges a group for so much at once; a slice of nothing leaves 50 kB

N = TypeVar("N", int, float)


class Counted(NamedTuple):
    """What a group has counted since it was made."""

    events: Events = Events()
    usage: Usage = Usage()

    def since(self, before: Counted) -> Counted:
        """Return what came after that. Of memory it is the same: that is no count."""
        now, then = self.usage, before.usage
        events = self.events._replace(
            cpu_periods=self.events.cpu_periods - before.events.cpu_periods
        )
        usage = Usage(
            _since(now.cpu_user_s, then.cpu_user_s),
            _since(now.cpu_system_s, then.cpu_system_s),
            now.memory_bytes,
            now.memory_bytes_peak,
            _since(now.read_bytes, then.read_bytes),
            _since(now.written_bytes, then.written_bytes),
        )
        return Counted(events, usage)

    def told(self) -> str:
        """Return what others have to take off: seconds of cores, bytes read, bytes written."""
        used = self.usage
        cpu_s = (used.cpu_user_s or 0.0) + (used.cpu_system_s or 0.0)
        return f"{cpu_s:.6f} {used.read_bytes or 0} {used.written_bytes or 0}"


UNUSED: Final = Counted()


def counted(layout: Layout, opened: Opened, *, oom_kills: int | None) -> Counted:
    """Return what a group has counted, now that nobody uses it. Raises OSError."""
    events = events_of(layout, oom_kills=oom_kills, read=opened.read)
    return Counted(events, usage_of(layout, is_over=True, read=opened.read))


def _since(now: N | None, then: N | None) -> N | None:
    return now if now is None or then is None else now - then


def serving_max(descriptors_max: int) -> int:
    """Return how many groups may serve again in a process that may have so many descriptors."""
    return min(KEPT_MAX, descriptors_max // (OPEN_PART * OPEN_MAX))


class Spare(NamedTuple):
    """A group with its watch and its open files, what it had counted when it was left, and when that was."""

    group: Group
    watch: OomWatch | None
    opened: Opened
    counted: Counted
    since_s: float


class Spares:
    """The groups that serve again: those that wait, in the order in which they were left, and those that are lent; not more than `serving_max`."""

    def __init__(self, serving_max: int) -> None:
        self._serving_max = serving_max
        self._waiting: list[Spare] = []
        self._serving: set[Group] = set()

    def has_room(self, group: Group) -> bool:
        """Say whether this one may serve again, as far as their number goes."""
        return group in self._serving or len(self._serving) < self._serving_max

    def keep(self, spare: Spare) -> None:
        """Keep a group that is as good as new."""
        assert self.has_room(spare.group)
        self._serving.add(spare.group)
        self._waiting.append(spare)

    def take(self, herd: Group) -> Spare | None:
        """Return the group of this herd that was left last; it is lent until it is kept again or given up."""
        for at in range(len(self._waiting) - 1, -1, -1):
            if self._waiting[at].group.is_below(herd):
                return self._waiting.pop(at)
        return None

    def give_up(self, group: Group) -> None:
        """Note that a group serves no more, if it did."""
        self._serving.discard(group)

    def outdated(self, *, now_s: float) -> list[Spare]:
        """Return those that nobody has wanted for long, which are then the caller's to give up."""
        count = 0
        while count < len(self._waiting) and self._waiting[count].since_s + KEPT_S <= now_s:
            count += 1
        gone, self._waiting = self._waiting[:count], self._waiting[count:]
        return gone

    def next_due_s(self) -> float | None:
        """Return when the next is outdated."""
        return self._waiting[0].since_s + KEPT_S if self._waiting else None


def is_as_new(group: Group, opened: Opened, met: Events) -> bool:
    """Say whether the next cell can have this group, whose limits have done that to the last one; puts back its peak of memory. Raises OSError."""
    layout = group.layout
    unified = layout.unified
    if unified is None or layout.join is not Join.CLONE or layout.memory is Version.V2:
        return False
    # Who was held back may have to wait yet for what it has overdrawn, and so would the next one.
    if met.oom_kills or met.pids_refused or met.cpu_periods_throttled:
        return False
    if group.limits.io_bytes_per_s:
        return False
    if numbers(opened.read(f"{unified.directory}/cgroup.events"))["populated"]:
        return False
    if layout.pids is not Version.NONE:
        # This one counts zombies too.
        directory = layout.directory(layout.pids, "pids")
        if number(opened.read(f"{directory}/pids.current")):
            return False
    if layout.memory is Version.V1:
        directory = layout.directory(layout.memory, "memory")
        if number(opened.read(f"{directory}/memory.usage_in_bytes")) > RESIDUE_BYTES:
            return False
        opened.write(f"{directory}/memory.max_usage_in_bytes", "0")
    return True
