"""What goes wrong in a simulated group: one thing after the other, drawn from the seed, until it is told to cease.

Not everything goes wrong in every world: the seed draws the kinds, the pace, and how often it is the leader that is hit.  Where all is mixed, each
fault undoes what another was about to show.

the network   bad weather, partitions: a member alone, two halves, one way only, a bridge between halves that do not hear each other
a member      is killed, loses its power now or before one of its next operations on the disk, is paused, ticks faster or slower
a disk        is slow, has no room for a while, fails to sync
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import permutations
from typing import Final

from runink.testing.disk import SPACE_BYTES
from runink.testing.raft_group_member import Crash, Member
from runink.testing.raft_group_world import MS, Act, World
from runink.testing.raft_network import CALM, Network, Weather

OPERATIONS_MAX: Final = (
    30  # of a disk, within which a planned power cut comes: a snapshot takes about ten
)
PACES_US: Final = (200 * MS, 600 * MS, 1500 * MS)  # at most, from one fault to the next
KIND_SHARE: Final = 0.6  # of the kinds of faults that a world has
EIO: Final = 5

WEATHERS: Final = (
    CALM,
    Weather(lost=0.02, doubled=0.05, delay_us_max=10 * MS),
    Weather(lost=0.2, doubled=0.02, delay_us_max=20 * MS),
    Weather(lost=0.05, doubled=0.3, delay_us_max=150 * MS),
    Weather(delay_us_min=20 * MS, delay_us_max=60 * MS),
)


class Faults:
    """The source of trouble of one simulation."""

    def __init__(
        self, world: World, network: Network, members: Callable[[], Sequence[Member]]
    ) -> None:
        self._world = world
        self._network = network
        self._members = members
        self._has_ceased = False
        strikes: list[tuple[int, Act]] = [
            (3, self._bad_weather),
            (2, self._network.heal),
            (2, lambda: self._part(self._isolated())),
            (2, lambda: self._part(self._halves())),
            (2, lambda: self._part(self._one_way())),
            (1, lambda: self._part(self._bridge())),
            (2, lambda: self._one().crash(Crash.KILLED)),
            (1, lambda: self._one().crash(Crash.POWER_CUT)),
            (12, self._plan_power_cut),
            (1, self._crash_all),
            (2, self._pause),
            (2, self._slow_disk),
            (1, self._full_disk),
            (1, self._failing_disk),
            (1, self._skew),
        ]
        chosen = [one for one in strikes if world.chance(KIND_SHARE)] or strikes
        self._strikes = [strike for weight, strike in chosen for _ in range(weight)]
        self._pace_us = world.random.choice(PACES_US)
        self._leaders = world.random.choice([0.1, 0.5, 0.9])

    def begin(self) -> None:
        delay = self._world.between(0, self._pace_us)
        self._world.later(delay, "strike", self._strike)

    def cease(self) -> None:
        """Let everything be well from now on, also what lives again later."""
        self._has_ceased = True
        self._network.heal()
        self._network.weather = CALM

    def mend(self, member: Member) -> None:
        """Make a member well."""
        member.disk.space_bytes = SPACE_BYTES
        member.disk.sync_error = None
        member.disk_us_max = MS
        member.fuse.left = None
        member.paused_until_us = 0
        member.snapshot_busy = 0.0

    def restart_delay_us(self) -> int:
        return MS if self._has_ceased else self._world.between(MS, 500 * MS)

    def _strike(self) -> None:
        if self._has_ceased:
            return
        if any(member.is_alive for member in self._members()):
            self._world.random.choice(self._strikes)()
        self.begin()

    def _one(self) -> Member:
        """Return a living member, the leader more often than others."""
        alive = [member for member in self._members() if member.is_alive]
        leaders = [member for member in alive if member.is_leader]
        return self._world.random.choice(
            leaders if leaders and self._world.chance(self._leaders) else alive
        )

    # The network.

    def _bad_weather(self) -> None:
        self._network.weather = self._world.random.choice(WEATHERS)

    def _part(self, links: Iterable[tuple[int, int]]) -> None:
        self._world.statistics.partitions += 1
        self._network.heal()
        self._network.cut(links)
        self._world.later(self._world.between(50 * MS, 800 * MS), "heals", self._network.heal)

    def _ids(self) -> list[int]:
        ids = [member.id for member in self._members()]
        self._world.random.shuffle(ids)
        return ids

    def _isolated(self) -> Iterable[tuple[int, int]]:
        one = self._one().id
        return [pair for pair in permutations(self._ids(), 2) if one in pair]

    def _halves(self) -> Iterable[tuple[int, int]]:
        ids = self._ids()
        left = set(ids[: len(ids) // 2])
        return [(a, b) for a, b in permutations(ids, 2) if (a in left) != (b in left)]

    def _one_way(self) -> Iterable[tuple[int, int]]:
        """One member is not heard, or does not hear."""
        one = self._one().id
        place = self._world.random.randrange(2)
        return [pair for pair in permutations(self._ids(), 2) if pair[place] == one]

    def _bridge(self) -> Iterable[tuple[int, int]]:
        """Two halves that do not hear each other, and one member that hears both and is heard by them."""
        bridge, *others = self._ids()
        left = set(others[: len(others) // 2])
        return [
            (a, b)
            for a, b in permutations(others, 2)
            if bridge not in (a, b) and (a in left) != (b in left)
        ]

    # Members and their disks.

    def _plan_power_cut(self) -> None:
        self._one().fuse.left = self._world.random.randrange(OPERATIONS_MAX)

    def _crash_all(self) -> None:
        for member in self._members():
            if member.is_alive:
                member.crash(Crash.POWER_CUT)

    def _pause(self) -> None:
        self._world.statistics.pauses += 1
        pause = self._world.between(20 * MS, 600 * MS)
        self._one().paused_until_us = self._world.now_us + pause

    def _slow_disk(self) -> None:
        self._one().disk_us_max = self._world.random.choice([MS, 20 * MS, 150 * MS])

    def _full_disk(self) -> None:
        member = self._one()
        disk = member.disk
        disk.space_bytes -= disk.free_bytes()
        self._later_if_same(member, lambda: setattr(disk, "space_bytes", SPACE_BYTES))

    def _failing_disk(self) -> None:
        self._one().disk.sync_error = EIO

    def _later_if_same(self, member: Member, act: Act) -> None:
        self._world.later(self._world.between(20 * MS, 300 * MS), f"room {member.id}", act)

    def _skew(self) -> None:
        member = self._one()
        member.tick_us = round(member.tick_us_right * self._world.random.choice([0.7, 1.0, 1.4]))
