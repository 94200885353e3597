"""The run controller: carries runs from submitted to their end, each step a transaction.

    it sees or is told           it does
    Submit                       puts herd, pipeline and run; answers when that is durable
    Submit that resumes          the same, with what it takes over of the run that it goes on from
    Cancel, Pause, Drop          marks the run
    a change in the Barn         asks `runs.lifecycle.decide` about the runs concerned and commits what it says
    a decision's `wake_ms`       looks again then
    SliceProgress, SliceUsed     keeps it in memory for those who follow the run
    Follow                       answers when there is something newer

Decisions on one run never overlap: behind a transaction it waits for the watch to show it.  A conflict is no error: what
changed comes by the watch, and is decided on anew.  Nor is a Barn that takes nothing at the moment (its disk is full): the run is looked at
again after a while.  A run that is over is read from the Barn when somebody asks for it (`run_sight.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final, assert_never

import anyio
import msgspec
from msgspec.structs import replace as changed

from runink.actors.followers import Follower, Followers
from runink.actors.pipelines import Pipelines
from runink.actors.run_sight import PREFIXES, RunSight, is_done, no_run
from runink.actors.run_writes import commit_or_fail, transaction_of, with_resumption
from runink.actors.submitting import Submission, submitted
from runink.actors.tables import Loaded, Seen, follow, load_at_last
from runink.actors.together import all_of
from runink.barn.history import Watched
from runink.barn.keys import SLICES, herd_key, run_key
from runink.barn.keyvalue import key_prefix, one_key
from runink.clients.barn import BarnClient, Found, Transaction, decode_value
from runink.clients.run_requests import (
    Cancel,
    Drop,
    Follow,
    Pause,
    RunRequest,
    SliceProgress,
    SliceUsed,
    Submit,
)
from runink.dag import Dag
from runink.errors import NotFound, Unavailable
from runink.herds.record import HerdRecord
from runink.names import RunId
from runink.runs.clearing import AT_ONCE_MS, Decision
from runink.runs.durations import Durations
from runink.runs.endings import sooner
from runink.runs.lifecycle import decide
from runink.runs.passing import SliceChange
from runink.runs.portions import portion
from runink.runs.records import RunRecord, RunState, SliceRecord
from runink.runs.resuming import resumption
from runink.runs.soundness import check_run
from runink.runs.views import RunView
from runink.runtime.actor import Actor, Context, Later

FOLLOW_S_MAX: Final = 60.0
AGAIN_MS: Final = 1000  # until a run is looked at again whose decision the Barn did not take


class _Look(msgspec.Struct, frozen=True):
    """Time has come to look at a run again."""

    run: RunId


class _Tell(msgspec.Struct, frozen=True):
    """Time has come to tell those who follow a run."""

    run: RunId


RunsMessage = RunRequest | Loaded | Watched | _Look | _Tell


class RunController(Actor[RunsMessage]):
    """One for a cluster. `session` names this start of it; `now_ms` is the wall clock in milliseconds of the Unix epoch."""

    def __init__(self, barn: BarnClient, *, session: str, now_ms: Callable[[], int]) -> None:
        self._barn = barn
        self._session = session
        self._now_ms = now_ms
        self._sight = RunSight()
        self._pipelines = Pipelines(barn)
        self._own: dict[RunId, int] = {}  # a run's last transaction, until the watch has shown it
        self._settled: set[RunId] = set()  # on which nothing was decided when they were looked at
        self._wakes: dict[RunId, int] = {}  # when a run is looked at again
        self._telling: set[RunId] = set()  # whose followers are told in a moment
        self._followers = Followers(now_ms())
        self._context: Context[RunsMessage]

    async def started(self, context: Context[RunsMessage]) -> None:
        """Load what there is before anybody asks: a run that is there must not be told to be not."""
        self._context = context
        loaded = await load_at_last(self._barn, PREFIXES)
        await self._load(loaded)
        watch = partial(follow, self._barn, PREFIXES, self._tell, after_revision=loaded.revision)
        context.spawn(watch)

    async def _tell(self, seen: Seen) -> None:
        await self._context.me.tell(seen)

    async def receive(self, message: RunsMessage) -> object:
        match message:
            case Submit():
                return await self._submit(message)
            case Cancel(run):
                return await self._mark(run, cancel=True)
            case Pause(run, paused):
                return await self._mark(run, paused=paused)
            case Drop(run):
                return await self._drop(run)
            case Follow():
                return self._followers.rest(message) or await self._follow(message)
            case SliceProgress(run):
                if self._sight.record_of(run) is not None:
                    self._followers.progress(message)
                    await self._tell_followers([run])
            case SliceUsed(run):
                if self._sight.record_of(run) is not None:
                    self._followers.used(message)
            case Loaded():
                await self._load(message)
            case Watched():
                await self._apply(message)
            case _Look(run):
                self._wakes.pop(run, None)
                await self._look([run])
            case _Tell(run):
                self._telling.discard(run)
                await self._tell_followers([run])
            case _:
                assert_never(message)
        return None

    # What comes from outside.

    async def _submit(self, message: Submit) -> RunRecord:
        at, herd = run_key(message.herd.herd, message.run), herd_key(message.herd.herd)
        if self._sight.key_of(message.run) is not None:  # whatever became of its herd since
            return await self._submitted_before(at, message.run)
        check_run(
            message.dag,
            {"run": message.run, "herd": message.herd.herd, "bundle": message.bundle},
            (message.project, *filter(None, (message.stdin, message.stdout))),
        )
        known = self._sight.herds.get(herd)
        if message.resumes is not None:
            return await self._resume(message, message.resumes, known)
        while (
            True
        ):  # each round somebody has put pipeline or herd, or forgotten them, at this moment
            found = self._submission(message, known)
            committed = await self._barn.commit(await found.whole(self._barn))
            if committed.succeeded:
                return self._put(found.record, found.dag, committed.revision)
            if at in committed.failed:
                return await self._submitted_before(at, message.run)
            known = await self._barn.get(herd, HerdRecord)

    def _put(self, record: RunRecord, dag: Dag, revision: int) -> RunRecord:
        """Take note of a run that was put in this revision."""
        self._pipelines.keep(record.version, dag)
        key = run_key(record.herd, record.run)
        self._sight.remember(Found(key, record, revision, version=1, lease=0, created=revision))
        self._own[record.run] = revision
        return record

    async def _resume(
        self, message: Submit, run: RunId, known: Found[HerdRecord] | None
    ) -> RunRecord:
        """Put a run that goes on from another. Raises Conflict where it may not, NotFound."""
        while True:  # each round somebody has changed the old run, or the herd
            old = await self._stored_view(run)
            if old.record.resumed_by == message.run:
                key = run_key(old.record.herd, message.run)
                return await self._submitted_before(key, message.run)
            made = self._submission(message, known)
            found = resumption(old, made.record, step=message.restart)
            transaction = await made.whole(self._barn, found.record)
            whole = await with_resumption(self._barn, transaction, found, old)
            committed = await self._barn.commit(whole)
            if committed.succeeded:
                return self._put(found.record, made.dag, committed.revision)
            known = await self._barn.get(herd_key(message.herd.herd), HerdRecord)

    async def _drop(self, run: RunId) -> RunRecord:
        """Have a run that is over take away what it keeps."""
        key = self._known(run)
        while True:  # as in `_mark`
            found = await self._barn.get(key, RunRecord)
            if found is None:
                raise no_run(run)
            if not found.value.kept_until_ms or found.value.resumed_by is not None:
                return found.value
            record = changed(found.value, kept_until_ms=AT_ONCE_MS)
            transaction = Transaction().if_revision(key, found.revision).put(key, record)
            if (await self._barn.commit(transaction)).succeeded:
                return record

    def _submission(self, message: Submit, known: Found[HerdRecord] | None) -> Submission:
        return submitted(message, known, session=self._session, now_ms=self._now_ms())

    async def _submitted_before(self, key: str, run: RunId) -> RunRecord:
        """Return a run whose first answer was lost: who hears now that it is there may ask for it before the watch shows it."""
        found = await self._barn.get(key, RunRecord)
        if found is None:
            raise no_run(run)
        if self._sight.key_of(run) is None:
            self._sight.remember(found)
            self._own[run] = found.revision
        return found.value

    async def _mark(self, run: RunId, **marks: bool) -> RunRecord:
        key = self._known(run)
        while True:  # each round somebody has changed the run, which they do a few times at most
            found = await self._barn.get(key, RunRecord)
            if found is None:
                raise no_run(run)
            if found.value.state.is_over or found.value.state is RunState.COMMITTING:
                return found.value
            record = changed(found.value, **marks)
            transaction = Transaction().if_revision(key, found.revision).put(key, record)
            if (await self._barn.commit(transaction)).succeeded:
                return record

    def _known(self, run: RunId) -> str:
        key = self._sight.key_of(run)
        if key is None:
            raise no_run(run)
        return key

    async def _follow(self, message: Follow) -> Later:
        """Answer when there is news, or when the time is over."""
        run = message.run
        view = await self._view(run) or await self._stored_view(run)
        later = Later()
        follower = self._followers.add(message, later)
        if view.record.state.is_over:
            self._followers.tell(view, now_s=anyio.current_time())
            return later
        wait_s = min(max(message.wait_s, 0.0), FOLLOW_S_MAX)
        self._context.spawn(partial(self._answer_at_last, run, follower, wait_s))
        await self._tell_followers([run])
        return later

    async def _stored_view(self, run: RunId) -> RunView:
        """Return a run that is over, from the Barn."""
        key = self._known(run)
        herd = key.split("/")[2]
        pages = await self._barn.read(one_key(key), key_prefix(SLICES.prefix(herd, run)))
        if not pages.pages[0].items:
            raise no_run(run)
        record = decode_value(pages.pages[0].items[0], RunRecord).value
        slices = (decode_value(item, SliceRecord).value for item in pages.pages[1].items)
        return RunView(record, await self._pipelines.of(record), {one.slice: one for one in slices})

    async def _answer_at_last(self, run: RunId, follower: Follower, wait_s: float) -> None:
        with anyio.move_on_after(wait_s):
            await follower.answered.wait()
        if not follower.answered.is_set() and (view := await self._view(run)) is not None:
            self._followers.answer(follower, view)

    async def _tell_followers(self, runs: Iterable[RunId]) -> None:
        now_s = anyio.current_time()
        for run in runs:
            record = self._sight.record_of(run)
            if record is None:
                continue
            wait_s = self._followers.due_s(run, now_s=now_s)
            if record.state.is_over or wait_s == 0:
                if (view := await self._view(run)) is not None:
                    self._followers.tell(view, now_s=now_s)
            elif wait_s is not None and run not in self._telling:
                self._telling.add(run)
                self._context.spawn(partial(self._tell_after, wait_s, _Tell(run)))

    async def _tell_after(self, wait_s: float, message: _Tell | _Look) -> None:
        await anyio.sleep(wait_s)
        await self._context.me.tell(message)

    # What comes from the Barn.

    async def _load(self, message: Loaded) -> None:
        self._sight.load(message)
        self._settled.clear()
        living = list(self._sight.living())
        for run in living:
            self._followers.changed(run)
        await self._look(living)
        for run in self._followers.runs():
            if self._sight.record_of(run) is None:
                await self._tell_stored(run)

    async def _tell_stored(self, run: RunId) -> None:
        """Tell those who follow a run that is not among the living any more."""
        try:
            self._followers.tell_anew(await self._stored_view(run), now_s=anyio.current_time())
        except NotFound as error:
            self._followers.forget(run, error)

    async def _apply(self, message: Watched) -> None:
        """Take changes, and decide on the runs that they concern: on all that live if one has ended, or they are not of one run."""
        heard = self._sight.apply(message)
        over: list[RunId] = []
        for run in heard.runs:
            record = self._sight.record_of(run)
            if record is None:
                self._followers.forget(run, no_run(run))
            else:
                self._followers.changed(run)
                if record.state.is_over:
                    over.append(run)
        if heard.is_general or over:
            await self._look(self._sight.living())
        else:
            passed = {run for run in heard.runs if await self._is_passed_by(run, heard.runs[run])}
            await self._look(run for run in heard.runs if run not in passed)
            await self._tell_followers(passed)
        for run in over:
            record = self._sight.record_of(run)
            if record is None or is_done(record):
                self._sight.forget(run)
                self._own.pop(run, None)
                self._settled.discard(run)

    async def _is_passed_by(self, run: RunId, changes: list[SliceChange] | None) -> bool:
        """Say whether there is nothing new to decide on a run: when it was looked at last there was nothing, and what has changed makes no difference."""
        record = self._sight.record_of(run)
        if run not in self._settled or changes is None or record is None:
            return False
        return self._sight.are_passing(run, changes, await self._pipelines.of(record))

    async def _look(self, runs: Iterable[RunId]) -> None:
        """Decide on runs and commit what was decided, all at once: one sync of the disk serves them together."""
        names = [run for run in runs if self._own.get(run, 0) <= self._sight.seen]
        decided: list[Callable[[], Coroutine[Any, Any, None]]] = []
        for run in names:
            self._own.pop(run, None)
            self._settled.discard(run)
            view = await self._view(run)
            if view is None or is_done(view.record):
                continue
            world = self._sight.world(view.record, now_ms=self._now_ms(), session=self._session)
            decision = portion(decide(view, world))
            if wake_ms := sooner(decision.wake_ms, world.awaited_ms):
                self._wake_at(run, wake_ms)
            if decision.is_nothing(view.record):
                self._settled.add(run)
            else:
                decided.append(partial(self._carry_out, view, decision, world.durations))
        await all_of(decided)
        await self._tell_followers(names)

    async def _view(self, run: RunId) -> RunView | None:
        """Return a run that lives, or nothing."""
        record = self._sight.record_of(run)
        return None if record is None else self._sight.view(run, await self._pipelines.of(record))

    def _wake_at(self, run: RunId, at_ms: int) -> None:
        """Look at a run again then, unless that is to be sooner."""
        if self._wakes.get(run, at_ms + 1) <= at_ms:
            return
        self._wakes[run] = at_ms
        wait_s = max(at_ms - self._now_ms(), 0) / 1000
        self._context.spawn(partial(self._tell_after, wait_s, _Look(run)))

    # Carrying out.

    async def _carry_out(self, view: RunView, decision: Decision, durations: Durations) -> None:
        run = view.record.run
        transaction = transaction_of(
            view, decision, revision_of=self._sight.revision_of, durations=durations
        )
        try:
            committed = await commit_or_fail(self._barn, view, transaction)
        except Unavailable:  # if it took place after all, the watch tells
            self._wake_at(run, self._now_ms() + AGAIN_MS)
            return
        if committed.succeeded:
            self._own[run] = committed.revision
