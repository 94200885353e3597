"""What happens in a herd, as it happens: its runs and their slices, what is deployed, published and due, the herd itself, and who may what there.

Each event is told only if the caller may read what it is about, as it is then.  What goes by a name that a rule hides is told of by none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from runink.barn.keys import CONTRACTS, DEPLOYMENTS, RUNS, SCHEDULES, SLICES, herd_key
from runink.barn.keyvalue import Change, one_key
from runink.barn.watching import Interest
from runink.clients.barn import decode_value
from runink.herds.lifecycle import state_of
from runink.herds.record import HerdRecord
from runink.identity.vocabulary import Resource, Verb
from runink.jobs import Failed
from runink.names import HerdName
from runink.operations.calls import Caller, Context
from runink.operations.catalog.run_events import Happened, Happening, WatchEvents
from runink.runs.records import RunRecord, SliceRecord
from runink.runs.schedule_records import ScheduleRecord
from runink.services.behind import Behind, principal_of, shown_in
from runink.services.run_reading import shown_slices
from runink.services.watching import Said, Stream, beginning, told_changes

GONE: Final = "gone"
MADE: Final = "made"
CHANGED: Final = "changed"

# What decides about an event, beside the right to events themselves.
_OF: Final = {
    Happening.RUN: Resource.RUNS,
    Happening.PIPELINE: Resource.PIPELINES,
    Happening.CONTRACT: Resource.CONTRACTS,
    Happening.SCHEDULE: Resource.SCHEDULES,
    Happening.HERD: Resource.HERDS,
    Happening.ROLE: Resource.ROLES,
    Happening.BINDING: Resource.BINDINGS,
}


async def watch_events(
    behind: Behind, request: WatchEvents, caller: Caller, _context: Context
) -> Stream:
    """Return what happens in a herd behind a revision, as a caller may know it."""
    herd = HerdName(request.herd)
    wanted = frozenset(request.kinds) or frozenset(Happening)
    telling = _Telling(behind, caller, herd, wanted)

    async def tell(changes: Sequence[Change]) -> Iterable[Said]:
        return [Said(kind.value, one) for change in changes for kind, one in telling.of(change)]

    after = await beginning(behind.barn, request.since)
    return told_changes(behind.barn, _interest(herd, wanted), after, tell)


def _interest(herd: HerdName, wanted: frozenset[Happening]) -> Interest:
    prefixes = {
        Happening.RUN: RUNS.prefix(herd),
        Happening.SLICE: SLICES.prefix(herd),
        Happening.PIPELINE: DEPLOYMENTS.prefix(herd),
        Happening.CONTRACT: CONTRACTS.prefix(herd),
        Happening.SCHEDULE: SCHEDULES.prefix(herd),
    }
    own = (one_key(herd_key(herd)),) if wanted - prefixes.keys() else ()
    chosen = tuple(one for kind, one in prefixes.items() if kind in wanted)
    return Interest(chosen, own, want_before=True)


class _Telling:
    """Makes events of changes, for one caller."""

    def __init__(
        self, behind: Behind, caller: Caller, herd: HerdName, wanted: frozenset[Happening]
    ) -> None:
        self._behind = behind
        self._caller = caller
        self._herd = herd
        self._wanted = wanted

    def of(self, change: Change) -> Iterator[tuple[Happening, Happened]]:
        """Yield what happened by a change, as far as it is wanted and shown."""
        for kind, one in _happenings(change):
            if kind in self._wanted and self._shows(kind, one, change):
                yield kind, one

    def _shows(self, kind: Happening, one: Happened, change: Change) -> bool:
        name = one.run or one.name.partition("@")[0]
        if self._hides(name):
            return False
        if kind is Happening.SLICE:
            assert change.now is not None, "that slices are forgotten is not told"
            part = decode_value(change.now, SliceRecord).value
            return shown_slices(self._behind, self._caller, self._herd, Verb.WATCH)(part)
        return shown_in(self._behind, self._caller, _OF[kind], self._herd, Verb.WATCH)(name)

    def _hides(self, name: str) -> bool:
        """Say whether a rule hides what happens to a thing: events go by its name."""
        hides, principal = self._behind.access.hides, principal_of(self._caller)
        return any(
            hides(principal, verb, Resource.EVENTS, herd=self._herd, name=name)
            for verb in (Verb.GET, Verb.WATCH)
        )


def _happenings(change: Change) -> Iterator[tuple[Happening, Happened]]:
    key = change.key
    if RUNS.parse(key) is not None:
        yield from _of_run(change)
    elif SLICES.parse(key) is not None:
        yield from _of_slice(change)
    elif (deployed := DEPLOYMENTS.parse(key)) is not None:
        states = ("deployed", "deployed", "withdrawn")
        yield _plain(Happening.PIPELINE, change, deployed[1], states, pipeline=deployed[1])
    elif (published := CONTRACTS.parse(key)) is not None:
        name = f"{published[1]}@{published[2]}"
        yield _plain(Happening.CONTRACT, change, name, ("published", CHANGED, GONE))
    elif (due := SCHEDULES.parse(key)) is not None:
        yield from _of_schedule(change, due[1])
    else:
        yield from _of_herd(change)


def _plain(
    kind: Happening, change: Change, name: str, states: tuple[str, str, str], **more: Any
) -> tuple[Happening, Happened]:
    """Return that a thing was made, changed or taken away, in these words."""
    made, changed, gone = states
    before = "" if change.before is None else made
    state = gone if change.now is None else changed if before else made
    return kind, Happened(name=name, state=state, before=before, revision=change.revision, **more)


def _of_run(change: Change) -> Iterator[tuple[Happening, Happened]]:
    if change.now is None:
        return  # it was forgotten, long after its end
    run = decode_value(change.now, RunRecord).value
    before = _before(change, RunRecord)
    was = "" if before is None else before.state.value
    if run.state.value != was:
        yield (
            Happening.RUN,
            Happened(
                run=run.run,
                pipeline=run.pipeline,
                state=run.state.value,
                before=was,
                code=run.failure.error.code if run.failure else None,
                revision=change.revision,
            ),
        )


def _of_slice(change: Change) -> Iterator[tuple[Happening, Happened]]:
    if change.now is None:
        return  # as above
    one = decode_value(change.now, SliceRecord).value
    before = _before(change, SliceRecord)
    if before is None or (before.state, before.attempt) != (one.state, one.attempt):
        yield (
            Happening.SLICE,
            Happened(
                run=one.run,
                slice=one.slice,
                state=one.state.value,
                before="" if before is None else before.state.value,
                attempt=one.attempt,
                node=one.node,
                code=one.report.error.code if isinstance(one.report, Failed) else None,
                revision=change.revision,
            ),
        )


def _of_schedule(change: Change, pipeline: str) -> Iterator[tuple[Happening, Happened]]:
    before = _before(change, ScheduleRecord)
    was = "" if before is None else _schedule_state(before)
    now = _now(change, ScheduleRecord)
    state = GONE if now is None else _schedule_state(now)
    if state != was:
        problem = now.problem if now is not None else None
        yield (
            Happening.SCHEDULE,
            Happened(
                name=pipeline,
                pipeline=pipeline,
                state=state,
                before=was,
                code=problem.code if problem else None,
                revision=change.revision,
            ),
        )


def _schedule_state(one: ScheduleRecord) -> str:
    if one.paused:
        return "paused"
    return "failing" if one.problem is not None else "active"


def _of_herd(change: Change) -> Iterator[tuple[Happening, Happened]]:
    before = _before(change, HerdRecord)
    now = _now(change, HerdRecord)
    name = (now or before or HerdRecord(HerdName(""))).herd
    was = "" if before is None else state_of(before)
    state = GONE if now is None else state_of(now)
    yield (
        Happening.HERD,
        Happened(name=name, state=state, before=was, revision=change.revision),
    )
    for kind, field in ((Happening.ROLE, "roles"), (Happening.BINDING, "bindings")):
        old = {one.name: one for one in getattr(before, field, ())}
        new = {one.name: one for one in getattr(now, field, ())}
        for one in sorted(old.keys() | new.keys()):
            if old.get(one) != new.get(one):
                state = GONE if one not in new else CHANGED if one in old else MADE
                happened = Happened(name=one, state=state, before=MADE if one in old else "", revision=change.revision)  # fmt: skip
                yield kind, happened


def _before(change: Change, kind: type[Any]) -> Any:
    return None if change.before is None else decode_value(change.before, kind).value


def _now(change: Change, kind: type[Any]) -> Any:
    return None if change.now is None else decode_value(change.now, kind).value
