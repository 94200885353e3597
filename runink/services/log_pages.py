"""The lines of a run's logs one after the other, file by file, from a place on: so that a page needs to know of the one before only where that has ended."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple

from runink.clients.node_files import ANSWER_BYTES_MAX, FileParts, Kept, Wanted
from runink.names import NodeId
from runink.services.log_files import Line, LogFile, batch_at, lines_of
from runink.services.node_files import NodeAway, RunFiles

READS_MAX: Final = 64  # requests to nodes for one page
_NOTHING: Final = FileParts((), is_all=True)


class Missing(NamedTuple):
    """That what a node keeps of these files cannot be read now, and why."""

    files: Sequence[LogFile]
    text: str


class Read(NamedTuple):
    """What one request gave: lines, or what is missing; and where it goes on, a file's place and an offset in it."""

    lines: Sequence[Line | Missing]
    at: int
    offset: int


class LogPage:
    """Takes lines from a `position` on, empty for the beginning of all. Behind it the position is where the next page begins, empty at the end."""

    def __init__(self, files: RunFiles, logs: Sequence[LogFile], position: str) -> None:
        self._files = files
        self._logs = logs
        self._places = {file: place for place, file in enumerate(logs)}
        self._at, self._offset = _place(logs, position)

    @property
    def position(self) -> str:
        if self._at >= len(self._logs):
            return ""
        file = self._logs[self._at]
        return f"{file.slice}/{file.attempt}/{self._offset}"

    async def take(self, lines_max: int, bytes_max: int) -> list[Line | Missing]:
        """Return the next lines, so many at most, and none behind the one that reaches so many bytes. Raises Unavailable."""
        taken: list[Line | Missing] = []
        size = 0
        for _ in range(READS_MAX):
            if self._at >= len(self._logs):
                break
            found = await self._read()
            for one in found.lines:
                taken.append(one)
                size += len(one.line.text) if isinstance(one, Line) else 0
                if len(taken) == lines_max or size >= bytes_max:
                    self._at, self._offset = self._behind(one)
                    return taken
            self._at, self._offset = found.at, found.offset
        return taken

    def _behind(self, one: Line | Missing) -> tuple[int, int]:
        if isinstance(one, Missing):
            return self._places[one.files[-1]] + 1, 0
        return self._places[one.file], one.offset

    async def _read(self) -> Read:
        at, offset = self._at, self._offset
        batch = batch_at(self._logs, at)
        names = {file.name: file for file in batch}
        wanted = tuple(
            Wanted(file.name, 0 if place else offset) for place, file in enumerate(batch)
        )
        try:
            found = await self._parts(batch[0].node, wanted)
        except NodeAway as error:
            return Read([Missing(batch, error.text)], at + len(batch), 0)
        lines: list[Line] = []
        end = 0
        for part in found.parts:
            more, end = lines_of(names[part.name], part)
            lines += more
        if found.is_all or not found.parts:
            return Read(lines, at + len(batch), 0)
        last = found.parts[-1]
        place = self._places[names[last.name]]
        if end == last.offset and len(last.data) >= ANSWER_BYTES_MAX:
            end += len(last.data)  # no line of ours is as long: somebody else has written this
        return Read(lines, place, end)

    async def _parts(self, node: NodeId | None, wanted: tuple[Wanted, ...]) -> FileParts:
        """Return what a node keeps, or the one that keeps it where nobody knows which that is. Raises NodeAway."""
        if node is not None:
            return await self._files.read(node, Kept.LOGS, wanted)
        for one in sorted(self._files.there):
            try:
                found = await self._files.read(one, Kept.LOGS, wanted)
            except NodeAway:
                continue
            if found.parts:
                return found
        return _NOTHING


def _place(logs: Sequence[LogFile], position: str) -> tuple[int, int]:
    """Return the file that a position is in, or the next one that is there, and the offset in it."""
    if not position:
        return 0, 0
    name, attempt, offset = position.rsplit("/", 2)
    wanted = name, int(attempt)
    at = bisect_left([(str(file.slice), file.attempt) for file in logs], wanted)
    is_there = at < len(logs) and (logs[at].slice, logs[at].attempt) == wanted
    return at, int(offset) if is_there else 0
