"""Homes, for the fork server: namespaces in which the cells of a herd live one after the other.

A home is a user namespace, which has the herd's ids from its first cell on, and a network namespace of its own, in which there is nothing but a loopback.  To make the two for each cell and take them away again is a
millisecond of processor, half of it in the kernel's own threads.  Nobody lives there between two cells: the fork server keeps both by their descriptors.  How a cell comes in: `doorstep.py`.

    state      on                                             becomes
    new        the first cell was cloned in it                lived in
    lived in   the cell's first process has been reaped       empty
    empty      a cell of the herd is asked for, no traces     lived in
    empty      one of the reasons below                       left: the descriptors are closed, and the kernel takes the namespaces away

It is left when a cell has left traces, after USES_MAX cells, after IDLE_S without one, and for another where HOMES_MAX are kept.

Rules
- Never two cells at once: the first process is the first of its pid namespace, so when it was reaped no other process of the cell is left.
- Never cells of two herds.
- No slice has any power over its home: its cell gives all of them up before the slice begins (`isolation.py` 12). So no address, route, setting or id is otherwise than at the beginning.
- What it can leave is looked for, and a home with traces is not used again: a socket that somebody still holds (it was passed out of the cell), and any packet that went over the loopback, which is the only device. So no port
  is in TIME_WAIT, and no connection half closed. Not looked for: counts of packets that were refused before they came to a device, and labels of IPv6 flows that linger for a minute.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from typing import Final

from runink.sandbox.birth import PARKED
from runink.sandbox.packets import close_all

HOMES_MAX: Final = 64  # that are kept, by four descriptors each: on two cores 48 cells live at once, most of them waiting
USES_MAX: Final = 1024  # bounds whatever else may gather in a namespace
IDLE_S: Final = 30.0  # longer than from one wave of a run to the next
LOOK_S: Final = 1.0  # from one look for idle ones to the next: there are many occasions
KEPT: Final = (
    "ns/user",
    "ns/net",
    "net/sockstat",
    "net/dev",
)  # of /proc, of a process that stands there
_UNUSED: Final = b"sockets: used 0\n"
_COUNTED_BYTES_MAX: Final = 4096  # with one device they have 400
_FIRST: Final = (
    PARKED + 32
)  # out of the way: what arrives is to have the same numbers whatever homes there are (`courses.py`)


class Home:
    """One home. `first` is the first process of the cell that lives there, 0 for none; `since_s` is when the last one ended."""

    __slots__ = ("_counted", "descriptors", "first", "herd", "since_s", "uses")

    def __init__(self, herd: int, descriptors: list[int]) -> None:
        self.herd = herd
        self.descriptors = descriptors  # in the order of KEPT
        self.first = 0
        self.uses = 0
        self.since_s = 0.0
        self._counted = self._devices()

    @property
    def namespaces(self) -> tuple[int, int]:
        """The descriptors of its user and network namespace."""
        user, network, _, _ = self.descriptors
        return user, network

    def has_traces(self) -> bool:
        """Say whether the cells before have left anything. It takes 4 us."""
        used = os.pread(self.descriptors[2], _COUNTED_BYTES_MAX, 0)
        return not used.startswith(_UNUSED) or self._devices() != self._counted

    def _devices(self) -> bytes:
        return os.pread(self.descriptors[3], _COUNTED_BYTES_MAX, 0)


class Homes:
    """All that a fork server keeps, those that were lived in last at the end."""

    def __init__(self) -> None:
        self._homes: list[Home] = []
        self._lived_in: dict[int, Home] = {}  # by its cell's first process
        self._look_at_s = 0.0

    def __len__(self) -> int:
        return len(self._homes)

    def empty(self, herd: int) -> Home | None:
        """Return an empty home of the herd, if there is one: that which was lived in last, so that others are idle."""
        for home in reversed(self._homes):
            if home.herd == herd and not home.first:
                if not home.has_traces():
                    return home
                self.leave(home)
                return None  # a new one is made in its place; it may be that all have some
        return None

    def take_up(self, herd: int, descriptors: Iterable[int]) -> Home | None:
        """Keep a home that was just made by these descriptors, which it takes; nothing where there are none, or no room for it."""
        handed = list(descriptors)
        if not handed:
            return None
        if len(self._homes) >= HOMES_MAX:
            self._leave_oldest()
        parked: list[int] = []
        try:
            if len(self._homes) < HOMES_MAX:
                parked.extend(fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, _FIRST) for one in handed)
                home = Home(herd, parked)
                self._homes.append(home)
                return home
        except OSError:  # no more descriptors: the cell lives there all the same
            close_all(parked)
        finally:
            close_all(handed)
        return None

    def moved_in(self, home: Home, first: int) -> None:
        """Take note of the cell that lives there now."""
        assert not home.first
        home.first = first
        home.uses += 1
        self._lived_in[first] = home
        self._homes.remove(home)
        self._homes.append(home)

    def ended(self, pid: int, *, now_s: float) -> None:
        """Take note of a child that was reaped."""
        home = self._lived_in.pop(pid, None)
        if home is not None:
            home.first, home.since_s = 0, now_s
            if home.uses >= USES_MAX:
                self.leave(home)

    def leave_idle(self, *, now_s: float) -> None:
        """Leave those in which nobody has lived for a while."""
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + LOOK_S
        for home in [home for home in self._homes if not home.first]:
            if home.since_s + IDLE_S <= now_s:
                self.leave(home)

    def leave(self, home: Home) -> None:
        """Keep an empty home no longer."""
        assert not home.first
        self._homes.remove(home)
        close_all(home.descriptors)

    def _leave_oldest(self) -> None:
        for home in self._homes:
            if not home.first:
                self.leave(home)
                return
