"""The scheduler: watches what waits, asks `placement` where it goes, and commits the plan.

    it sees                       it does
    nodes, what is said and       keeps a view of them (`scheduling/view.py`); decides when it has read all that is told by now, or CHANGES_MAX of it,
    seen of them, herds,          or has been reading for BATCH_S
    slices, reservations
    a plan                        commits it: all that is placed in few transactions (`placing.py`), each by itself behind a stale one, and a record of the decision
    its own transactions          takes note of them: they are no reason to decide again
    a retry held back             looks again when it is due
    a Barn that takes nothing     looks again after AGAIN_MS (its disk is full, or it is being started); what may still be under way is made void first
    that time has passed          looks again STILL_MS behind the last plan, if it has been told of something meanwhile; that a slice runs, say, changes no plan
    its own start                 makes void what a former life may have under way

It holds no state that is not in the Barn: started anew, it decides the same, and so does who makes a decision of the past again.  A slice that is over is not kept:
what has ended costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import anyio
import msgspec

from runink.actors.offload import Offload, in_thread
from runink.actors.placement_sight import PREFIXES, PlacementSight
from runink.actors.placing import TURN_KEY, Placing, together
from runink.actors.tables import Loaded, Seen, follow
from runink.actors.together import all_of
from runink.barn.history import Watched
from runink.barn.keys import decision_key
from runink.clients.barn import BarnClient, Transaction
from runink.errors import Unavailable
from runink.placement.demands import UnitKey
from runink.placement.plans import Plan, Policy
from runink.runtime.actor import Actor, Context
from runink.scheduling.decisions import DECISIONS_MAX, recorded
from runink.scheduling.keeping import kept
from runink.scheduling.snapshots import POLICY
from runink.scheduling.telling import TOLD_AGAIN_MS, Telling

AGAIN_MS: Final = 1000
STILL_MS: Final = (
    1000  # at least between two plans between which nothing has happened that they depend on
)
CHANGES_MAX: Final = 256  # that are read before it is decided, while more of them wait
BATCH_S: Final = 0.005  # for which they are read, likewise; by the loop's clock


class _Due(msgspec.Struct, frozen=True):
    """Time has come to look again."""


SchedulerMessage = Loaded | Watched | _Due


class Scheduler(Actor[SchedulerMessage]):
    """One for a cluster. `now_ms` is the wall clock, milliseconds of the Unix epoch. It decides by `policy`; with a solver in it plans are made by `offload`."""

    def __init__(
        self,
        barn: BarnClient,
        *,
        now_ms: Callable[[], int],
        policy: Policy = POLICY,
        offload: Offload = in_thread,
    ) -> None:
        self._barn = barn
        self._now_ms = now_ms
        self._offload = offload
        self._sight = PlacementSight(policy)
        self._is_loaded = False
        self._undecided = 0  # changes that are read and not decided on yet
        self._began_s = 0.0  # when the first of them was read
        self._own: set[int] = set()  # revisions of our own transactions that are not seen yet
        self._turn = 0  # the revision that our transactions depend on, 0 while something may be under way that must not come in any more
        self._telling = Telling()
        self._is_settled = False  # all that the last plan said is done, and it kept nothing
        self._was_stale = False  # something of it: its units get a transaction each next time
        self._planned_ms = 0
        self._wake_ms = 0  # when to look again, 0 for never
        self._sooner = anyio.Event()
        self._context: Context[SchedulerMessage]

    async def started(self, context: Context[SchedulerMessage]) -> None:
        self._context = context
        context.spawn(self._keep_time)
        context.spawn(partial(follow, self._barn, PREFIXES, self._tell))

    async def _tell(self, seen: Seen) -> None:
        await self._context.me.tell(seen)

    async def receive(self, message: SchedulerMessage) -> None:
        match message:
            case Loaded():
                self._sight.load(message)
                self._is_loaded = True
                self._take_in(1)
            case Watched() if not self._is_loaded:
                return  # An earlier life has left it unread; what is loaded says it all.
            case Watched(changes):
                self._sight.apply(message)
                self._take_in(sum(change.revision not in self._own for change in changes))
            case _Due():
                self._take_in(1)
                self._is_settled = False
        seen = self._sight.seen
        self._own = {revision for revision in self._own if revision > seen}
        # On a state that it has changed since it does not decide.
        if not self._undecided or self._own or not self._is_loaded:
            return
        if not self._context.unread or self._has_read_enough():
            self._undecided = 0
            await self._decide()

    def _take_in(self, changes: int) -> None:
        """Count changes as read."""
        if changes and not self._undecided:
            self._began_s = anyio.current_time()
        self._undecided += changes

    def _has_read_enough(self) -> bool:
        """Say whether it is time to decide, whatever else is told."""
        return self._undecided >= CHANGES_MAX or anyio.current_time() - self._began_s >= BATCH_S

    async def _decide(self) -> None:
        if not self._turn:
            await self._begin_turn()
            return  # what is under way until then is seen first
        view = self._sight.view
        view.look(now_ms=self._now_ms(), revision=self._sight.seen)
        if view.next_due_ms:
            self._look_again(view.next_due_ms)
        if not view.is_idle and self._may_say_more():
            # A solver takes tenths of a second, in which the member has more to do than that.
            has_solver = view.policy.finish.solver is not None
            plan = await self._offload(view.plan) if has_solver else view.plan()
            self._planned_ms = view.now_ms
            self._is_settled = not (plan.preempted or plan.reservations or view.reservations)
            await self._commit(plan, list(self._transactions(plan)))

    def _may_say_more(self) -> bool:
        """Say whether a plan could say anything that the last one has not."""
        view = self._sight.view
        again_ms = self._planned_ms + STILL_MS
        if view.has_news or not self._is_settled or view.now_ms >= again_ms:
            return True
        self._look_again(again_ms)
        return False

    async def _begin_turn(self) -> None:
        try:
            committed = await self._barn.commit(Transaction().put(TURN_KEY, self._sight.seen))
        except Unavailable:
            self._look_again(self._now_ms() + AGAIN_MS)
            return
        self._turn = committed.revision
        self._own.add(committed.revision)
        self._take_in(1)

    def _transactions(self, plan: Plan) -> Iterator[Transaction]:
        """Yield what the plan changes, nothing if it says what there is already."""
        view = self._sight.view
        keeping = kept(plan, view)
        placing = Placing(self._sight, keeping, now_ms=view.now_ms, turn=self._turn)
        placings = [placing.placed(one, decision=plan.base_revision) for one in plan.placed]
        # What changes under each plan keeps no other from its place.
        yield from placings if self._was_stale else together(placings)
        self._was_stale = False
        news = self._telling.news(plan, now_ms=view.now_ms, said=self._said)
        if news.are_more:
            self._look_again(view.now_ms + TOLD_AGAIN_MS)
        told: list[Transaction] = []
        concerned = {*news.units, *keeping, *view.reservations}
        for unplaced in plan.unplaced if concerned else ():
            key = unplaced.unit.key
            if key in concerned:
                is_kept = key in keeping or key in view.reservations
                transaction = placing.waits(unplaced, is_told=key in news.units)
                if transaction is not None and (is_kept or unplaced.is_final):
                    yield transaction
                elif transaction is not None:
                    told.append(transaction)
        yield from together(told)
        yield from placing.forgotten(plan)

    def _said(self, unit: UnitKey) -> str:
        """Return why the slices of a unit say that it waits, nothing if they say different things."""
        texts = {one.waits_for for one in self._sight.view.members(unit)}
        return texts.pop() if len(texts) == 1 else ""

    async def _commit(self, plan: Plan, transactions: list[Transaction]) -> None:
        """Commit them all at once: one sync of the disk serves them together."""
        if not transactions:
            return
        record = self._record(plan)
        if len(transactions) == 1:
            (only,) = transactions
            transactions = [Transaction(only.compares, (*only.operations, *record.operations))]
        else:
            transactions.append(record)
        await all_of([partial(self._submit, transaction) for transaction in transactions])
        # There may be more to stop than one plan does.
        self._take_in(bool(plan.preempted))

    def _record(self, plan: Plan) -> Transaction:
        """Return what keeps the decision, and forgets the oldest."""
        view = self._sight.view
        key = decision_key(plan.base_revision)
        record = recorded(plan, now_ms=view.now_ms, policy=view.policy)
        transaction = Transaction().put(key, record)
        kept = self._sight.decisions
        for oldest in kept[: max(len(kept) + 1 - DECISIONS_MAX, 0)]:
            transaction = transaction.delete(oldest)
        return transaction

    async def _submit(self, transaction: Transaction) -> None:
        """Commit one; if something has changed meanwhile, the watch tells it and we decide again."""
        try:
            committed = await self._barn.commit(transaction)
        except Unavailable:  # if it takes place after all, the watch tells, or it comes too late
            self._turn = 0
            self._is_settled = False
            self._telling.forget()
            self._look_again(self._now_ms() + AGAIN_MS)
            return
        if committed.succeeded:
            self._own.add(committed.revision)
        else:
            self._was_stale = True
            self._is_settled = False
            self._telling.forget()

    # Time.

    def _look_again(self, at_ms: int) -> None:
        """Look again then, unless that is to be sooner."""
        if not self._wake_ms or at_ms < self._wake_ms:
            self._wake_ms = at_ms
            self._sooner.set()

    async def _keep_time(self) -> None:
        """Say when it is time: one task, however often it is told to look again."""
        while True:  # ends with the actor
            self._sooner = anyio.Event()
            wait_s = max(self._wake_ms - self._now_ms(), 0) / 1000 if self._wake_ms else None
            with anyio.move_on_after(wait_s) as limit:
                await self._sooner.wait()
            if limit.cancelled_caught:
                self._wake_ms = 0
                await self._context.me.tell(_Due())
