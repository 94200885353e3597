"""The scheduler: watches what waits, asks `placement` where it goes, and commits the plan.

    it sees                       it does
    nodes, standings, herds,      keeps a snapshot of them
    slices
    a pending slice               puts its gang together; decides when all of it is there
    a plan's placed unit          one transaction: every slice `placed`, its placement for the node; compared with the slices' revisions
                                  and with what was said of the node
    a unit that does not fit      writes why into its slices, once; fails them if it never will
    a retry held back             looks again when it is due
    a Barn that takes nothing     looks again after AGAIN_MS (its disk is full, or it is being started)

It holds no state that is not in the Barn: started anew, it decides the same.  A slice that is over is not kept: what has ended costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import anyio
import msgspec
from msgspec.structs import replace as changed

from runink import capabilities
from runink.actors.tables import Loaded, Seen, Table, follow
from runink.barn.history import Watched
from runink.barn.keys import (
    HERDS,
    NODES,
    RESERVATIONS,
    SLICES,
    STANDINGS,
    placement_key,
    slice_key,
    standing_key,
)
from runink.clients.barn import BarnClient, Found, Transaction
from runink.errors import Unavailable, WireError
from runink.jobs import Failed
from runink.placement.demands import UnitKey
from runink.placement.plans import Placed, Plan, Unplaced
from runink.placement.solver import decide
from runink.runs.records import (
    HerdRecord,
    NodeRecord,
    NodeStanding,
    Placement,
    SliceRecord,
    SliceState,
)
from runink.runs.reservations import ReservationRecord
from runink.runtime.actor import Actor, Context
from runink.scheduling.snapshots import Tables, snapshot_of

AGAIN_MS: Final = 1000


class _Due(msgspec.Struct, frozen=True):
    """A retry that was held back may go now."""


SchedulerMessage = Loaded | Watched | _Due
Members = tuple[Found[SliceRecord], ...]


class Scheduler(Actor[SchedulerMessage]):
    """One for a cluster. `now_ms` is the wall clock, milliseconds of the Unix epoch."""

    def __init__(self, barn: BarnClient, *, now_ms: Callable[[], int]) -> None:
        self._barn = barn
        self._now_ms = now_ms
        self._nodes = Table(NODES.prefix(), NodeRecord)
        self._standings = Table(STANDINGS.prefix(), NodeStanding)
        self._herds = Table(HERDS.prefix(), HerdRecord)
        self._slices = Table(SLICES.prefix(), SliceRecord, keep=lambda one: not one.state.is_over)
        self._reservations = Table(RESERVATIONS.prefix(), ReservationRecord)
        self._tables = (
            self._nodes,
            self._standings,
            self._herds,
            self._slices,
            self._reservations,
        )
        self._is_loaded = False
        self._seen = 0
        self._own = 0  # the revision of our last transaction: older sights are not decided on
        self._context: Context[SchedulerMessage]
        self._due_ms = 0

    async def started(self, context: Context[SchedulerMessage]) -> None:
        self._context = context
        prefixes = tuple(table.prefix for table in self._tables)
        context.spawn(partial(follow, self._barn, prefixes, self._tell))

    async def _tell(self, seen: Seen) -> None:
        await self._context.me.tell(seen)

    async def receive(self, message: SchedulerMessage) -> None:
        match message:
            case Loaded(items, revision):
                for table in self._tables:
                    table.load(items)
                self._is_loaded = True
                self._seen = revision
            case Watched() if not self._is_loaded:
                return  # An earlier life has left it unread; what is loaded says it all.
            case Watched(changes, revision):
                for change in changes:
                    any(table.apply(change) for table in self._tables)
                self._seen = revision
            case _Due():
                self._due_ms = 0
        if self._seen >= self._own:
            await self._plan()

    async def _plan(self) -> None:
        waiting = self._waiting()
        if not waiting:
            return
        tables = Tables(
            self._nodes.values(),
            self._standings.values(),
            self._herds.values(),
            self._slices.values(),
            self._reservations.values(),
            self._seen,
        )
        plan = decide(snapshot_of(tables, now_ms=self._now_ms()))
        await self._commit(plan, waiting)

    def _waiting(self) -> dict[UnitKey, Members]:
        """Return the slices of the gangs that wait and are due."""
        gangs: dict[UnitKey, list[Found[SliceRecord]]] = {}
        for found in self._slices:
            if found.value.state is SliceState.PENDING:
                gangs.setdefault((found.value.run, found.value.gang), []).append(found)
        now_ms = self._now_ms()
        units: dict[UnitKey, Members] = {}
        for key, members in gangs.items():
            due_ms = max(found.value.not_before_ms for found in members)
            if due_ms > now_ms:
                self._look_again(due_ms - now_ms, due_ms)
                continue
            units[key] = tuple(members)
        return units

    def _look_again(self, wait_ms: int, due_ms: int) -> None:
        if self._due_ms and self._due_ms <= due_ms:
            return
        self._due_ms = due_ms
        self._context.spawn(partial(self._wake, wait_ms / 1000))

    async def _wake(self, wait_s: float) -> None:
        await anyio.sleep(wait_s)
        await self._context.me.tell(_Due())

    async def _commit(self, plan: Plan, waiting: dict[UnitKey, Members]) -> None:
        transactions = [self._placing(placed, waiting[placed.unit.key]) for placed in plan.placed]
        transactions += [
            explained
            for unplaced in plan.unplaced
            if (explained := _explaining(unplaced, waiting[unplaced.unit.key], self._now_ms()))
        ]
        async with anyio.create_task_group() as group:
            for transaction in transactions:
                group.start_soon(self._submit, transaction)

    def _placing(self, placed: Placed, members: Members) -> Transaction:
        """Place it, unless something else has been said of the node meanwhile: who drains it may rely on that."""
        key = standing_key(placed.node)
        said = self._standings.get(key)
        placing = _placing(placed, members)
        return placing.if_absent(key) if said is None else placing.if_revision(key, said.revision)

    async def _submit(self, transaction: Transaction) -> None:
        """Commit one; if something has changed meanwhile, the watch tells it and we decide again."""
        try:
            committed = await self._barn.commit(transaction)
        except Unavailable:  # if it took place after all, the watch tells
            self._look_again(AGAIN_MS, self._now_ms() + AGAIN_MS)
            return
        if committed.succeeded:
            self._own = max(self._own, committed.revision)


def _unchanged(members: Iterable[Found[SliceRecord]]) -> Transaction:
    transaction = Transaction()
    for found in members:
        transaction = transaction.if_revision(found.key, found.revision)
    return transaction


def _placing(placed: Placed, members: Members) -> Transaction:
    transaction = _unchanged(members)
    for found in members:
        one = changed(
            found.value, state=SliceState.PLACED, node=placed.node, waits_for="", not_before_ms=0
        )
        placement = Placement(one.run, one.slice, one.herd, one.gang, one.attempt)
        transaction = transaction.put(slice_key(one.herd, one.run, one.slice), one).put(
            placement_key(placed.node, one.run, one.slice), placement
        )
    return transaction


def _never_fits(unplaced: Unplaced) -> WireError:
    text = f"{unplaced.unit.gang} can never be placed: {unplaced.text}"
    match unplaced.lacks:
        case "":
            hint = "ask for less with @requires, raise the herd's quota, or add a larger node"
            return WireError("QuotaExceeded", "never_fits", text, hint)
        case capabilities.NAMESPACES:
            hint = "runi run, up and test take --no-isolation: slices are then plain processes, with all rights of who starts them"
            return WireError("Refused", "isolation_unavailable", text, hint)
        case name:
            hint = capabilities.hint(name, str(unplaced.unit.herd))
            return WireError("Refused", "capability_missing", text, hint)


def _explaining(unplaced: Unplaced, members: Members, now_ms: int) -> Transaction | None:
    """Say in the slices why they wait, unless they say it already; a unit that never fits fails."""
    if all(found.value.waits_for == unplaced.text for found in members):
        return None
    transaction = _unchanged(members)
    for found in members:
        one = changed(found.value, waits_for=unplaced.text)
        if unplaced.is_final:
            report = Failed(_never_fits(unplaced))
            one = changed(one, state=SliceState.FAILED, report=report, ended_ms=now_ms)
        transaction = transaction.put(found.key, one)
    return transaction
