"""The warm pool: which cells wait for slices that have not come yet.  Pure: it decides and is told, it makes nothing and has no clock.

A slice can have a waiting cell if all that was fixed when the cell was closed is the same: the place (`Place`).  The pool expects of a place what it was asked for
lately, and forgets it otherwise:

    a launch at a place           one more is expected there, up to the pool's size over all places; the place that was asked for longest ago gives way
    a cell that waits             serves the next launch at its place
    IDLE_S without a launch       the place is forgotten, its cells are ended
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from runink.sandbox.protocol import Launch

IDLE_S = 60.0  # a pipeline that runs every minute finds its cells


class Place(NamedTuple):
    """What a cell is closed with: who owns what it is shown, which files these are (device and inode), and the launch's own words."""

    herd: str
    network: str
    cwd: str
    scratch_bytes: int
    owner: tuple[int, int]
    shown: tuple[tuple[str, str, int, int], ...]


def place_of(
    launch: Launch, owner: tuple[int, int], network: str, found: list[tuple[int, int]]
) -> Place:
    """Return where a launch belongs. `found` are device and inode of each of its binds."""
    shown = [
        (path, mode, device, inode)
        for (path, mode), (device, inode) in zip(launch.binds, found, strict=True)
    ]
    return Place(launch.herd, network, launch.cwd, launch.scratch_bytes, owner, tuple(shown))


class Expected:
    """A place that is expected to be asked for again. `meant` are descriptors of what is shown there, the pool's until it gives them back."""

    __slots__ = ("cells", "launch", "meant", "place", "since_s", "under_way", "wanted")

    def __init__(self, place: Place, launch: Launch, meant: list[int], *, now_s: float) -> None:
        self.place = place
        self.launch = launch
        self.meant = meant
        self.cells: list[int] = []  # that wait, the oldest first
        self.under_way: set[int] = set()
        self.wanted = 0
        self.since_s = now_s


class Pool:
    """The places, those asked for last at the end. `size` is how many cells may wait at once; 0 is no pool."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._places: OrderedDict[Place, Expected] = OrderedDict()

    @property
    def is_on(self) -> bool:
        return self._size > 0

    def knows(self, place: Place) -> bool:
        return place in self._places

    def take(self, place: Place) -> int:
        """Return a cell that waits at the place, which is then the caller's; 0 if none does."""
        expected = self._places.get(place)
        return expected.cells.pop(0) if expected is not None and expected.cells else 0

    def expect(self, place: Place, launch: Launch, meant: list[int], *, now_s: float) -> None:
        """Note a launch at a place; the descriptors become the pool's if it did not know the place."""
        expected = self._places.get(place)
        if expected is None:
            expected = self._places[place] = Expected(place, launch, meant, now_s=now_s)
        self._places.move_to_end(place)
        expected.since_s = now_s
        expected.wanted = min(expected.wanted + 1, self._size)

    def missing(self) -> Expected | None:
        """Return a place at which a cell is to be made, the one asked for last first."""
        room = self._size - sum(
            len(one.cells) + len(one.under_way) for one in self._places.values()
        )
        if room <= 0:
            return None
        for expected in reversed(self._places.values()):
            if len(expected.cells) + len(expected.under_way) < expected.wanted:
                return expected
        return None

    def asked_for(self, place: Place, cell: int) -> None:
        """Note that a cell is being made for the place."""
        self._places[place].under_way.add(cell)

    def waits(self, cell: int) -> bool:
        """Note that a cell is closed off and waits. False if nobody expects it any more."""
        for expected in self._places.values():
            if cell in expected.under_way:
                expected.under_way.discard(cell)
                expected.cells.append(cell)
                return True
        return False

    def lost(self, cell: int) -> None:
        """Note that a cell has ended. A place at which they end by themselves is not expected again: something is wrong there."""
        for expected in self._places.values():
            if cell in expected.under_way or cell in expected.cells:
                expected.under_way.discard(cell)
                expected.cells = [one for one in expected.cells if one != cell]
                expected.wanted = 0

    def give_up(self, place: Place) -> None:
        """Expect nothing of a place where no cell can be made."""
        self._places[place].wanted = 0

    def outdated(self, *, now_s: float) -> list[Expected]:
        """Forget the places that nobody asked for lately, and those beyond the pool's size; return them, to have their cells ended and descriptors closed."""
        gone = []
        while self._places:
            oldest = next(iter(self._places.values()))
            if len(self._places) <= self._size and oldest.since_s + IDLE_S > now_s:
                break
            gone.append(self._places.popitem(last=False)[1])
        return gone

    def next_due_s(self) -> float | None:
        """Return when the next place will be outdated."""
        oldest = next(iter(self._places.values()), None)
        return None if oldest is None else oldest.since_s + IDLE_S

    def forget_all(self) -> list[Expected]:
        """Forget everything; return it as `outdated` does."""
        gone = list(self._places.values())
        self._places.clear()
        return gone
