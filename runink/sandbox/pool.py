"""The warm pool: which cells wait for slices that have not come yet.  Pure: it decides and is told, it makes nothing and has no clock.

A cell can serve any slice of its **place**: all that was fixed when it was closed off, which the agent has a number for.  The pool expects of a place what it was asked for
lately, and forgets it otherwise:

    a launch at a place           one more is expected there, up to the pool's size over all places; the place that was asked for longest ago gives way
    a cell is closed off          it is offered to the agent, with a seat: the end of a socket that the cell waits at
    the agent takes it            it puts the assignment on the seat, and the slice begins without the spawner's doing; and it tells the spawner
    IDLE_S without a launch       the place is forgotten, its cells are withdrawn: the seat is shut, and who finds it so has not begun and never will
"""

from __future__ import annotations

from collections import OrderedDict

from runink.sandbox.protocol import Launch

IDLE_S = 60.0  # a pipeline that runs every minute finds its cells


class Expected:
    """A place that is expected to be asked for again. `meant` are descriptors of what is shown there, the pool's until it gives them back; `owner` is whose they are."""

    __slots__ = ("cells", "launch", "meant", "network", "owner", "since_s", "under_way", "wanted")

    def __init__(
        self, launch: Launch, meant: list[int], *, owner: tuple[int, int], network: str
    ) -> None:
        self.launch = launch
        self.meant = meant
        self.owner = owner
        self.network = network
        self.cells: set[int] = set()  # offered
        self.under_way: set[int] = set()
        self.wanted = 0
        self.since_s = 0.0

    @property
    def place(self) -> int:
        return self.launch.place


class Pool:
    """The places, those asked for last at the end. `size` is how many cells may wait at once; 0 is no pool."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._places: OrderedDict[int, Expected] = OrderedDict()

    @property
    def is_on(self) -> bool:
        return self._size > 0

    def knows(self, place: int) -> bool:
        return place in self._places

    def get_to_know(self, expected: Expected) -> None:
        """Take up a place."""
        self._places[expected.place] = expected

    def expect(self, place: int, *, now_s: float) -> None:
        """Note a launch at a place that is known."""
        expected = self._places[place]
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

    def asked_for(self, place: int, cell: int) -> None:
        """Note that a cell is being made for the place."""
        self._places[place].under_way.add(cell)

    def offered(self, cell: int) -> int:
        """Note that a cell is closed off and waits; return its place. 0 if nobody expects it any more."""
        for expected in self._places.values():
            if cell in expected.under_way:
                expected.under_way.discard(cell)
                expected.cells.add(cell)
                return expected.place
        return 0

    def taken(self, cell: int, *, now_s: float) -> None:
        """Note that a cell has got its slice: one more is expected at its place, if that is not forgotten yet."""
        for expected in list(self._places.values()):
            if cell in expected.cells:
                expected.cells.discard(cell)
                self.expect(expected.place, now_s=now_s)

    def lost(self, cell: int) -> None:
        """Note that a cell has ended. A place at which they end by themselves is not expected again: something is wrong there."""
        for expected in self._places.values():
            if cell in expected.under_way or cell in expected.cells:
                expected.under_way.discard(cell)
                expected.cells.discard(cell)
                expected.wanted = 0

    def give_up(self, place: int) -> None:
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
