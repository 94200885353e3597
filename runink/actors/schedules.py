"""The keeper of schedules: watches them, and makes the runs that are due.

    it sees                          it does
    a schedule whose tick has come   asks `runs.schedules.due`, and commits what that says: the run, and how far the schedule has come
    a backfill with ticks left       the same, `at_once` of its runs at a time
    a herd that is deleted           nothing of it, until that is taken back
    the end of a run                 looks again at the schedule and the backfill that it was of
    time                             looks again when the next tick comes, and after LOOK_MS at the latest: clocks are put forward and back
    a Barn that takes nothing        looks again after AGAIN_MS

A tick is taken by a transaction that compares the schedule's revision, so any number of keepers may look at once and each tick makes one run.  Nothing is held
here that is not in the Barn: started anew, a keeper decides the same.  Decisions on one schedule never overlap: behind a transaction it waits for the watch to
show it.  To compile a pipeline takes longer than a message may, so that is done by a task beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, TypeVar, assert_never

import anyio
import msgspec
from msgspec.structs import replace as changed

from runink.actors.offload import Offload, in_thread
from runink.actors.pipelines import with_run
from runink.actors.submitting import if_approved, under_herd
from runink.actors.tables import Loaded, Seen, Table, follow
from runink.barn.history import Watched
from runink.barn.keys import (
    BACKFILLS,
    HERDS,
    RUNS,
    SCHEDULES,
    deployment_key,
    herd_key,
    run_key,
    schedule_key,
)
from runink.clients.barn import BarnClient, Committed, Found, Transaction
from runink.clients.herds import if_herd
from runink.dag import Dag
from runink.errors import Invalid, NotFound, Refused, Unavailable, WireError, to_wire
from runink.herds.record import HerdRecord
from runink.names import HerdName
from runink.runs.failures import REPLACED
from runink.runs.records import (
    Failure,
    Occasion,
    RunRecord,
    RunState,
)
from runink.runs.schedule_records import BackfillRecord, DeploymentRecord, ScheduleRecord
from runink.runs.schedules import due, filled_in, id_of, next_of, occasion_of
from runink.runtime.actor import Actor, Context

AGAIN_MS: Final = 1000
LOOK_MS: Final = 30_000  # a clock that was put forward is found out by then

R = TypeVar("R", ScheduleRecord, BackfillRecord)


class _Look(msgspec.Struct, frozen=True):
    """Time has come to look at all of them."""


class _Decided(msgspec.Struct, frozen=True):
    """What was decided on a schedule or a backfill, by its key, is committed at this revision; 0 if it is not, as far as is known."""

    key: str
    revision: int


KeeperMessage = Loaded | Watched | _Look | _Decided


class ScheduleKeeper(Actor[KeeperMessage]):
    """One for a control plane. `now_ms` is the wall clock, milliseconds of the Unix epoch; pipelines are compiled by `offload`."""

    def __init__(
        self, barn: BarnClient, *, now_ms: Callable[[], int], offload: Offload = in_thread
    ) -> None:
        self._barn = barn
        self._now_ms = now_ms
        self._offload = offload
        self._schedules = Table(SCHEDULES.prefix(), ScheduleRecord)
        self._backfills = Table(
            BACKFILLS.prefix(), BackfillRecord, keep=lambda one: not one.is_done
        )
        self._runs = Table(
            RUNS.prefix(),
            RunRecord,
            keep=lambda one: one.occasion is not None and not one.state.is_over,
        )
        self._deleted = Table(HERDS.prefix(), HerdRecord, keep=lambda one: one.deletion is not None)
        self._seen = -1  # nothing is loaded
        self._own: dict[
            str, int | None
        ] = {}  # of keys that are being decided on: nothing; else the revision that is to be seen first
        self._wake_ms = 0
        self._timer = anyio.CancelScope()
        self._context: Context[KeeperMessage]

    async def started(self, context: Context[KeeperMessage]) -> None:
        self._context = context
        prefixes = tuple(table.prefix for table in self._tables())
        context.spawn(partial(follow, self._barn, prefixes, self._tell))

    async def _tell(self, seen: Seen) -> None:
        await self._context.me.tell(seen)

    def _tables(self) -> tuple[Table[Any], ...]:
        return self._runs, self._schedules, self._backfills, self._deleted

    async def receive(self, message: KeeperMessage) -> None:
        match message:
            case Loaded(items, revision):
                for table in self._tables():
                    table.load(items)
                self._seen = revision
            case Watched(changes, revision):
                if self._seen < 0:
                    return  # An earlier life has left it unread; what is loaded says it all.
                for change in changes:
                    any(table.apply(change) for table in self._tables())
                self._seen = max(self._seen, revision)
            case _Look():
                self._wake_ms = 0
            case _Decided(key, revision):
                self._own[key] = revision
                if not revision:
                    self._look_at(self._now_ms() + AGAIN_MS)
                    return
            case _:
                assert_never(message)
        if self._seen >= 0:
            self._look()

    # Deciding.

    def _look(self) -> None:
        now_ms = self._now_ms()
        wakes = [now_ms + LOOK_MS] if len(self._schedules) else []
        for schedule in self._free(self._schedules):
            wake_ms = self._decide(schedule, now_ms)
            if wake_ms is not None:
                wakes.append(wake_ms)
        for backfill in self._free(self._backfills):
            self._continue(backfill)
        if wakes:
            self._look_at(min(wakes))

    def _free(self, table: Table[R]) -> list[Found[R]]:
        """Return those that nothing is being decided on, and whose last change is seen."""
        found = []
        for one in table:
            own = self._own.get(one.key, 0)
            if own is not None and own <= self._seen:
                self._own.pop(one.key, None)
                found.append(one)
        return found

    def _decide(self, found: Found[ScheduleRecord], now_ms: int) -> int | None:
        record = found.value
        if record.paused or self._is_deleted(record.herd):
            return None
        living = self._living(record, "")
        what = due(record.schedule, seen_ms=record.seen_ms, now_ms=now_ms, living=len(living))
        if what.seen_ms == record.seen_ms:
            return what.wake_ms
        replaced = [one for one in living if _may_be_replaced(one)] if what.replaces else []
        seen = changed(record, seen_ms=what.seen_ms, problem=None)
        occasion = None if what.tick is None else occasion_of(record.schedule, what.tick)
        self._begin(found, seen, record, occasion, replaced)
        return None

    def _continue(self, found: Found[BackfillRecord]) -> None:
        record = found.value
        schedule = self._schedules.get(schedule_key(record.herd, record.pipeline))
        tick = next_of(record, living=len(self._living(record, record.id)))
        if schedule is None or tick is None or self._is_deleted(record.herd):
            return
        occasion = occasion_of(schedule.value.schedule, tick, record.id)
        begun = changed(record, begun=record.begun + 1, problem=None)
        self._begin(found, begun, schedule.value, occasion)

    def _is_deleted(self, herd: HerdName) -> bool:
        """Say whether a herd is deleted: its schedules stand still, and go on where they were if that is taken back."""
        return self._deleted.get(herd_key(herd)) is not None

    def _living(self, of: ScheduleRecord | BackfillRecord, backfill: str) -> list[Found[RunRecord]]:
        whose = (of.herd, of.pipeline, backfill)
        return [
            one
            for one in self._runs
            if one.value.occasion is not None
            and (one.value.herd, one.value.pipeline, one.value.occasion.backfill) == whose
        ]

    # Carrying out.

    def _begin(
        self,
        found: Found[R],
        after: R,
        schedule: ScheduleRecord,
        occasion: Occasion | None,
        replaced: Iterable[Found[RunRecord]] = (),
    ) -> None:
        self._own[found.key] = None
        transaction = Transaction().if_revision(found.key, found.revision)
        for one in replaced:
            ended = changed(one.value, cancel=True, failure=Failure(REPLACED))
            transaction = transaction.if_revision(one.key, one.revision).put(one.key, ended)
        task = partial(self._carry_out, found.key, transaction, after, schedule, occasion)
        self._context.spawn(task)

    async def _carry_out(
        self,
        key: str,
        transaction: Transaction,
        after: R,
        schedule: ScheduleRecord,
        occasion: Occasion | None,
    ) -> None:
        revision = 0
        try:
            committed = await self._committed(key, transaction, after, schedule, occasion)
            # One that failed was decided on an older sight, also of keys that are not watched here: it is decided on anew.
            revision = committed.revision if committed.succeeded else 0
        except Unavailable:  # if it took place after all, the watch tells
            pass
        await self._context.me.tell(_Decided(key, revision))

    async def _committed(
        self,
        key: str,
        transaction: Transaction,
        after: R,
        schedule: ScheduleRecord,
        occasion: Occasion | None,
    ) -> Committed:
        """Commit a decision with the run that it makes, if it makes one; why that cannot be made is kept in the record instead."""
        if occasion is not None:
            try:
                whole = await self._with_run(transaction.put(key, after), schedule, occasion)
                return await self._barn.commit(whole)
            except Refused as error:
                after = changed(after, problem=_problem(error))
        return await self._barn.commit(transaction.put(key, after))

    async def _with_run(
        self, transaction: Transaction, schedule: ScheduleRecord, occasion: Occasion
    ) -> Transaction:
        """Return the transaction that makes the run, too. Raises NotFound where nothing is deployed any more, Invalid where it does not compile, Refused where the herd does not take it."""
        deployment = await self._deployment(schedule)
        dag = await self._dag_for(deployment, schedule, occasion)
        run = _run(schedule, deployment, dag, occasion, now_ms=self._now_ms())
        herd = await self._barn.get(herd_key(run.herd), HerdRecord)
        if await self._barn.get(run_key(run.herd, run.run), RunRecord) is not None:
            return transaction  # it was made before, and the schedule was put back since
        run, dag = under_herd(run, dag, herd)
        transaction = if_herd(transaction, run.herd, herd)
        if herd is not None:
            transaction = await if_approved(self._barn, transaction, dag, herd.value)
        return await with_run(self._barn, transaction, run, dag)

    async def _deployment(self, schedule: ScheduleRecord) -> DeploymentRecord:
        key = deployment_key(schedule.herd, schedule.pipeline)
        found = await self._barn.get(key, DeploymentRecord)
        if found is None:
            text = f"pipeline {schedule.herd}/{schedule.pipeline} is not deployed any more"
            raise NotFound(text, code="not_deployed", hint="runi deploy FILE.dsl")
        return found.value

    async def _dag_for(
        self, deployment: DeploymentRecord, schedule: ScheduleRecord, occasion: Occasion
    ) -> Dag:
        """Return the pipeline of a run: compiled anew where the tick fills in parameters. Raises Invalid."""
        recipe = deployment.recipe
        if recipe is None:
            return deployment.dag
        from runink.dsl.recorded import compiled_again  # noqa: PLC0415 - a fifth of a second that most schedules do without

        values = filled_in(schedule.schedule, occasion)
        filled = {
            name: value
            for name, value in values.items()
            if name in deployment.dag.parameters and name not in recipe.given
        }
        dag: Dag = await self._offload(compiled_again, recipe, filled)
        if (dag.herd, dag.pipeline) != (schedule.herd, schedule.pipeline):
            # Who may deploy in one herd could run in another by a recipe that says so.
            text = f"what is deployed as {schedule.herd}/{schedule.pipeline} is {dag.herd}/{dag.pipeline}"
            raise Invalid(text, code="pipeline_differs", hint="deploy it again")
        return dag

    # Time.

    def _look_at(self, at_ms: int) -> None:
        """Look at all of them again then, unless that is to be sooner."""
        if self._wake_ms and self._wake_ms <= at_ms:
            return
        self._wake_ms = at_ms
        self._timer.cancel()  # else each tick would leave a later one behind
        self._timer = anyio.CancelScope()
        wait_s = max(at_ms - self._now_ms(), 0) / 1000
        self._context.spawn(partial(self._wake, self._timer, wait_s))

    async def _wake(self, timer: anyio.CancelScope, wait_s: float) -> None:
        with timer:
            await anyio.sleep(wait_s)
            await self._context.me.tell(_Look())


def _may_be_replaced(found: Found[RunRecord]) -> bool:
    """Say whether a run may be cancelled: one that publishes, or is told to end already, goes on as it is."""
    run = found.value
    return run.state is not RunState.COMMITTING and run.ending is None and not run.cancel


def _run(
    schedule: ScheduleRecord,
    deployment: DeploymentRecord,
    dag: Dag,
    occasion: Occasion,
    *,
    now_ms: int,
) -> RunRecord:
    deadline_ms = schedule.schedule.deadline_ms
    return RunRecord(
        run=id_of(schedule.herd, schedule.pipeline, occasion),
        herd=schedule.herd,
        pipeline=schedule.pipeline,
        version=dag.hash,
        title=dag.title,
        file=dag.file,
        project=deployment.project,
        bundle=deployment.bundle,
        state=RunState.SUBMITTED,
        submitted_ms=now_ms,
        parameters=dag.parameters,
        occasion=occasion,
        deadline_ms=now_ms + deadline_ms if deadline_ms else 0,
    )


def _problem(error: Refused) -> WireError:
    told = "; ".join(finding.text for finding in getattr(error, "findings", ()))
    known = to_wire(error)
    return changed(known, text=f"{known.text}: {told}") if told else known
