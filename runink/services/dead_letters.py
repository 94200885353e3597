"""Operations on dead letters, carried out: which a run has, and their rows.

Rows go out as their reader may see them (`masked_reading.py`).  A letter in a file of a node is fetched from there, where it is looked at that it is what the run has written, and read here.  One in a store is not: a server has other
rights there than whoever asks.  All of a letter is fetched for each page of it, so how large one may be has a limit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import anyio
import msgspec

from runink.actors.offload import Offload, in_thread
from runink.clients.node_files import Kept, Wanted
from runink.dag import Dag, Sink, Source
from runink.errors import NotFound, Overloaded, Refused
from runink.jobs import Done, Failed, Prepared
from runink.names import NodeId
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import facts
from runink.operations.catalog.facts import DeadLetter, DeadRow, ListDeadLetters, ReadDeadLetter
from runink.runs.jobs import kept_dead_letter
from runink.runs.letters import Letter, dead_sinks, letters_of
from runink.runs.records import RunRecord, RunState, SliceRecord, Task
from runink.services.behind import Behind, principal_of
from runink.services.masked_reading import readings_for
from runink.services.node_files import NodeAway, RunFiles, run_files
from runink.services.pages import page_of_values
from runink.services.run_reading import dag_of, run_of, slices_of
from runink.services.service import Handlers

FETCHED_BYTES_MAX: Final = 32 << 20  # of one letter: a quarter of a million rows
AT_ONCE: Final = 4  # letters that are held in memory
WAIT_S: Final = 10.0  # for one's turn
PAGE_BYTES_MAX: Final = 2 << 20  # of rows, as JSON; a page has one at least


class _Kept(NamedTuple):
    """A dead letter of a run: where it is published, or lies aside; or that it is kept with a run that failed, under a name on the nodes of its slices."""

    sink: Sink
    rows: int
    bytes: int
    letter: Letter | None
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
        self._offload = offload
        self._turns = anyio.CapacityLimiter(AT_ONCE)

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
        start = int(context.position.after) if context.position else 0
        async with self._turn():
            data = await self._fetched(seen, one)
            read = partial(_read, one.sink, data, start=start, limit=request.limit)
            rows, is_all = await self._offload(read)
        readings = await readings_for(
            self._behind, principal_of(caller), seen.dag, offload=self._offload
        )
        shown = readings[one.sink.id].row
        told = tuple(DeadRow(start + place, _plain(shown(row))) for place, row in enumerate(rows))
        return Items(told, seen.revision, "" if is_all else str(start + len(rows)))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Have one of the places in which a letter is held in memory. Raises Overloaded where none becomes free in time."""
        with anyio.move_on_after(WAIT_S) as waiting:
            await self._turns.acquire()
        if waiting.cancelled_caught:
            raise Overloaded("too many dead letters are being read", hint="ask again in a while")
        try:
            yield
        finally:
            self._turns.release()

    async def _seen(self, request: ListDeadLetters | ReadDeadLetter) -> _Seen:
        barn = self._behind.barn
        found = await run_of(barn, request.herd, request.run)
        dag = await dag_of(barn, found.value)
        slices = [one.value for one in await slices_of(barn, found.value)]
        letters = sorted(_letters(found.value, dag, slices), key=lambda one: one.sink.id)
        return _Seen(found.value, found.revision, dag, slices, letters)

    async def _fetched(self, seen: _Seen, one: _Kept) -> bytes:
        """Return a letter's bytes from the node that has it. Raises Refused (`dead_letter_elsewhere`, `dead_letter_too_large`), NotFound (`dead_letter_gone`), NodeAway."""
        if not one.is_readable:
            raise Refused(
                f"the rows of {one.sink.uri} are in a store",
                code="dead_letter_elsewhere",
                hint="read them there",
            )
        _check_size(one.bytes)
        files = await run_files(self._behind.cluster, seen.run)
        away: NodeAway | None = None
        for node in sorted(_homes(seen, one)):
            try:
                data = await _read_whole(files, node, one)
            except NodeAway as error:
                away = error
                continue
            if data and (one.letter is None or len(data) == one.letter.prepared.bytes):
                return data
        if away is not None:
            raise away
        raise NotFound(
            f"{one.sink.uri} of run {seen.run.run} is not there any more",
            code="dead_letter_gone",
            hint="a later run or somebody else has taken it away",
        )


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


def _homes(seen: _Seen, one: _Kept) -> set[NodeId]:
    """Return the nodes that may have a letter: those that have published, that keep what was prepared, or where the slices were."""
    homes = (
        part
        for part in seen.slices
        if one.letter is None or part.task is Task.PUBLISH or part.slice in seen.run.kept
    )
    return {part.node for part in homes if part.node is not None}


async def _read_whole(files: RunFiles, node: NodeId, one: _Kept) -> bytes:
    """Return all of a letter that a node has, nothing if it has none. Raises NodeAway, Refused (`dead_letter_too_large`)."""
    kept, name = (Kept.DEAD, one.name) if one.letter is None else (Kept.LETTERS, one.sink.id)
    data = bytearray()
    while True:  # ends with the file, or its limit
        found = await files.read(node, kept, (Wanted(name, len(data)),))
        if not found.parts:
            return bytes(data)
        data += found.parts[0].data
        _check_size(len(data))
        if found.is_all:
            return bytes(data)


def _check_size(size_bytes: int) -> None:
    if size_bytes > FETCHED_BYTES_MAX:
        raise Refused(
            f"the dead letter has more than {FETCHED_BYTES_MAX >> 20} MiB",
            code="dead_letter_too_large",
            hint="runi dead show reads it where it is",
        )


# Of letters' contents; Arrow is loaded where one is read.


def _read(sink: Sink, data: bytes, *, start: int, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """Return rows of a letter from a place on, and whether these are the last."""
    with TemporaryDirectory(prefix="runink-") as folder:
        path = (
            Path(folder) / f"letter.{Path(sink.path).name}"
        )  # the end of its name says how it is compressed
        path.write_bytes(data)
        return _rows_of(sink, path, start=start, limit=limit)


def _rows_of(
    sink: Sink, path: Path, *, start: int, limit: int
) -> tuple[list[dict[str, Any]], bool]:
    from runink.connectors.sources import open_source  # noqa: PLC0415 - Arrow, which no other operation needs

    node = Source(sink.id, sink.scenario, sink.uri, sink.format, sink.path)
    reader = open_source(node, root=Path(), staged=(str(path),), stdin_fd=None)
    rows: list[dict[str, Any]] = []
    size = place = 0
    try:
        for batch in reader.batches():
            skipped = min(max(start - place, 0), batch.data.num_rows)
            place += batch.data.num_rows
            for at in range(skipped, batch.data.num_rows):
                if len(rows) == limit or size >= PAGE_BYTES_MAX:
                    return rows, False
                rows.append(batch.data.slice(at, 1).to_pylist()[0])
                size += len(msgspec.json.encode(_plain(rows[-1])))
    finally:
        reader.close()
    return rows, True


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: times in ISO 8601, decimals as text, bytes in base64."""
    return msgspec.to_builtins(value, enc_hook=str)
