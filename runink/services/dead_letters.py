"""Operations on dead letters, carried out: which a run has, and their rows.

A letter in a file of a node is read from there, as the run has written it (`written_rows.py`).  One in a store is not: a server has other rights there than whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from runink.actors.offload import Offload, in_thread
from runink.clients.node_files import Kept
from runink.dag import Dag, Sink
from runink.errors import NotFound, Refused
from runink.jobs import Done, Failed, Prepared
from runink.names import NodeId
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import facts
from runink.operations.catalog.facts import DeadLetter, DeadRow, ListDeadLetters, ReadDeadLetter
from runink.runs.jobs import kept_dead_letter
from runink.runs.letters import Written, dead_sinks, letters_of
from runink.runs.records import RunRecord, RunState, SliceRecord
from runink.services.behind import Behind
from runink.services.pages import page_of_values
from runink.services.run_reading import dag_of, run_of, slices_of
from runink.services.service import Handlers
from runink.services.written_rows import FileOfSink, Span, WrittenRows, published_at


class _Kept(NamedTuple):
    """A dead letter of a run: where it is published, or lies aside; or that it is kept with a run that failed, under a name on the nodes of its slices."""

    sink: Sink
    rows: int
    bytes: int
    letter: Written | None
    name: str = ""

    @property
    def is_readable(self) -> bool:
        return self.letter is None or self.letter.is_file


class _Seen(NamedTuple):
    """A run with its pipeline, its slices and its dead letters."""

    run: RunRecord
    revision: int
    dag: Dag
    slices: list[SliceRecord]
    letters: list[_Kept]


class DeadLetterService:
    """Shows what runs have rejected."""

    def __init__(self, behind: Behind, *, offload: Offload = in_thread) -> None:
        self._behind = behind
        self._read = WrittenRows(behind, offload=offload)

    def handlers(self) -> Handlers:
        return {facts.DEAD_LETTERS: self._list, facts.DEAD_ROWS: self._rows}

    async def _list(
        self, request: ListDeadLetters, _caller: Caller, context: Context
    ) -> Items[DeadLetter]:
        seen = await self._seen(request)
        is_published = seen.run.state is RunState.SUCCEEDED
        found = (
            DeadLetter(
                one.sink.id,
                one.sink.scenario,
                one.sink.uri,
                one.rows,
                one.bytes,
                is_published,
                one.is_readable,
            )
            for one in seen.letters
        )
        return page_of_values(
            ((one.sink, one) for one in found),
            limit=request.limit,
            position=context.position,
            revision=seen.revision,
        )

    async def _rows(
        self, request: ReadDeadLetter, caller: Caller, context: Context
    ) -> Items[DeadRow]:
        seen = await self._seen(request)
        one = _named(request.sink, seen)
        if not one.is_readable:
            raise Refused(
                f"the rows of {one.sink.uri} are in a store",
                code="dead_letter_elsewhere",
                hint="read them there",
            )
        start = int(context.position.after) if context.position else 0
        span = Span(start, request.limit)
        found = await self._read.read(seen.run, seen.dag, _file(seen, one), span, caller)
        told = tuple(DeadRow(start + place, row) for place, row in enumerate(found.rows))
        return Items(told, seen.revision, "" if found.is_all else str(start + len(told)))

    async def _seen(self, request: ListDeadLetters | ReadDeadLetter) -> _Seen:
        barn = self._behind.barn
        found = await run_of(barn, request.herd, request.run)
        dag = await dag_of(barn, found.value)
        slices = [one.value for one in await slices_of(barn, found.value)]
        letters = sorted(_letters(found.value, dag, slices), key=lambda one: one.sink.id)
        return _Seen(found.value, found.revision, dag, slices, letters)


def _letters(run: RunRecord, dag: Dag, slices: Sequence[SliceRecord]) -> Iterable[_Kept]:
    """Yield the dead letters of a run that is over, which hold rows. Those of a failed one are kept with it."""
    if not run.state.is_over:
        return
    published = {one.sink.id: one for one in letters_of(run, dag, slices)}
    prepared = {} if run.state is RunState.SUCCEEDED else _prepared(slices)
    for name, sink in dead_sinks(dag).items():
        if name in published:
            letter = published[name]
            yield _Kept(sink, letter.prepared.rows, letter.prepared.bytes, letter)
        elif name in prepared:
            found = prepared[name]
            kept = Path(kept_dead_letter(sink, "")).name
            yield _Kept(sink, found.rows, found.bytes, None, kept)


def _prepared(slices: Iterable[SliceRecord]) -> dict[str, Prepared]:
    """Return what slices have written of rows, by the sink."""
    reports = [one.report for one in slices if isinstance(one.report, Done | Failed)]
    return {one.sink: one for report in reports for one in report.prepared if one.rows}


def _named(sink: str, seen: _Seen) -> _Kept:
    found = next((one for one in seen.letters if one.sink.id == sink), None)
    if found is None:
        names = ", ".join(one.sink.id for one in seen.letters)
        raise NotFound(
            f"run {seen.run.run} has no dead letter {sink} with rows",
            code="no_dead_letter",
            hint=f"it has {names}"
            if names
            else "look when it is over" * (not seen.run.state.is_over),
        )
    return found


def _file(seen: _Seen, one: _Kept) -> FileOfSink:
    """Return where a letter is: on the nodes that have published, that keep what was prepared, or where the slices were."""
    if one.letter is None:
        homes = frozenset(part.node for part in seen.slices if part.node is not None)
        return FileOfSink(one.sink, Kept.DEAD, one.name, homes, None, "dead_letter_gone")
    kept: frozenset[NodeId] = frozenset(
        part.node for part in seen.slices if part.node is not None and part.slice in seen.run.kept
    )
    homes = published_at(seen.slices) | kept
    size = one.letter.prepared.bytes
    return FileOfSink(one.sink, Kept.LETTERS, one.sink.id, homes, size, "dead_letter_gone")
