"""Rows of files that a run's sinks have written, found on the nodes that have them and shown as their reader may see them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from runink.actors.offload import Offload, in_thread
from runink.clients.node_files import BEING_CHECKED, Kept, Wanted
from runink.dag import Dag, Sink
from runink.errors import NotFound, Unavailable
from runink.names import NodeId
from runink.operations.calls import Caller
from runink.runs.records import RunRecord, SliceRecord, Task
from runink.services.behind import Behind, principal_of
from runink.services.far_rows import FETCHED_BYTES_MAX, FarRows, Fetch
from runink.services.masked_reading import readings_for
from runink.services.node_files import NodeAway, RunFiles, run_files
from runink.services.rows_job import BLOCK_BYTES, Job, Rows

LOOKS_MAX: Final = 10  # of some seconds each, while a node looks through a large file


@dataclass(frozen=True, slots=True)
class FileOfSink:
    """A file that a sink has written: as what it is kept, under which name, on which nodes it may be, and how large it is; of one kept aside nobody says."""

    sink: Sink
    kept: Kept
    name: str
    homes: frozenset[NodeId]
    size: int | None
    gone: str  # the code of what is raised where it is not there any more


@dataclass(frozen=True, slots=True)
class Span:
    """Which rows are asked for, by their places."""

    start: int
    limit: int


class WrittenRows:
    """Reads them."""

    def __init__(self, behind: Behind, *, offload: Offload = in_thread) -> None:
        self._behind = behind
        self._offload = offload
        self._far = FarRows()

    async def read(
        self, run: RunRecord, dag: Dag, file: FileOfSink, span: Span, caller: Caller
    ) -> Rows:
        """Return rows of a file as a caller sees them. Raises NotFound (the file's `gone`), NodeAway, Unavailable (`being_checked`), and as `FarRows.read`."""
        behind = self._behind
        files = await run_files(behind.cluster, run)
        size, fetch = await _found(files, file, f"run {run.run}")
        readings = await readings_for(behind, principal_of(caller), dag, offload=self._offload)
        reading = readings[file.sink.id]
        job = Job(file.sink, size, span.start, span.limit, FETCHED_BYTES_MAX, reading)
        return await self._far.read(job, fetch)


def published_at(slices: Iterable[SliceRecord]) -> frozenset[NodeId]:
    """Return the nodes on which a run has published."""
    parts = (one for one in slices if one.task is Task.PUBLISH)
    return frozenset(one.node for one in parts if one.node is not None)


async def _found(files: RunFiles, file: FileOfSink, of: str) -> tuple[int, Fetch]:
    """Return a file's size, and what fetches it from the node that has it. Raises NotFound, NodeAway, Unavailable (`being_checked`)."""
    away: NodeAway | None = None
    for node in sorted(file.homes):
        try:
            data = await _block(files, node, file, 0)
            if file.size is None and data:
                return await _whole(files, node, file, data)
        except NodeAway as error:
            away = error
            continue
        if data or file.size == 0:
            assert file.size is not None, "others are returned above"
            return file.size, _fetching(files, node, file, data, of)
    raise away or _gone(file, of)


def _fetching(files: RunFiles, node: NodeId, file: FileOfSink, first: bytes, of: str) -> Fetch:
    async def fetch(offset: int) -> bytes:
        data = first if offset == 0 else await _block(files, node, file, offset)
        if len(data) < min(BLOCK_BYTES, (file.size or 0) - offset):
            raise _gone(file, of)
        return data

    return fetch


async def _whole(
    files: RunFiles, node: NodeId, file: FileOfSink, first: bytes
) -> tuple[int, Fetch]:
    """Fetch what is kept aside, as far as it may be fetched: nothing says how large it is. What is behind that is there, and too far away."""
    data, more = bytearray(first), first
    while more and len(data) <= FETCHED_BYTES_MAX:
        more = await _block(files, node, file, len(data))
        data += more

    async def fetch(offset: int) -> bytes:
        return bytes(data[offset : offset + BLOCK_BYTES])

    return len(data), fetch


async def _block(files: RunFiles, node: NodeId, file: FileOfSink, offset: int) -> bytes:
    """Return what a node's file holds from an offset on, a block at most; nothing where it has none. Raises NodeAway, Unavailable (`being_checked`)."""
    for _ in range(LOOKS_MAX):
        try:
            found = await files.read(node, file.kept, (Wanted(file.name, offset),))
        except Unavailable as error:
            if error.code != BEING_CHECKED:
                raise
            told = error.text
            continue
        return found.parts[0].data if found.parts else b""
    raise Unavailable(told, code=BEING_CHECKED, hint="ask again in a while")


def _gone(file: FileOfSink, of: str) -> NotFound:
    return NotFound(
        f"{file.sink.uri} of {of} is not there any more",
        code=file.gone,
        hint="a later run or somebody else has taken it away, or written over it",
    )
