"""How a slice comes by its cell, for the spawner: the cell is asked for, given its ids, assigned, and heard until the slice begins.

Cells that wait for slices are made here too; what becomes of these: `warm_cells.py`.

Rules
- What fails is answered with the step of `isolation.STEPS` at which it did, and the cell is ended: a slice runs in a whole cell or not at all.
- A cell that was asked for is forgotten when its first process has been reaped, or when the fork server says that there is none.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable
from typing import NamedTuple

from runink.sandbox.bubblewrap import status_of
from runink.sandbox.bubblewrap_monitor import Monitor, first_process
from runink.sandbox.cell_words import CellWords
from runink.sandbox.cells import Cell, Cells, CellState
from runink.sandbox.codec import BadMessage, encode
from runink.sandbox.confines import Confines
from runink.sandbox.due import soonest
from runink.sandbox.inner_protocol import (
    Assign,
    Ended,
    Fork,
    Forked,
    Go,
    Sealed,
    Started,
    Unborn,
    Unforked,
    Worked,
)
from runink.sandbox.isolation import STEPS, Progress
from runink.sandbox.log import describe, log
from runink.sandbox.mounts import Tree, told
from runink.sandbox.nursery import Nursery
from runink.sandbox.packets import Packet, close_all, receive
from runink.sandbox.protocol import READ_WRITE, Launch
from runink.sandbox.records import Record, Register, State
from runink.sandbox.walls import Walls

NOT_PREPARED = "slice_not_prepared"
NOT_SHOWN = "slice_not_shown"
EXHAUSTED = (
    "node_exhausted"  # of descriptors, memory, id ranges: a while later there may be some again
)
SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC}
OUTFIT_MAX = 4  # control, stdout, stderr, seat
STDOUT, STDERR = 1, 2  # their places in a slice's outfit: control, stdout, stderr

_GO = [encode("go", Go(), descriptors=count) for count in range(OUTFIT_MAX + 1)]


class Told(NamedTuple):
    """Whom births are told to. `refuse` answers a launch that fails, `begun` one whose slice has begun; `offer` is given a closed cell that is to wait, and
    says whether it may; `unclaimed` hears of one that has begun a slice before anybody told us of that, `lost` of every cell that is no more.
    """

    refuse: Callable[[Record, str, str], None]
    begun: Callable[[Record], None]
    offer: Callable[[Cell], bool]
    unclaimed: Callable[[Cell, float], None]
    lost: Callable[[Cell], None]


class Births:
    """One for a spawner. Without `walls` cells are plain processes."""

    def __init__(
        self, register: Register, walls: Walls | None, confines: Confines | None, told: Told
    ) -> None:
        self.cells = Cells()
        self._register = register
        self._walls = walls
        self._confines = confines
        self._told = told
        self.progress = Progress(0)
        self._words = CellWords()

    def begin(self, record: Record, nursery: Nursery) -> None:
        """Ask this fork server for a cell for a launch that waits. What cannot be shown to it refuses it."""
        try:
            cell = self.make(record.launch, record.meant, record.owner, nursery)
        except OSError as error:
            code = EXHAUSTED if error.errno in SCARCE else NOT_SHOWN
            self._told.refuse(record, code, describe(error))
            return
        if cell is not None:
            cell.outfit, record.outfit = record.outfit, []
            self._register.has_cell(record, cell.number)
        for message, descriptors in nursery.told():
            self.heard(message, descriptors)

    def heard(self, message: Forked | Unforked, descriptors: list[int]) -> None:
        """Act on the fork server's word about a cell."""
        cell = self.cells.numbered(message.cell)
        if isinstance(message, Unforked):
            if cell is not None:
                self._fail(cell, "fork_failed", message.text)
                self._remove(cell)
            return
        assert descriptors  # it is our own code that says so
        if cell is None:  # forgotten meanwhile, with the fork server that was to make it
            close_all(descriptors)
            return
        pidfd, *complaints = descriptors
        self.cells.forked(cell, pid=message.pid, pidfd=pidfd, is_alone=bool(message.alone))
        if complaints:
            cell.monitor = Monitor(*complaints)
        self._send_off(cell)

    def listen(self, *, now_s: float) -> None:
        """Take in what cells say."""
        talking, at_limit = self.cells.ready()
        for cell in talking:
            self._listen_to(cell, now_s)  # what it has said beside that, we hear the next time
        for cell in at_limit:
            self._look_at_memory(cell, now_s, is_ready=True)

    def look_again(self, *, now_s: float) -> None:
        """Look at the memory of cells that are to be looked at by now, and remove the cgroups that the kernel still held."""
        if self.cells.next_look_s() is not None:
            for cell in self.cells.to_look_at(now_s=now_s):
                self._look_at_memory(cell, now_s, is_ready=False)
        if self._confines is not None:
            self._confines.advance(now_s=now_s if self._register.under_way else math.inf)

    def next_due_s(self, *, now_s: float) -> float | None:
        """Return when `look_again` has something to do next."""
        cgroups_s = None if self._confines is None else self._confines.next_due_s(now_s=now_s)
        return soonest(self.cells.next_look_s(), cgroups_s)

    def _look_at_memory(self, cell: Cell, now_s: float, *, is_ready: bool) -> None:
        """End the whole cell where the kernel has ended one of its processes for want of memory."""
        watch = cell.confine.watch if cell.confine is not None else None
        if watch is None:
            return
        has_killed = watch.look(now_s=now_s, is_ready=is_ready)
        self.cells.looked_at(cell)
        if has_killed:
            record = self._register.named(cell.slice)
            if record is not None and record.cell == cell.number:
                record.cause = record.cause or "oom"
            cell.kill()

    def of_first(self, ended: Ended) -> Ended:
        """Return how a cell's first process ended, where another one that waits for it tells that."""
        cell = self.cells.of_process(ended.pid)
        if cell is None or cell.monitor is None:
            return ended
        return ended._replace(status=status_of(ended.status))

    def ended(self, pid: int, ended: Ended | None, *, now_s: float) -> Ended | None:
        """Take note that a cell's first process was reaped; return how its worker ended, as far as anybody knows."""
        cell = self.cells.of_process(pid)
        if cell is None:
            return ended
        self._hear_out(cell, now_s)
        said = cell.monitor.complained() if cell.monitor is not None else ""
        self._fail(cell, NOT_PREPARED, said or "its cell ended before the slice began")
        record = self._register.named(cell.slice)
        self._remove(cell)
        if cell.confine is not None and record is not None and record.cell == cell.number:
            record.met, record.used = cell.confine.events, cell.confine.usage
        return cell.of_worker(ended, is_filtered=self._walls is not None)

    def _remove(self, cell: Cell) -> None:
        self._told.lost(cell)
        self.cells.unwatch(cell)
        if cell.confine is not None and self._confines is not None:
            # Of one that failed nobody knows what it has joined; and if no other slice is there, nobody may want its cgroup.
            may_serve = cell.state is CellState.WORKING and self._register.under_way > 1
            self._confines.finish(cell.confine, may_serve=may_serve)
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

    def make(
        self, launch: Launch, meant: list[int], owner: tuple[int, int], nursery: Nursery
    ) -> Cell | None:
        """Ask the fork server for a cell; nothing if that is gone. One for a launch without a name is to wait. Raises OSError."""
        trees = self._trees(launch, meant, owner, nursery.resolver)
        try:
            cell, theirs = self.cells.make(launch, network=nursery.network)
        except OSError:
            close_all([tree.descriptor for tree in trees])
            raise
        doors: list[int] = []
        try:
            handed = [theirs.fileno()]
            self.progress.at(2)
            if self._confines is not None:
                cell.confine = self._confines.make(cell.number, launch)
                self.cells.watch(cell)
                doors = cell.confine.doors()
                handed += doors
                if cell.confine.is_born_in:
                    handed.append(cell.confine.group.descriptor)
            handed += (tree.descriptor for tree in trees)
            self.progress.at(4)
            if nursery.ask(self._fork(cell, launch, trees, doors=len(doors)), handed):
                return cell
            nursery.kill()
            self._remove(cell)
        except BaseException as problem:
            self._remove(cell)
            if isinstance(problem, BadMessage):  # too much for a packet
                raise OSError(errno.E2BIG, problem.text) from problem
            raise
        finally:
            theirs.close()
            if cell.confine is not None:
                cell.confine.close_doors()
            close_all([tree.descriptor for tree in trees])
        return None

    def _trees(
        self, launch: Launch, meant: list[int], owner: tuple[int, int], resolver: str
    ) -> list[Tree]:
        if self._walls is None:
            return []
        self.progress.at(1)
        self._walls.claim(launch.herd)
        self.progress.at(3)
        return self._walls.trees(launch, meant, owner=owner, resolver=resolver)

    def _fork(self, cell: Cell, launch: Launch, trees: list[Tree], *, doors: int) -> Fork:
        targets, kinds = told(trees)
        return Fork(
            cell=cell.number,
            isolated=self._walls is not None,
            doors=doors,
            born_in=cell.confine is not None and cell.confine.is_born_in,
            targets=targets,
            kinds=kinds,
            writable=[path for path, mode in launch.binds if mode == READ_WRITE],
            links=self._walls.links if self._walls is not None else [],
            folder=launch.cwd,
            scratch_bytes=launch.scratch_bytes,
            waits=not launch.slice,
            herd=self._walls.number_of(launch.herd) if self._walls is not None else 0,
        )

    def _send_off(self, cell: Cell) -> None:
        """Give a new cell its ids and its channels, and let it close itself off."""
        self.progress.at(6)
        try:
            if self._walls is not None:
                self._walls.give_ids(cell.pid, cell.herd)
                # Whoever opens /dev/stdout opens the pipe anew, and must be its owner for that.
                own = self._walls.own_id(cell.herd)
                for descriptor in (cell.outfit[STDOUT], cell.outfit[STDERR]):
                    os.fchown(descriptor, own, own)
        except OSError as error:
            self._fail(cell, NOT_PREPARED, f"{_at(6)}: {describe(error)}")
            cell.kill()
            return
        if not cell.outbox.send_encoded(_GO[len(cell.outfit)], cell.outfit):
            cell.kill()
        close_all(cell.outfit)
        cell.outfit = []

    def _on_sealed(self, cell: Cell, report: dict[str, str]) -> None:
        """Look whether the cell is where it belongs, and give it its slice, or to the pool."""
        self.progress.at(5)
        told = self._confines.report(cell.confine) if self._confines is not None else {}
        cell.state, cell.report = CellState.SEALED, report | told
        try:
            if cell.confine is not None:
                cell.confine.group.check(cell.pid)
            if cell.monitor is not None:
                cell.reach(first_process(cell.pid))
        except OSError as error:
            self._fail(cell, NOT_PREPARED, f"{_at(5)}: {describe(error)}")
            cell.kill()
            return
        record = self._record_of(cell)
        is_wanted = record is not None and self._assign(cell, record)
        if not is_wanted and (cell.slice or not self._told.offer(cell)):
            cell.kill()

    def _assign(self, cell: Cell, record: Record) -> bool:
        environment = record.launch.environment
        if environment:
            is_sent = cell.outbox.send(Assign(environment), descriptors=record.handed)
        else:
            is_sent = cell.outbox.send_encoded(b"", record.handed)
        self._register.handed_over(record)
        return is_sent

    def _hear_out(self, cell: Cell, now_s: float) -> None:
        """Take in its last words: all may have come at once."""
        while cell.is_heard and self._listen_to(cell, now_s):
            pass

    def _listen_to(self, cell: Cell, now_s: float) -> bool:
        """Take in what the cell has said next. False if it has said nothing."""
        try:
            packet = receive(cell.link)
        except BlockingIOError:
            return False
        if packet is None:
            self.cells.deafen(cell)
            # Of a cell of one process nobody has the socket any more when the slice has begun.
            if cell.state not in (CellState.BEGUN, CellState.WORKING):
                cell.kill()
            return True
        try:
            self._on_message(cell, packet, now_s)
        except BadMessage as problem:
            # Its slice may be hostile: it gets no second word.
            log("cell not understood", slice=cell.slice, problem=problem.text)
            self.cells.deafen(cell)
            cell.kill()
        return True

    def _on_message(self, cell: Cell, packet: Packet, now_s: float) -> None:
        match self._words.of(packet):
            case Sealed(report):
                self._on_sealed(cell, report)
            case Worked() as worked:
                cell.worked = worked
            case Started() if cell.is_unclaimed:
                cell.state = CellState.BEGUN
                self._told.unclaimed(cell, now_s)
            case Started():
                self._on_started(cell, now_s)
            case Unborn(step, text):
                self._fail(cell, NOT_PREPARED, f"{_at(step)}: {text}" if step else text)
                cell.kill()

    def _on_started(self, cell: Cell, now_s: float) -> None:
        cell.state = CellState.WORKING
        if cell.monitor is not None:
            cell.monitor.close()
        record = self._register.started(cell.slice, pid=cell.pid, now_s=now_s)
        if record is None or record.cell != cell.number:
            cell.kill()
            return
        record.sealed = cell.report
        record.kept.append(os.dup(cell.pidfd))
        self._told.begun(record)

    def claimed(self, cell: Cell, *, now_s: float) -> Ended | None:
        """Take note that a cell's slice is known now. Return how its first process ended, if that was kept."""
        if cell.state is CellState.BEGUN:
            self._on_started(cell, now_s)
        return cell.ended

    def keeps(self, pid: int, ended: Ended | None, *, now_s: float) -> bool:
        """Keep the end of a cell's first process, if the cell has begun a slice that nobody has told us of yet. False if it has not."""
        cell = self.cells.of_process(pid)
        if cell is None:
            return False
        self._hear_out(cell, now_s)
        if cell.state is not CellState.BEGUN:
            return False
        self.cells.keep(cell, ended or Ended(pid, 0, 0.0, 0.0, 0))
        return True

    def forget(self, cell: Cell) -> None:
        """Let go of a cell whose end was kept."""
        self._remove(cell)

    def _fail(self, cell: Cell, code: str, text: str) -> None:
        """Refuse the launch that the cell was made for, if that is still under way."""
        record = self._record_of(cell)
        if record is not None:
            self._told.refuse(record, record.cause or code, text)

    def _record_of(self, cell: Cell) -> Record | None:
        """Return the launch that waits for this cell to begin."""
        record = self._register.named(cell.slice)
        if record is None or record.cell != cell.number or record.state is not State.FORKING:
            return None
        return record


def _at(step: int) -> str:
    return f"step {step} ({STEPS[step]})"
