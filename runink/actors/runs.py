"""The run controller: carries runs from submitted to their end, each step a transaction.

    it sees or is told           it does
    Submit                       puts herd, pipeline and run; answers when that is durable
    Cancel                       marks the run
    a change in the Barn         asks `runs.lifecycle.decide` about the runs concerned and commits what it says
    a decision's `wake_ms`       looks again then
    SliceProgress                keeps it in memory for those who follow the run
    Follow                       answers when there is something newer

Decisions on one run never overlap: behind a transaction it waits for the watch to show it.  A conflict is no error: what
changed comes by the watch, and is decided on anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, assert_never

import anyio
import msgspec
from msgspec.structs import replace as changed

from runink.actors.followers import Follower, Followers
from runink.actors.run_writes import transaction_of
from runink.actors.tables import Loaded, Seen, Table, follow
from runink.barn.history import Watched
from runink.barn.keys import (
    HERDS,
    NODES,
    PLACEMENTS,
    PUBLISHING,
    RUNS,
    SLICES,
    herd_key,
    parse_placement,
    parse_run,
    parse_slice,
    pipeline_key,
    run_key,
)
from runink.clients.barn import BarnClient, Found, Transaction
from runink.clients.run_requests import Cancel, Follow, RunRequest, SliceProgress, Submit
from runink.dag import Dag
from runink.errors import NotFound
from runink.names import HerdName, RunId, SliceId
from runink.runs.lifecycle import Decision, RunView, World, decide
from runink.runs.records import (
    HerdRecord,
    NodeRecord,
    PipelineRecord,
    Placement,
    RunRecord,
    RunState,
    SliceRecord,
)
from runink.runtime.actor import Actor, Context, Later

DAGS_KEPT_MAX: Final = 200  # compiled pipelines in memory; read again from the Barn when needed
FOLLOW_S_MAX: Final = 60.0


class _Look(msgspec.Struct, frozen=True):
    """Time has come to look at a run again."""

    run: RunId


RunsMessage = RunRequest | Loaded | Watched | _Look


class RunController(Actor[RunsMessage]):
    """One for a cluster. `session` names this start of it; `now_ms` is the wall clock in milliseconds of the Unix epoch."""

    def __init__(self, barn: BarnClient, *, session: str, now_ms: Callable[[], int]) -> None:
        self._barn = barn
        self._session = session
        self._now_ms = now_ms
        self._runs = Table(RUNS.prefix(), RunRecord)
        self._slices = Table(SLICES.prefix(), SliceRecord)
        self._nodes = Table(NODES.prefix(), NodeRecord)
        self._herds = Table(HERDS.prefix(), HerdRecord)
        self._claims = Table(PUBLISHING.prefix(), str)
        self._placements = Table(PLACEMENTS.prefix(), Placement)
        self._keys: dict[RunId, str] = {}
        self._slices_of: dict[RunId, dict[SliceId, str]] = {}
        self._placed: dict[RunId, set[SliceId]] = {}
        self._dags: dict[str, Dag] = {}
        self._own: dict[RunId, int] = {}  # a run's last transaction, until the watch has shown it
        self._seen = 0
        self._followers = Followers()
        self._context: Context[RunsMessage]

    async def started(self, context: Context[RunsMessage]) -> None:
        self._context = context
        self._followers = Followers()
        prefixes = tuple(table.prefix for table in self._tables())
        context.spawn(partial(follow, self._barn, prefixes, self._tell))

    async def _tell(self, seen: Seen) -> None:
        await self._context.me.tell(seen)

    def _tables(self) -> tuple[Table[object], ...]:
        return (
            self._runs,
            self._slices,
            self._placements,
            self._nodes,
            self._herds,
            self._claims,
        )  # type: ignore[return-value] # a tuple of tables of different records

    async def receive(self, message: RunsMessage) -> RunRecord | Later | None:
        match message:
            case Submit():
                return await self._submit(message)
            case Cancel(run):
                return await self._cancel(run)
            case Follow():
                return await self._follow(message)
            case SliceProgress(run, slice_id, nodes):
                self._followers.progress(run, slice_id, nodes)
                self._tell_followers([run])
            case Loaded():
                await self._load(message)
            case Watched():
                await self._apply(message)
            case _Look(run):
                await self._look([run])
            case _:
                assert_never(message)
        return None

    # What comes from outside.

    async def _submit(self, message: Submit) -> RunRecord:
        dag = message.dag
        record = RunRecord(
            run=message.run,
            herd=message.herd.herd,
            pipeline=dag.pipeline,
            version=dag.hash,
            title=dag.title,
            file=dag.file,
            project=message.project,
            bundle=message.bundle,
            state=RunState.SUBMITTED,
            submitted_ms=self._now_ms(),
            session=self._session if message.is_bound else "",
            parameters=dag.parameters,
            wall_time_s=message.wall_time_s,
            stdin=message.stdin,
            stdout=message.stdout,
            rehearsal=message.rehearsal,
            update_goldens=message.update_goldens,
        )
        key = run_key(record.herd, record.run)
        transaction = Transaction().if_absent(key).put(key, record)
        known = self._herds.get(herd_key(record.herd))
        if known is None or known.value != message.herd:
            transaction = transaction.put(herd_key(record.herd), message.herd)
        if record.version not in self._dags:
            at = pipeline_key(record.herd, record.pipeline, record.version)
            transaction = transaction.put(at, PipelineRecord(dag))
        committed = await self._barn.commit(transaction)
        if not committed.succeeded:
            return await self._stored(record.herd, record.run)
        self._keep_dag(record.version, dag)
        return record

    async def _stored(self, herd: HerdName, run: RunId) -> RunRecord:
        found = await self._barn.get(run_key(herd, run), RunRecord)
        if found is None:
            raise _no_run(run)
        return found.value

    async def _cancel(self, run: RunId) -> RunRecord:
        key = self._known(run)
        while (
            True
        ):  # each round somebody else has changed the run, which they do a few times at most
            found = await self._barn.get(key, RunRecord)
            if found is None:
                raise _no_run(run)
            if found.value.state.is_over or found.value.state is RunState.COMMITTING:
                return found.value
            record = changed(found.value, cancel=True)
            transaction = Transaction().if_revision(key, found.revision).put(key, record)
            if (await self._barn.commit(transaction)).succeeded:
                return record

    def _known(self, run: RunId) -> str:
        key = self._keys.get(run)
        if key is None:
            raise _no_run(run)
        return key

    async def _follow(self, message: Follow) -> Later:
        """Answer when there is news, or when the time is over."""
        run = message.run
        found = self._runs.get(self._known(run))
        assert found is not None, "a run that is known is in its table"
        await self._dag(found.value)
        later = Later()
        follower = self._followers.add(run, message.seen, later)
        wait_s = min(max(message.wait_s, 0.0), FOLLOW_S_MAX)
        self._context.spawn(partial(self._answer_at_last, run, follower, wait_s))
        self._tell_followers([run])
        return later

    async def _answer_at_last(self, run: RunId, follower: Follower, wait_s: float) -> None:
        with anyio.move_on_after(wait_s):
            await follower.answered.wait()
        view = self._view(run)
        if view is not None:
            self._followers.answer(follower, view)
        elif not follower.answered.is_set():
            follower.later.fail(_no_run(run))

    # What comes from the Barn.

    async def _load(self, message: Loaded) -> None:
        for table in self._tables():
            table.load(message.items)
        self._keys = {found.value.run: found.key for found in self._runs}
        self._slices_of = {}
        self._placed = {}
        for found in self._slices:
            self._slices_of.setdefault(found.value.run, {})[found.value.slice] = found.key
        for placement in self._placements:
            self._placed.setdefault(placement.value.run, set()).add(placement.value.slice)
        self._seen = message.revision
        await self._look([found.value.run for found in self._runs if not found.value.state.is_over])

    async def _apply(self, message: Watched) -> None:
        """Take changes, and decide on the runs that they concern: on all that live if they are not of one run."""
        concerned: dict[RunId, None] = {}
        is_general = False
        for change in message.changes:
            any(table.apply(change) for table in self._tables())
            run = self._note(change.key, is_there=change.now is not None)
            if run is None:
                is_general = True
            else:
                concerned[run] = None
                self._followers.changed(run)
        self._seen = message.revision
        if is_general or any(self._is_over(run) for run in concerned):
            concerned |= dict.fromkeys(self._living())
        await self._look(concerned)

    def _living(self) -> list[RunId]:
        return [found.value.run for found in self._runs if not found.value.state.is_over]

    def _is_over(self, run: RunId) -> bool:
        found = self._runs.get(self._keys.get(run, ""))
        return found is None or found.value.state.is_over

    def _note(self, key: str, *, is_there: bool) -> RunId | None:
        """Keep the index by run, and return the run that a key is about."""
        if parsed := parse_slice(key):
            _, run, slice_id = parsed
            mine = self._slices_of.setdefault(run, {})
            if is_there:
                mine[slice_id] = key
            else:
                mine.pop(slice_id, None)
            return run
        if placed := parse_placement(key):
            _, run, slice_id = placed
            (set.add if is_there else set.discard)(self._placed.setdefault(run, set()), slice_id)
            return run
        if about := parse_run(key):
            run = about[1]
            if is_there:
                self._keys[run] = key
            else:
                for index in (self._keys, self._slices_of, self._placed):
                    index.pop(run, None)
            return run
        return None

    async def _look(self, runs: Iterable[RunId]) -> None:
        """Decide on runs and commit what was decided, all at once: one sync of the disk serves them together."""
        names = [run for run in runs if self._own.get(run, 0) <= self._seen]
        async with anyio.create_task_group() as group:
            for run in names:
                self._own.pop(run, None)
                found = self._runs.get(self._keys.get(run, ""))
                if found is None or found.value.state.is_over:
                    continue
                await self._dag(found.value)
                view = self._view(run)
                assert view is not None
                decision = decide(view, self._world(view.record))
                if decision.wake_ms:
                    wait_s = max(decision.wake_ms - self._now_ms(), 0) / 1000
                    self._context.spawn(partial(self._wake, run, wait_s))
                if not decision.is_nothing(view.record):
                    group.start_soon(self._carry_out, view, decision)
        self._tell_followers(names)

    def _view(self, run: RunId) -> RunView | None:
        found = self._runs.get(self._keys.get(run, ""))
        if found is None or found.value.version not in self._dags:
            return None
        slices: dict[str, SliceRecord] = {
            name: one.value
            for name, key in self._slices_of.get(run, {}).items()
            if (one := self._slices.get(key)) is not None
        }
        return RunView(found.value, self._dags[found.value.version], slices)

    def _world(self, record: RunRecord) -> World:
        return World(
            now_ms=self._now_ms(),
            session=self._session,
            nodes=frozenset(found.value.node for found in self._nodes),
            claims={found.key.rpartition("/")[2]: RunId(found.value) for found in self._claims},
            placed=frozenset(self._placed.get(record.run, ())),
            refused=self._refused(record),
        )

    def _refused(self, record: RunRecord) -> str:
        """Say why the herd cannot take one more run, or nothing."""
        if record.state is not RunState.SUBMITTED:
            return ""
        quota = self._herds.get(herd_key(record.herd))
        most = quota.value.runs if quota else 0
        ahead = sum(
            found.value.herd == record.herd
            and not found.value.state.is_over
            and (found.value.state is not RunState.SUBMITTED or found.value.run < record.run)
            for found in self._runs
        )
        if not most or ahead < most:
            return ""
        return f"herd {record.herd} has {most} of {most} runs"

    async def _dag(self, record: RunRecord) -> Dag:
        """Return a run's pipeline, from the Barn if it is not in memory."""
        if record.version not in self._dags:
            key = pipeline_key(record.herd, record.pipeline, record.version)
            found = await self._barn.get(key, PipelineRecord)
            assert found is not None, "a run's pipeline is put in the transaction that submits it"
            self._keep_dag(record.version, found.value.dag)
        return self._dags[record.version]

    def _keep_dag(self, version: str, dag: Dag) -> None:
        if len(self._dags) >= DAGS_KEPT_MAX:
            del self._dags[next(iter(self._dags))]
        self._dags[version] = dag

    async def _wake(self, run: RunId, wait_s: float) -> None:
        await anyio.sleep(wait_s)
        await self._context.me.tell(_Look(run))

    # Carrying out.

    async def _carry_out(self, view: RunView, decision: Decision) -> None:
        transaction = transaction_of(view, decision, revision_of=self._revision_of)
        committed = await self._barn.commit(transaction)
        if committed.succeeded:
            self._own[view.record.run] = committed.revision

    def _revision_of(self, key: str) -> int | None:
        found: Found[Any] | None = self._runs.get(key) or self._slices.get(key)
        return None if found is None else found.revision

    def _tell_followers(self, runs: Iterable[RunId]) -> None:
        for run in runs:
            if (view := self._view(run)) is not None:
                self._followers.tell(view)


def _no_run(run: RunId) -> NotFound:
    return NotFound(f"there is no run {run}", hint="runi runs lists them")
