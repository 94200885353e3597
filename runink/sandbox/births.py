"""How a slice comes by its cell, for the spawner: the cell is asked for, given its ids, assigned, and heard until the slice begins.

Rules
- What fails is answered with the step of `isolation.STEPS` at which it did, and the cell is ended: a slice runs in a whole cell or not at all.
- A cell that was asked for is forgotten when its first process has been reaped, or when the fork server says that there is none.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from runink.sandbox.cells import Cell, Cells, CellState
from runink.sandbox.codec import BadMessage
from runink.sandbox.confines import REMOVED_LATER_S, Confines
from runink.sandbox.inner_protocol import (
    FROM_CELL,
    INNER_FIELDS,
    Assign,
    Fork,
    Forked,
    Go,
    Sealed,
    Started,
    Unborn,
    Unforked,
    Worked,
)
from runink.sandbox.isolation import STEPS
from runink.sandbox.log import describe, log
from runink.sandbox.nursery import Nursery
from runink.sandbox.packets import Packet, close_all, understood
from runink.sandbox.protocol import READ_WRITE
from runink.sandbox.records import Record, Register, State
from runink.sandbox.walls import Walls

NOT_PREPARED = "slice_not_prepared"
NOT_SHOWN = "slice_not_shown"
STDOUT, STDERR = 2, 3  # their places among what is handed to a slice: job, control, stdout, stderr

Refuse = Callable[[Record, str, str], None]


class Births:
    """One for a spawner. `refuse` answers a launch that fails; without `walls` cells are plain processes."""

    def __init__(
        self, register: Register, walls: Walls | None, confines: Confines | None, *, refuse: Refuse
    ) -> None:
        self.cells = Cells()
        self._register = register
        self._walls = walls
        self._confines = confines
        self._refuse = refuse

    def begin(self, record: Record, nursery: Nursery) -> None:
        """Ask this fork server for a cell for a launch that waits. What cannot be shown to it refuses it."""
        try:
            targets, trees = self._trees(record)
        except OSError as error:
            self._refuse(record, NOT_SHOWN, f"{_at(3)}: {describe(error)}")
            return
        try:
            self._ask(record, nursery, targets, trees)
        except OSError as error:
            self._refuse(record, "no_descriptors", describe(error))
        finally:
            close_all(trees)

    def heard(self, message: Forked | Unforked, descriptors: list[int]) -> None:
        """Act on the fork server's word about a cell."""
        cell = self.cells.numbered(message.cell)
        if isinstance(message, Unforked):
            if cell is not None:
                self._fail(cell, "fork_failed", message.text)
                self._remove(cell)
            return
        assert len(descriptors) == 1  # it is our own code that says so
        if cell is None:  # forgotten meanwhile, with the fork server that was to make it
            close_all(descriptors)
            return
        self.cells.forked(cell, pid=message.pid, pidfd=descriptors[0])
        self._send_off(cell)

    def listen(self, *, now_s: float) -> list[Record]:
        """Take in what cells say; return the records whose slices have begun."""
        begun: list[Record] = []
        talking, at_limit = self.cells.ready()
        for cell in talking:
            self._listen_to(cell, begun, now_s)
        for cell in at_limit:
            self._look_at_memory(cell, now_s, is_ready=True)
        return begun

    def look_again(self, *, now_s: float) -> None:
        """Look at the memory of cells that are to be looked at by now, and remove the cgroups that the kernel still held."""
        for cell in self.cells.to_look_at(now_s=now_s):
            self._look_at_memory(cell, now_s, is_ready=False)
        if self._confines is not None and self._confines.has_leaving:
            self._confines.remove_leaving()

    def next_due_s(self, *, now_s: float) -> float | None:
        """Return when `look_again` has something to do next."""
        if self._confines is not None and self._confines.has_leaving:
            return now_s + REMOVED_LATER_S
        return self.cells.next_look_s()

    def _look_at_memory(self, cell: Cell, now_s: float, *, is_ready: bool) -> None:
        """End the whole cell where the kernel has ended one of its processes for want of memory."""
        watch = cell.confine.watch if cell.confine is not None else None
        if watch is not None and watch.look(now_s=now_s, is_ready=is_ready):
            record = self._register.named(cell.slice)
            if record is not None and record.cell == cell.number:
                record.cause = record.cause or "oom"
            cell.kill()

    def ended(self, pid: int) -> Worked | None:
        """Take note that a cell's first process was reaped; return how its worker ended, if that was told."""
        cell = self.cells.of_process(pid)
        if cell is None:
            return None
        self._listen_to(cell, [], 0.0)  # its last word
        self._fail(cell, NOT_PREPARED, "its cell ended before the slice began")
        record = self._register.named(cell.slice)
        self._remove(cell)
        if cell.confine is not None and record is not None and record.cell == cell.number:
            record.met, record.used = cell.confine.events, cell.confine.usage
        return cell.worked

    def _remove(self, cell: Cell) -> None:
        self.cells.unwatch(cell)
        if cell.confine is not None and self._confines is not None:
            self._confines.finish(cell.confine)
        self.cells.remove(cell)

    def drop(self, network: str, why: str) -> None:
        """Refuse the launches whose cells a lost fork server was to make or had made, and end those."""
        for cell in self.cells.all():
            if cell.network != network or cell.state is CellState.WORKING:
                continue
            self._fail(cell, "fork_server_lost", why)
            if cell.state is CellState.ASKED:
                self._remove(cell)
            else:
                cell.kill()

    def kill(self, record: Record) -> None:
        """End the cell of a slice that has not begun."""
        cell = self.cells.numbered(record.cell)
        if cell is not None:
            cell.kill()

    def _trees(self, record: Record) -> tuple[list[str], list[int]]:
        if self._walls is None:
            return [], []
        launch = record.launch
        self._walls.claim(launch.herd)
        trees = self._walls.trees(launch, record.meant, owner=record.owner)
        return [tree.target for tree in trees], [tree.descriptor for tree in trees]

    def _ask(self, record: Record, nursery: Nursery, targets: list[str], trees: list[int]) -> None:
        launch = record.launch
        cell, theirs = self.cells.make(launch, network=nursery.network)
        with theirs:
            if self._confines is not None:
                self.cells.confine(cell, self._confines.make(cell.number, launch))
            links = self._walls.links if self._walls is not None else []
            is_isolated = self._walls is not None
            writable = [path for path, mode in launch.binds if mode == READ_WRITE]
            fork = Fork(
                cell.number,
                is_isolated,
                targets,
                writable,
                links,
                launch.cwd,
                launch.scratch_bytes,
            )
            outbox = nursery.outbox
            if outbox is None or not outbox.send(fork, descriptors=[theirs.fileno(), *trees]):
                self._remove(cell)
                nursery.kill()
                return
        self._register.has_cell(record, cell.number)

    def _send_off(self, cell: Cell) -> None:
        """Give a new cell its ids, and its slice."""
        record = self._record_of(cell)
        step = 5
        try:
            if cell.confine is not None:
                cell.confine.group.join(cell.pid)
            step = 6
            if self._walls is not None:
                self._walls.give_ids(cell.pid, cell.herd)
        except OSError as error:
            self._fail(cell, NOT_PREPARED, f"{_at(step)}: {describe(error)}")
            cell.kill()
            return
        if record is None or not cell.outbox.send(Go()) or not self._assign(cell, record):
            cell.kill()

    def _assign(self, cell: Cell, record: Record) -> bool:
        launch = record.launch
        if self._walls is not None:
            # Whoever opens /dev/stdout opens the pipe anew, and must be its owner for that.
            own = self._walls.own_id(cell.herd)
            for descriptor in (record.handed[STDOUT], record.handed[STDERR]):
                os.fchown(descriptor, own, own)
        assign = Assign(launch.slice, launch.cwd, launch.environment)
        is_sent = cell.outbox.send(assign, descriptors=record.handed)
        self._register.handed_over(record)
        return is_sent

    def _listen_to(self, cell: Cell, begun: list[Record], now_s: float) -> None:
        for packet in cell.packets():
            if packet is None:
                self.cells.deafen(cell)
                if cell.state is not CellState.WORKING:
                    cell.kill()
                return
            try:
                self._on_message(cell, packet, begun, now_s)
            except BadMessage as problem:
                # Its slice may be hostile: it gets no second word.
                log("cell not understood", slice=cell.slice, problem=problem.text)
                self.cells.deafen(cell)
                cell.kill()
                return

    def _on_message(self, cell: Cell, packet: Packet, begun: list[Record], now_s: float) -> None:
        match understood(packet, FROM_CELL, INNER_FIELDS).message:
            case Sealed(report):
                told = self._confines.told if self._confines is not None else {}
                cell.state, cell.report = CellState.SEALED, report | told
            case Started():
                cell.state = CellState.WORKING
                record = self._register.started(cell.slice, pid=cell.pid, now_s=now_s)
                if record is None or record.cell != cell.number:
                    cell.kill()
                    return
                record.sealed = cell.report
                record.kept.append(os.dup(cell.pidfd))
                begun.append(record)
            case Unborn(step, text):
                self._fail(cell, NOT_PREPARED, f"{_at(step)}: {text}" if step else text)
                cell.kill()
            case Worked() as worked:
                cell.worked = worked

    def _fail(self, cell: Cell, code: str, text: str) -> None:
        """Refuse the launch that the cell was made for, if that is still under way."""
        record = self._record_of(cell)
        if record is not None:
            self._refuse(record, code, text)

    def _record_of(self, cell: Cell) -> Record | None:
        """Return the launch that waits for this cell to begin."""
        record = self._register.named(cell.slice)
        is_its = record is not None and record.cell == cell.number
        return record if is_its and record is not None and record.state is State.FORKING else None


def _at(step: int) -> str:
    return f"step {step} ({STEPS[step]})"
