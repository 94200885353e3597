"""Streams of what happens to runs: all changes of a herd's runs, one run to its end, and what happens in a herd.

Each event is told only if the caller may read what it is about, as it is then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runink.barn.keys import RUNS, SLICES, parse_run, run_key
from runink.barn.keyvalue import Change, KeyValue, key_prefix, one_key
from runink.barn.watching import Interest
from runink.clients.barn import Found, decode_value
from runink.errors import NotFound
from runink.identity.vocabulary import Resource, Verb
from runink.names import HerdName, RunId
from runink.operations.answers import Event
from runink.operations.calls import Caller, Context
from runink.operations.catalog import run_events
from runink.operations.catalog.run_events import (
    FollowRun,
    RunChange,
    RunStep,
    WatchEvents,
    WatchRuns,
)
from runink.runs.records import RunRecord, SliceRecord
from runink.services.behind import Behind, shown_in
from runink.services.herd_events import watch_events
from runink.services.other_herds import teller
from runink.services.run_reading import run_of, shown_slices, slice_summary_of, summary_of
from runink.services.runs import told_run
from runink.services.service import Handlers
from runink.services.watching import Said, Stream, beginning, events_of, told_changes


class RunEventService:
    """Tells what happens to runs."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {
            run_events.WATCH: self._watch,
            run_events.FOLLOW: self._follow,
            run_events.EVENTS: self._events,
        }

    async def _watch(self, request: WatchRuns, caller: Caller, _context: Context) -> Stream:
        herd = HerdName(request.herd)

        async def tell(changes: Sequence[Change]) -> Iterable[Said]:
            return [
                said
                for change in changes
                if (said := await self._run_said(change, caller, request)) is not None
            ]

        after = await beginning(self._behind.barn, request.since)
        # What was forgotten is told by what it was before: of which pipeline.
        interest = Interest((RUNS.prefix(herd),), want_before=request.pipeline is not None)
        return told_changes(self._behind.barn, interest, after, tell)

    async def _run_said(self, change: Change, caller: Caller, request: WatchRuns) -> Said | None:
        herd, run = parse_run(change.key) or (HerdName(""), RunId(""))
        if not run or not self._shows(caller, herd, run):
            return None
        if request.pipeline is not None and request.pipeline != _pipeline_of(change):
            return None
        if change.now is None:
            return Said("gone", RunChange(run, change.revision, None))
        found = decode_value(change.now, RunRecord)
        tell = await teller(self._behind, caller, herd, [found.value.waits_for])
        return Said("run", RunChange(run, change.revision, summary_of(found, tell)))

    async def _follow(self, request: FollowRun, caller: Caller, _context: Context) -> Stream:
        barn = self._behind.barn
        following = _Following(self._behind, caller, HerdName(request.herd), RunId(request.run))
        if not request.since:
            return _chained(await following.snapshot(), following)
        after = await beginning(barn, request.since)
        found = await run_of(barn, request.herd, request.run)
        if found.value.state.is_over and found.revision <= after:
            following.is_over = True
            return _chained([Event(after, "run", await following.run_step(found))], following)
        return following.changes(after)

    async def _events(self, request: WatchEvents, caller: Caller, context: Context) -> Stream:
        return await watch_events(self._behind, request, caller, context)

    def _shows(self, caller: Caller, herd: HerdName, run: RunId) -> bool:
        return shown_in(self._behind, caller, Resource.RUNS, herd, Verb.WATCH)(run)


class _Following:
    """One run that is followed."""

    def __init__(self, behind: Behind, caller: Caller, herd: HerdName, run: RunId) -> None:
        self.is_over = False
        self._behind = behind
        self._caller = caller
        self._herd = herd
        self._run = run
        self._key = run_key(herd, run)
        self.after = 0

    async def snapshot(self) -> list[Event]:
        """Return the run as it stands. Who is cut within begins anew: all but the last have 0 as their id."""
        prefix = SLICES.prefix(self._herd, self._run)
        pages = await self._behind.barn.read(one_key(self._key), key_prefix(prefix))
        if not pages.pages[0].items:
            raise NotFound(
                f"herd {self._herd} has no run {self._run}",
                code="no_such_run",
                hint="list its runs: GET …/runs",
            )
        self.after = pages.revision
        said = [
            said
            for page in pages.pages
            for item in page.items
            if (said := await self._said(item.key, item, item.mod_revision)) is not None
        ]
        events = events_of(pages.revision, said)
        return [Event(0, one.kind, one.data) for one in events[:-1]] + events[-1:]

    def changes(self, after: int) -> Stream:
        """Return the stream of what comes behind a revision, up to the run's end."""
        interest = Interest((SLICES.prefix(self._herd, self._run),), (one_key(self._key),))
        return told_changes(
            self._behind.barn, interest, after, self._tell, is_over=lambda: self.is_over
        )

    async def run_step(self, found: Found[RunRecord]) -> RunStep:
        return RunStep(await told_run(self._behind, found, self._caller), None, found.revision)

    async def _tell(self, changes: Sequence[Change]) -> Iterable[Said]:
        return [
            said
            for change in changes
            if (said := await self._said(change.key, change.now, change.revision)) is not None
        ]

    async def _said(self, key: str, now: KeyValue | None, revision: int) -> Said | None:
        if key == self._key:
            if now is None:
                self.is_over = True
                return Said("gone", RunStep(None, None, revision))
            found = decode_value(now, RunRecord)
            self.is_over |= found.value.state.is_over
            return Said("run", await self.run_step(found))
        if now is None:
            return None
        part = decode_value(now, SliceRecord)
        if not shown_slices(self._behind, self._caller, self._herd, Verb.WATCH)(part.value):
            return None
        tell = await teller(self._behind, self._caller, self._herd, [part.value.waits_for])
        return Said("slice", RunStep(None, slice_summary_of(part, tell), revision))


async def _chained(first: Iterable[Event], following: _Following) -> Stream:
    for event in first:
        yield event
    if following.is_over:
        return
    stream = following.changes(following.after)
    try:
        async for event_or_mark in stream:
            yield event_or_mark
    finally:
        await stream.aclose()


def _pipeline_of(change: Change) -> str:
    item = change.now or change.before
    return "" if item is None else decode_value(item, RunRecord).value.pipeline
