"""The world of a simulated group: one heap of events in virtual time, one source of chance, a digest of all that happened, and a count of it.

Everything that a seed decides is drawn from `random`, in the order of the events; events of one time happen in the order in which they were planned.
So a seed is a world, and two runs of it have the same digest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from heapq import heappop, heappush
from random import Random
from typing import Final

MS: Final = 1_000  # times are whole microseconds
SECOND: Final = 1_000_000

Act = Callable[[], object]


@dataclass
class Statistics:
    """How often a simulation came to the hard places. `disk_crashes` counts power cuts by the operation that they came before."""

    events: int = 0
    elections: int = 0
    crashes: int = 0
    disk_crashes: Counter[str] = field(default_factory=Counter)
    failed_syncs: int = 0
    full_disks: int = 0
    torn_tails: int = 0
    pauses: int = 0
    partitions: int = 0
    snapshots_written: int = 0
    snapshots_sent: int = 0
    snapshots_installed: int = 0
    conf_changes: int = 0
    joint_changes: int = 0
    learners: int = 0
    transfers: int = 0
    messages: int = 0
    lost: int = 0
    doubled: int = 0
    reads: int = 0
    writes: int = 0
    swaps_held: int = 0
    retries_answered: int = 0
    dropped_proposals: int = 0
    unknown_outcomes: int = 0
    undecided_histories: int = 0
    lives: Counter[str] = field(default_factory=Counter)

    def add(self, other: Statistics) -> None:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    def __str__(self) -> str:
        return "\n".join(f"{one.name:22} {_told(getattr(self, one.name))}" for one in fields(self))


def _told(value: object) -> str:
    if isinstance(value, Counter):
        return ", ".join(f"{name} {count}" for name, count in sorted(value.items()))
    return str(value)


class World:
    """Time, chance and what is to come. Made from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - the point is that it can be repeated
        self.now_us = 0
        self.statistics = Statistics()
        self._trace = blake2b(digest_size=16)
        self._events: list[tuple[int, int, str, Act]] = []
        self._planned = 0

    @property
    def digest(self) -> str:
        return self._trace.hexdigest()

    def later(self, delay_us: int, label: str, act: Act) -> None:
        """Plan something; the label says in the trace what it was."""
        assert delay_us >= 0
        self._planned += 1
        heappush(self._events, (self.now_us + delay_us, self._planned, label, act))

    def note(self, text: str | bytes) -> None:
        """Put something into the trace that a run is compared by."""
        self._trace.update(text.encode() if isinstance(text, str) else text)

    def step(self) -> None:
        """Let the next thing happen. There is always one: members tick."""
        self.now_us, place, label, act = heappop(self._events)
        self.statistics.events += 1
        self.note(f"{self.now_us} {place} {label}\n")
        act()

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def between(self, least: int, most: int) -> int:
        """Return a number of this range, mostly a small one, seldom a large one: delays are like that."""
        return least + int((most - least) * self.random.random() ** 3)
