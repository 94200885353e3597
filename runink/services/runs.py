"""Operations on runs, carried out: which there are, how they stand, and what is done with them. Submitting is in `submissions.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec

from runink.barn.keys import RUNS
from runink.barn.keyvalue import Span, key_prefix
from runink.clients.barn import Found
from runink.clients.run_documents import figures_document
from runink.clients.run_requests import RunView
from runink.errors import Conflict
from runink.identity.vocabulary import Resource, Verb
from runink.names import HerdName, RunId
from runink.names import run_id as made_run_id
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import runs
from runink.operations.catalog.runs import (
    ListRuns,
    NodeProgress,
    OfRun,
    Progress,
    RunDocument,
    RunSummary,
    StepFigures,
)
from runink.runs.records import RunRecord, RunState
from runink.services.behind import Behind, not_hidden_slice, principal_of, shown_in
from runink.services.newest import page_of_newest
from runink.services.other_herds import teller
from runink.services.run_reading import OF_SLICE, document_of, run_of, summary_of
from runink.services.service import Handlers

_LAST_MS = (1 << 48) - 1


class RunService:
    """Shows runs, and cancels, pauses and drops them."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            runs.LIST: self._list,
            runs.GET: self._get,
            runs.PROGRESS: self._progress,
            runs.CANCEL: self._cancel,
            runs.PAUSE: self._pause,
            runs.UNPAUSE: self._unpause,
            runs.DROP: self._drop,
        }

    async def _list(self, request: ListRuns, caller: Caller, context: Context) -> Items[RunSummary]:
        herd = HerdName(request.herd)
        shows = shown_in(self._behind, caller, Resource.RUNS, herd)

        def show(found: Found[RunRecord]) -> bool:
            run = found.value
            return (
                (not request.state or run.state in request.state)
                and request.pipeline in (None, run.pipeline)
                and shows(run.run)
            )

        page = await page_of_newest(
            self._behind.barn,
            _span(herd, request),
            RunRecord,
            limit=request.limit,
            position=context.position,
            show=show,
        )
        texts = (found.value.waits_for for found in page.items)
        tell = await teller(self._behind, caller, herd, texts)
        shown = tuple(summary_of(found, tell) for found in page.items)
        return Items(shown, page.revision, page.after)

    async def _get(self, request: OfRun, caller: Caller, _context: Context) -> RunDocument:
        found = await run_of(self._behind.barn, request.herd, request.run)
        return await told_run(self._behind, found, caller)

    async def _progress(self, request: OfRun, caller: Caller, _context: Context) -> Progress:
        found = await run_of(self._behind.barn, request.herd, request.run)
        view = await self._behind.cluster.look(found.value.run)
        record = view.record
        tell = await teller(self._behind, caller, record.herd, [record.waits_for])
        shows = not_hidden_slice(self._behind, caller, record.herd)
        states = [one.state.value for one in view.slices if shows(record.run, one.slice)]
        return Progress(
            run=record.run,
            state=record.state,
            waits_for=tell(record.waits_for),
            steps=tuple(
                msgspec.convert(figures_document(row), StepFigures) for row in view.figures
            ),
            running=_running(view),
            slices=dict(Counter(states)),
            revision=found.revision,
        )

    async def _cancel(self, request: OfRun, caller: Caller, _context: Context) -> RunDocument:
        found = await run_of(self._behind.barn, request.herd, request.run)
        if found.value.state is RunState.CANCELLED:
            return await told_run(self._behind, found, caller)
        if not found.value.state.is_over:
            after = await self._behind.cluster.cancel(found.value.run)
            found = await run_of(self._behind.barn, request.herd, request.run)
            if after.cancel or after.state is RunState.CANCELLED:
                return await told_run(self._behind, found, caller)
        raise _too_late(found.value, "cancelled")

    async def _pause(self, request: OfRun, caller: Caller, _context: Context) -> RunDocument:
        return await self._marked(request, caller, paused=True)

    async def _unpause(self, request: OfRun, caller: Caller, _context: Context) -> RunDocument:
        return await self._marked(request, caller, paused=False)

    async def _marked(self, request: OfRun, caller: Caller, *, paused: bool) -> RunDocument:
        async def mark(run: RunId) -> RunRecord:
            return await self._behind.cluster.pause(run, paused=paused)

        return await self._done(request, caller, mark, "paused" if paused else "unpaused")

    async def _done(
        self,
        request: OfRun,
        caller: Caller,
        change: Callable[[RunId], Awaitable[RunRecord]],
        what: str,
    ) -> RunDocument:
        """Change how a run stands. Raises Conflict where nothing of it is left to begin."""
        found = await run_of(self._behind.barn, request.herd, request.run)
        after = found.value if found.value.state.is_over else await change(found.value.run)
        if after.state.is_over or after.state is RunState.COMMITTING:
            raise _too_late(after, what)
        found = await run_of(self._behind.barn, request.herd, request.run)
        return await told_run(self._behind, found, caller)

    async def _drop(self, request: OfRun, caller: Caller, _context: Context) -> RunDocument:
        found = await run_of(self._behind.barn, request.herd, request.run)
        if not found.value.state.is_over:
            raise Conflict(
                f"run {found.value.run} is {found.value.state.value}, and keeps what it needs itself",
                hint="cancel it first",
            )
        if found.value.resumed_by is not None:
            raise Conflict(
                f"run {found.value.resumed_by} goes on with what run {found.value.run} has kept",
                code="resumed_already",
            )
        await self._behind.cluster.drop(found.value.run)
        found = await run_of(self._behind.barn, request.herd, request.run)
        return await told_run(self._behind, found, caller)


async def told_run(behind: Behind, found: Found[RunRecord], caller: Caller) -> RunDocument:
    """Return a run as its reader may see it."""
    record = found.value
    tell = await teller(behind, caller, record.herd, [record.waits_for])
    return document_of(found, tell, _left_out(behind, caller, record))


def _left_out(behind: Behind, caller: Caller, run: RunRecord) -> tuple[str, ...]:
    """Return the parts of a run's failure that are not for the caller: what a slice printed is for who may read logs, and of a hidden slice nothing is told."""
    failed = run.failure.slice if run.failure is not None else ""
    if not not_hidden_slice(behind, caller, run.herd)(run.run, failed):
        return OF_SLICE
    principal = principal_of(caller)
    may_read_logs = behind.access.allows(
        principal, Verb.GET, Resource.LOGS, herd=run.herd, name=run.run
    )
    return () if may_read_logs else ("log_tail",)


def _span(herd: HerdName, request: ListRuns) -> Span:
    """Return the keys of a herd's runs between two times."""
    prefix = RUNS.prefix(herd)
    start = f"{prefix}{_first_id(request.since_ms)}" if request.since_ms else prefix
    if request.until_ms >= _LAST_MS:
        return Span(start, key_prefix(prefix).end)
    return Span(start, f"{prefix}{_first_id(request.until_ms)}")


def _first_id(at_ms: int) -> RunId:
    return made_run_id(now_ms=at_ms, entropy=bytes(10))


def _running(view: RunView) -> tuple[NodeProgress, ...]:
    return tuple(
        NodeProgress(one.node, one.rows_in, one.rows_out, one.rejected) for one in view.progress
    )


def _too_late(run: RunRecord, what: str) -> Conflict:
    if run.state is RunState.COMMITTING:
        text = f"run {run.run} is publishing already, which is seen through so that its output is whole"
        return Conflict(text, code="run_committing", hint="follow it to its end")
    return Conflict(
        f"run {run.run} is {run.state.value}, and cannot be {what}",
        code="run_over",
        hint="nothing of it is left to do",
    )
