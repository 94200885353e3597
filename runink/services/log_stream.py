"""Lines of a run's logs as they come.

Every LOOK_S all files are read from where they were read to, and what is new is told in the order of its time.  What has an id is a time before which all is told:

    all files were read to their ends      the latest time that was told, less LATE_MS: a line of another node's clock may still come
    some were not                          the time to which the least of those was told, less the same
    the events of one look but the last    as before it

Who comes back with a time is told all lines from it on: those of some seconds twice, and none never.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import anyio

from runink.barn.keys import run_key
from runink.clients.cluster import Cluster
from runink.clients.kept_logs import Chosen
from runink.clients.node_files import ANSWER_BYTES_MAX, FilePart, Kept, Wanted
from runink.names import NodeId
from runink.observe.slice_logs import FILE_BYTES_MAX
from runink.operations.answers import Event
from runink.operations.catalog.logs import LogLine
from runink.runs.records import RunRecord
from runink.services.log_files import FILES_READ_MAX, Line, LogFile, files_of, first_time, lines_of
from runink.services.log_pages import Missing
from runink.services.node_files import NodeAway, RunFiles, run_files
from runink.services.run_reading import ShowsSlice, slices_of

LOOK_S: Final = 1.0  # how late a line may be
LATE_MS: Final = (
    10_000  # by how much clocks of nodes may differ before a line is passed over by who comes back
)
_END_MAX: Final = FILE_BYTES_MAX + (1 << 20)  # a log ends behind its limit, with a word of ours


class Reading(NamedTuple):
    """How somebody reads: of which slices lines are shown, looked at each time anew, and how a line is told."""

    shows: ShowsSlice
    tell: Callable[[RunRecord, Line | Missing], LogLine]


@dataclass(slots=True)
class _Look:
    """What one look at all files has found: lines, and the files that were not read to their ends."""

    lines: list[Line | Missing] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


class LogStream:
    """The lines of one run, for one reader."""

    def __init__(
        self, cluster: Cluster, run: RunRecord, chosen: Chosen, read: Reading, *, since_ms: int
    ) -> None:
        self._cluster = cluster
        self._key = run_key(run.herd, run.run)
        self._chosen = chosen
        self._since_ms = since_ms
        self._as = read
        self._mark_ms = since_ms
        self._told_ms: dict[str, int] = {}  # the latest line of each file
        self._offsets: dict[str, int] = {}
        self._away: set[NodeId] = set()  # nodes that are told to be

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield lines up to the run's end, or until it is forgotten."""
        while True:  # ends with the run
            found = await self._cluster.barn.get(self._key, RunRecord)
            if found is None:
                return
            run = found.value
            look = await self._look(run)
            before_ms, self._mark_ms = self._mark_ms, self._mark(look)
            lines = [self._as.tell(run, one) for one in look.lines]
            for place, line in enumerate(lines, start=1):
                mark_ms = self._mark_ms if place == len(lines) else before_ms
                yield Event(mark_ms, "line", line)
            if run.state.is_over and not look.unread:
                return
            if not look.unread:
                await anyio.sleep(LOOK_S)

    def _mark(self, look: _Look) -> int:
        """Return the time before which all is told."""
        told = [self._told_ms.get(name, self._since_ms) for name in look.unread]
        reached = min(told, default=max(self._told_ms.values(), default=0))
        return max(self._mark_ms, reached - LATE_MS)

    async def _look(self, run: RunRecord) -> _Look:
        """Read what is new in all files, one answer of each node."""
        slices = [one.value for one in await slices_of(self._cluster.barn, run)]
        shown = filter(self._as.shows, slices)
        files = await run_files(self._cluster, run)
        look = _Look()
        async with anyio.create_task_group() as group:
            for node, logs in _by_node(files_of(shown, self._chosen), files):
                group.start_soon(self._read, files, node, logs, look)
        look.lines.sort(key=_time_of)
        return look

    async def _read(
        self, files: RunFiles, node: NodeId, logs: Sequence[LogFile], look: _Look
    ) -> None:
        names = {file.name: file for file in logs}
        wanted = tuple(Wanted(name, self._offsets.get(name, 0)) for name in names)
        try:
            found = await files.read(node, Kept.LOGS, wanted)
            self._away.discard(node)
            for part in found.parts:
                await self._take(files, node, names[part.name], part, look)
        except NodeAway as error:
            if node not in self._away:
                self._away.add(node)
                look.lines.append(Missing(logs, error.text))
            return
        if not found.is_all:
            read = [part.name for part in found.parts[:-1]]
            look.unread += [name for name in names if name not in read]

    async def _take(
        self, files: RunFiles, node: NodeId, file: LogFile, part: FilePart, look: _Look
    ) -> None:
        """Take the lines of a part. Where they are all from before the time that is asked for, the place of that is looked up."""
        lines, end = lines_of(file, part)
        if end == part.offset and len(part.data) >= ANSWER_BYTES_MAX:
            end += len(part.data)  # no line of ours is as long: somebody else has written this
        self._offsets[file.name] = end
        if not lines:
            return
        last_ms = lines[-1].line.at_ms
        self._told_ms[file.name] = last_ms
        if last_ms < self._since_ms and len(part.data) > ANSWER_BYTES_MAX // 2:
            self._offsets[file.name] = await self._sought(files, node, file, end)
            return
        look.lines += (one for one in lines if one.line.at_ms >= self._since_ms)

    async def _sought(self, files: RunFiles, node: NodeId, file: LogFile, low: int) -> int:
        """Return an offset shortly before the time that is asked for, `low` or behind it. It may be within a line, whose rest is passed over."""
        high = _END_MAX
        while high - low > ANSWER_BYTES_MAX:  # ends: it is halved each time
            middle = (low + high) // 2
            found = await files.read(node, Kept.LOGS, (Wanted(file.name, middle),))
            first_ms = first_time(found.parts[0]) if found.parts else None
            if first_ms is not None and first_ms < self._since_ms:
                low = middle
            else:
                high = middle
        return low


def _by_node(
    logs: Iterable[LogFile], files: RunFiles
) -> Iterable[tuple[NodeId, Sequence[LogFile]]]:
    """Yield the files that each node is asked for at once; those of which nobody knows where they are, all that are there."""
    of: dict[NodeId, list[LogFile]] = {}
    for file in logs:
        for node in [file.node] if file.node is not None else sorted(files.there):
            of.setdefault(node, []).append(file)
    for node, found in of.items():
        for at in range(0, len(found), FILES_READ_MAX):
            yield node, found[at : at + FILES_READ_MAX]


def _time_of(one: Line | Missing) -> int:
    """Return when a line came; what is said of missing ones comes at the end."""
    return one.line.at_ms if isinstance(one, Line) else 1 << 62
