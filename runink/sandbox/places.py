"""Cells that wait for an agent's slices, on the agent's side: which of them can serve a launch, and what of them it holds.

A **place** is everything that a cell was closed with; it has a number, by which the spawner offers cells (`pool.py`).  Limits are not part of it: a cell can be held to others.
"""

from __future__ import annotations

import os
import socket
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from itertools import count
from typing import Final, NamedTuple

from runink.sandbox.packets import close_all
from runink.sandbox.protocol import COUNTED_BEFORE, Waiting

PLACES_MAX: Final = 64  # that are remembered
OFFERED: Final = 5  # descriptors of a cell that waits: seat, control, stdout, stderr, pidfd


class Held(NamedTuple):
    """What a cell is held to: see `protocol.Launch`."""

    cpu_m: int
    cpu_weight: int
    memory_bytes: int
    processes: int
    io_bytes_per_s: int


class WaitingCell:
    """A cell that waits for us, with our ends of its channels, non-blocking, and the seat that takes its assignment."""

    __slots__ = (
        "control",
        "counted_before",
        "held",
        "number",
        "pidfd",
        "sealed",
        "seat",
        "stderr",
        "stdout",
    )

    def __init__(self, waiting: Waiting, descriptors: Sequence[int]) -> None:
        seat, control, self.stdout, self.stderr, self.pidfd = descriptors
        self.number = waiting.cell
        self.counted_before = waiting.sealed.pop(COUNTED_BEFORE, "")
        self.sealed = waiting.sealed
        self.held = Held(
            waiting.cpu_m,
            waiting.cpu_weight,
            waiting.memory_bytes,
            waiting.processes,
            waiting.io_bytes_per_s,
        )
        # What kinds they are need not be asked for.
        self.seat = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, seat)
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, control)
        for channel in (self.seat, self.control):
            channel.setblocking(False)
        for descriptor in (self.stdout, self.stderr):
            os.set_blocking(descriptor, False)

    def close(self) -> None:
        """Let go of all of it. Nobody else has the seat: without an assignment the cell ends."""
        self.seat.close()
        self.control.close()
        close_all((self.stdout, self.stderr, self.pidfd))


class Places:
    """The places that were launched at lately, and the cells that wait there."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._place_of: OrderedDict[Hashable, int] = OrderedDict()
        self._cells: dict[int, list[WaitingCell]] = {}

    def number_of(self, place: Hashable) -> int:
        """Return the number of a place, a new one if need be."""
        number = self._place_of.get(place)
        if number is None:
            number = self._place_of[place] = next(self._numbers)
            self._cells[number] = []
            if len(self._place_of) > PLACES_MAX:
                self._forget(self._place_of.popitem(last=False)[1])
        else:
            self._place_of.move_to_end(place)
        return number

    def offer(self, waiting: Waiting, descriptors: Sequence[int]) -> None:
        """Take up a cell. One of a place that is forgotten is let go."""
        cell = WaitingCell(waiting, descriptors)
        if waiting.place in self._cells:
            self._cells[waiting.place].append(cell)
        else:
            cell.close()

    def take(self, number: int) -> WaitingCell | None:
        """Return a cell that waits at the place, which is then the caller's; nothing if none does."""
        cells = self._cells[number]
        return cells.pop() if cells else None

    def withdraw(self, number: int) -> None:
        """Let go of a cell, if it is still ours."""
        for cells in self._cells.values():
            for cell in cells:
                if cell.number == number:
                    cells.remove(cell)
                    cell.close()
                    return

    def close(self) -> None:
        """Let go of everything."""
        self._place_of.clear()
        for number in list(self._cells):
            self._forget(number)

    def _forget(self, number: int) -> None:
        for cell in self._cells.pop(number):
            cell.close()
