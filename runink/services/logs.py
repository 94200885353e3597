"""Operations on logs, carried out: pages of lines, file by file, and a stream of them as they come.

    a page      goes on where the one before has ended, in a file; it has what was there when it was read
    a stream    tells new lines in the order of their time, as far as they come together, up to the run's end

A node that is away holds up neither: a line of ours stands for what it keeps (`node_away`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runink.clients.kept_logs import Chosen
from runink.errors import NotFound
from runink.observe.slice_logs import Stream
from runink.operations.answers import Items
from runink.operations.calls import Caller, Context
from runink.operations.catalog import logs
from runink.operations.catalog.logs import FollowLogs, ListLogs, LogLine
from runink.runs.records import RunRecord, SliceRecord, no_slice
from runink.services.behind import Behind, not_hidden_slice
from runink.services.log_files import Line, files_of, slice_doing
from runink.services.log_pages import LogPage, Missing
from runink.services.log_stream import LogStream, Reading
from runink.services.node_files import AWAY, run_files
from runink.services.run_reading import ShowsSlice, dag_of, run_of, slices_of
from runink.services.service import Handlers
from runink.services.watching import Stream as Events

PAGE_BYTES_MAX: Final = 1 << 20  # of lines' texts; a page ends behind the line that reaches it


class LogService:
    """Shows what slices print."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    def handlers(self) -> Handlers:
        return {logs.LIST: self._list, logs.FOLLOW: self._follow}

    async def _list(self, request: ListLogs, caller: Caller, context: Context) -> Items[LogLine]:
        barn = self._behind.barn
        found = await run_of(barn, request.herd, request.run)
        slices = await slices_of(barn, found.value)
        chosen = await self._chosen(found.value, request)
        shown = list(filter(self._shows(caller, found.value), (one.value for one in slices)))
        check_chosen(chosen, shown)
        files = files_of(shown, chosen)
        after = context.position.after if context.position else ""
        page = LogPage(await run_files(self._behind.cluster, found.value), files, after)
        taken = await page.take(request.limit, PAGE_BYTES_MAX)
        now_ms = self._behind.now_ms()
        lines = tuple(_told(found.value, one, now_ms=now_ms) for one in taken)
        return Items(lines, found.revision, page.position)

    async def _follow(self, request: FollowLogs, caller: Caller, _context: Context) -> Events:
        found = await run_of(self._behind.barn, request.herd, request.run)
        chosen = await self._chosen(found.value, request)
        if found.value.state.is_over:
            slices = await slices_of(self._behind.barn, found.value)
            shows = self._shows(caller, found.value)
            check_chosen(chosen, [one.value for one in slices if shows(one.value)])

        def tell(run: RunRecord, one: Line | Missing) -> LogLine:
            return _told(run, one, now_ms=self._behind.now_ms())

        read = Reading(self._shows(caller, found.value), tell)
        stream = LogStream(self._behind.cluster, found.value, chosen, read, since_ms=request.since)
        return stream.events()

    def _shows(self, caller: Caller, run: RunRecord) -> ShowsSlice:
        """Return what says whether lines of a slice are shown: a rule may hide it by its name."""
        shows = not_hidden_slice(self._behind, caller, run.herd)
        return lambda one: shows(one.run, one.slice)

    async def _chosen(self, run: RunRecord, request: ListLogs | FollowLogs) -> Chosen:
        """Return of which slices and attempts lines are wanted. Raises NotFound."""
        if request.step is None:
            return Chosen(request.slice, request.attempt)
        name = slice_doing(await dag_of(self._behind.barn, run), request.step)
        if request.slice not in (None, name):
            raise NotFound(
                f"step {request.step} is done by slice {name}, and not by {request.slice}",
                code="no_such_slice",
                hint="name one of the two",
            )
        return Chosen(name, request.attempt)


def check_chosen(chosen: Chosen, slices: Sequence[SliceRecord]) -> None:
    """Raise NotFound (`no_such_slice`, `no_such_attempt`) where a run has no such slice, or none of those that are wanted was tried so often."""
    names = [one.slice for one in slices]
    if chosen.slice is not None and chosen.slice not in names:
        raise no_slice(chosen.slice, names)
    tried = max((one.attempt for one in slices if chosen.slice in (None, one.slice)), default=0)
    if chosen.attempt is not None and chosen.attempt > tried:
        what = "the run" if chosen.slice is None else f"slice {chosen.slice}"
        raise NotFound(
            f"{what} has no attempt {chosen.attempt}",
            code="no_such_attempt",
            hint=f"the last was attempt {tried}" if tried else "nothing of it has begun",
        )


def _told(run: RunRecord, one: Line | Missing, *, now_ms: int) -> LogLine:
    """Return a line as it is shown; for lines that cannot be read a word of ours."""
    match one:
        case Line(file, offset, line):
            at_ms, stream, text, code = line.at_ms, line.stream, line.text, None
        case Missing(files, text):
            file, offset, at_ms, stream, code = files[0], 0, now_ms, Stream.RUNINK, AWAY
    return LogLine(
        herd=run.herd,
        run=run.run,
        slice=file.slice,
        attempt=file.attempt,
        node=file.node,
        at_ms=at_ms,
        stream=stream,
        text=text,
        offset=offset,
        code=code,
    )
